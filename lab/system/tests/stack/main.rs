//! The emulated stack as a driver meets it, with drivers made for it.

mod behaviour;
mod refusals;
mod vpn_routes;
