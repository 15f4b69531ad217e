//! vtun: `select`, a process that forks for each connection, packet information as Linux gives it.

use super::Tool;
use crate::vpn::plan::{self, HOST, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_system::Mode;

pub(super) struct Vtun;

impl Tool for Vtun {
    fn name(&self) -> &'static str {
        "vtun"
    }

    fn package(&self) -> &'static str {
        "vtun"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["vtund"]
    }

    fn supports(&self, _: Mode) -> Result<(), &'static str> {
        Ok(())
    }

    fn prepare(&self, plan: &Plan) -> Result<(), Error> {
        for side in Side::ALL {
            let script = plan.up_script(side)?;
            let kind = match plan.mode {
                Mode::Tun => "tun",
                Mode::Tap => "ether",
            };
            let text = format!(
                "options {{\n  port {};\n  timeout 10;\n}}\nlab {{\n  passwd secret;\n  type {kind};\n  device {};\n  \
                 proto udp;\n  compress no;\n  encrypt no;\n  keepalive yes;\n  persist yes;\n  stat no;\n  up {{\n    \
                 program \"{}\" wait;\n  }};\n}}\n",
                plan.port(Side::Server),
                plan.interface(),
                script.display()
            );
            plan::write(&plan.file(side, "vtund.conf"), &text)?;
        }
        Ok(())
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let config = plan.file(side, "vtund.conf").display().to_string();
        let host = HOST.to_string();
        let program = process::find("vtund").unwrap_or_else(|| "vtund".into());
        let port = plan.port(Side::Server).to_string();
        Ok(match side {
            Side::Server => Launch::new(program, ["-s", "-n", "-f", &config, "-P", &port, "-L", &host]),
            Side::Client => Launch::new(program, ["-n", "-f", &config, "-P", &port, "lab", &host]),
        })
    }
}
