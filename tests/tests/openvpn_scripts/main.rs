//! The scripts that configure Haiku's network for OpenVPN, unchanged: with an emulated Haiku's `ifconfig` and `route`,
//! and with the variables that OpenVPN sets or OpenVPN itself.

mod coverage;
mod failures;
mod machine;
mod openvpn;
mod tunnel;
mod undoing;
