//! QuickTun: `poll`, descriptors that block, without packet information.
//!
//! Debian's takes its settings from the variables that `ifupdown` makes of `/etc/network/interfaces`.

use super::Tool;
use crate::vpn::plan::{HOST, Plan, Side};
use crate::vpn::process::{self, Launch};
use haiku_stack::Error;
use haiku_system::Mode;

pub(super) struct QuickTun;

impl Tool for QuickTun {
    fn name(&self) -> &'static str {
        "quicktun"
    }

    fn package(&self) -> &'static str {
        "quicktun"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["quicktun"]
    }

    fn supports(&self, _: Mode) -> Result<(), &'static str> {
        Ok(())
    }

    fn prepare(&self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }

    fn launch(&self, plan: &Plan, side: Side) -> Result<Launch, Error> {
        let script = plan.up_script(side)?;
        let program = process::find("quicktun").unwrap_or_else(|| "quicktun".into());
        Ok(Launch::new(program, [""; 0])
            .with("IF_QT_PROTOCOL", "raw")
            .with("IF_QT_INTERFACE", plan.interface())
            .with("IF_QT_TUN_MODE", u8::from(plan.mode == Mode::Tun))
            .with("IF_QT_LOCAL_ADDRESS", HOST)
            .with("IF_QT_LOCAL_PORT", plan.port(side))
            .with("IF_QT_REMOTE_ADDRESS", HOST)
            .with("IF_QT_REMOTE_PORT", plan.port(side.other()))
            .with("IF_QT_TUN_UP_SCRIPT", script.display()))
    }
}
