//! `haiku-lab vpn`: VPN programs that nobody here wrote, over the driver's devices.

pub mod control;
mod transfer;
