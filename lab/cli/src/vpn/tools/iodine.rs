//! iodine: IP over DNS; packet information, `select`, `ifconfig` through `system`.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Tool;
use crate::vpn::plan::{Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_stack::Family;
use haiku_system::Mode;

pub(super) struct Iodine;

/// The domain that is asked about.
const DOMAIN: &str = "t.lab";

impl Tool for Iodine {
    fn name(&self) -> &'static str {
        "iodine"
    }

    fn package(&self) -> &'static str {
        "iodine"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["iodine", "iodined"]
    }

    fn supports(&self, mode: Mode) -> Result<(), &'static str> {
        match mode {
            Mode::Tun => Ok(()),
            Mode::Tap => Err("iodine carries IP packets only"),
        }
    }

    fn families(&self, _: Mode) -> &'static [Family] {
        // It finds a packet's receiver by its IPv4 address.
        &[Family::Inet]
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn prepare(&self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        // The client always uses port 53; no other server has this loopback address.
        let host = Ipv4Addr::new(127, 53, 53, 53);
        let line = match side {
            Side::Server => {
                format!("-f -c -P secret -l {host} {}/24 {DOMAIN}", plan.address(Side::Server, Family::Inet))
            }
            Side::Client => format!("-f -r -P secret {host} {DOMAIN}"),
        };
        let program = if side == Side::Server { "iodined" } else { "iodine" };
        let program = process::find(program).unwrap_or_else(|| program.into());
        Ok(Launch::new(program, line.split_whitespace()))
    }
}
