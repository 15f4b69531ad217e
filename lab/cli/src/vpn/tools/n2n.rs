//! n2n: a TAP, `select`, descriptors that block, and `ifconfig` through `system`.

use super::Tool;
use crate::vpn::plan::{HOST, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;

pub(super) struct N2n;

impl Tool for N2n {
    fn name(&self) -> &'static str {
        "n2n"
    }

    fn package(&self) -> &'static str {
        "n2n"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["edge", "supernode"]
    }

    fn supports(&self, mode: Mode) -> Result<(), &'static str> {
        match mode {
            Mode::Tap => Ok(()),
            Mode::Tun => Err("n2n carries Ethernet frames only"),
        }
    }

    fn families(&self, _: Mode) -> &'static [Family] {
        // Version 1 lets ARP and IPv4 pass.
        &[Family::Inet]
    }

    fn prepare(&self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }

    fn helper(&self, plan: &Plan) -> Option<Launch> {
        let [_, _, port] = plan.ports;
        let program = process::find("supernode").unwrap_or_else(|| "supernode".into());
        Some(Launch::new(program, ["-l".to_owned(), port.to_string(), "-v".to_owned()]))
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let [_, _, port] = plan.ports;
        let line = format!(
            "-d {} -a {} -s 255.255.255.0 -c lab -k secret -m 02:00:00:00:00:0{} -p {} -l {HOST}:{port} -M 1400 -v",
            plan.interface(),
            plan.address(side, Family::Inet),
            side.number(),
            plan.port(side)
        );
        let program = process::find("edge").unwrap_or_else(|| "edge".into());
        Ok(Launch::new(program, line.split_whitespace()))
    }
}
