//! fastd: `open64`, `epoll` through `syscall`, descriptors that do not block.

use super::Tool;
use crate::vpn::plan::{self, HOST, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_system::Mode;

pub(super) struct Fastd;

/// Two pairs of keys, made once with `fastd --generate-key`. They need not be secret in a test.
const KEYS: [(&str, &str); 2] = [
    (
        "c89b43b84a46158be9ae8c9ba21bf25995db4695d1e93c5b6175cdbef6122a40",
        "69099728a849ea3b43d5cb1ed972d5d886bd15a5fe10ccc82939bea57599ee25",
    ),
    (
        "f8217f207744bf5e27662b10a16184d50692620e5bc8c403f349c47f2f96a541",
        "1ee17a89c86b56617c8bb31bf6e962460d1b63ac29f2cdcb079217007fcfde4c",
    ),
];

fn keys(side: Side) -> (&'static str, &'static str) {
    let [server, client] = KEYS;
    if side == Side::Server { server } else { client }
}

impl Tool for Fastd {
    fn name(&self) -> &'static str {
        "fastd"
    }

    fn package(&self) -> &'static str {
        "fastd"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["fastd"]
    }

    fn supports(&self, _: Mode) -> Result<(), &'static str> {
        Ok(())
    }

    fn prepare(&self, plan: &Plan) -> Result<(), Error> {
        for side in Side::ALL {
            let script = plan.up_script(side)?;
            let other = side.other();
            let text = format!(
                "log level info;\nmode {};\ninterface \"{}\";\nmethod \"salsa2012+umac\";\nmtu 1400;\n\
                 bind {HOST}:{};\nsecret \"{}\";\non up \"{}\";\npeer \"{other}\" {{\n  key \"{}\";\n  remote {HOST}:{};\n}}\n",
                plan.mode,
                plan.interface(),
                plan.port(side),
                keys(side).0,
                script.display(),
                keys(other).1,
                plan.port(other)
            );
            let path = plan.file(side, "fastd.conf");
            plan::write(&path, &text)?;
            plan::set_mode(&path, 0o600)?;
        }
        Ok(())
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let config = plan.file(side, "fastd.conf").display().to_string();
        Ok(Launch::new(process::find("fastd").unwrap_or_else(|| "fastd".into()), ["--config", config.as_str()]))
    }
}
