//! tinc: packet information on a TUN and none on a TAP, `pselect`, descriptors that do not block.

use super::Tool;
use crate::vpn::plan::{self, HOST, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;

pub(super) struct Tinc;

/// The length of the RSA key, which is made once a run. Both sides share it, because it need not be secret in a test.
const KEY_BITS: u32 = 2048;

impl Tool for Tinc {
    fn name(&self) -> &'static str {
        "tinc"
    }

    fn package(&self) -> &'static str {
        "tinc"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["tincd", "openssl"]
    }

    fn supports(&self, _: Mode) -> Result<(), &'static str> {
        Ok(())
    }

    fn prepare(&self, plan: &Plan) -> Result<(), Error> {
        let key = plan.folder.join("rsa.key");
        let openssl = process::find("openssl").unwrap_or_else(|| "openssl".into());
        let (path, bits) = (key.display().to_string(), KEY_BITS.to_string());
        process::run(&Launch::new(&openssl, ["genrsa", "-traditional", "-out", &path, &bits]))?;
        let public = plan.folder.join("rsa.pub");
        let public_path = public.display().to_string();
        process::run(&Launch::new(&openssl, ["rsa", "-in", &path, "-RSAPublicKey_out", "-out", &public_path]))?;
        let read = |path: &std::path::Path| {
            std::fs::read_to_string(path).map_err(|error| Error::io(format!("reading {}", path.display()), error))
        };
        let (private, public) = (read(&key)?, read(&public)?);
        for side in Side::ALL {
            let folder = plan.file(side, "tinc");
            let (kind, mode) = match plan.mode {
                Mode::Tun => ("tun", "router"),
                Mode::Tap => ("tap", "switch"),
            };
            let connect = match side {
                Side::Server => String::new(),
                Side::Client => "ConnectTo = server\n".to_owned(),
            };
            let text = format!(
                "Name = {side}\nAddressFamily = ipv4\nBindToAddress = {HOST} {}\nDevice = /dev/net/tun\nDeviceType = {kind}\n\
                 Interface = {}\nMode = {mode}\nPingTimeout = 5\nMaxTimeout = 1\nProcessPriority = normal\n{connect}",
                plan.port(side),
                plan.interface()
            );
            plan::write(&folder.join("tinc.conf"), &text)?;
            plan::write(&folder.join("rsa_key.priv"), &private)?;
            plan::set_mode(&folder.join("rsa_key.priv"), 0o600)?;
            for host in Side::ALL {
                let subnets = Family::ALL.map(|family| format!("Subnet = {}\n", plan.address(host, family))).concat();
                let subnets = if plan.mode == Mode::Tun { subnets } else { String::new() };
                let text = format!("Address = {HOST} {}\n{subnets}{public}", plan.port(host));
                plan::write(&folder.join(format!("hosts/{host}")), &text)?;
            }
            let script = plan.up_script(side)?;
            let up = folder.join("tinc-up");
            plan::write(&up, &format!("#!/bin/sh\nexec '{}'\n", script.display()))?;
            plan::set_mode(&up, 0o755)?;
        }
        Ok(())
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let config = format!("--config={}", plan.file(side, "tinc").display());
        let pid = format!("--pidfile={}", plan.file(side, "pid").display());
        let program = process::find("tincd").unwrap_or_else(|| "tincd".into());
        Ok(Launch::new(program, [config.as_str(), pid.as_str(), "--no-detach", "--debug=2"]))
    }
}
