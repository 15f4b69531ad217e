//! End-to-end tests of the driver in the lab: one module per family of behaviour.
//!
//! They run with the driver that is linked in, and with the real file where `HAIKU_LAB_ADDON` names it. Every test ends
//! with all ledgers at zero.

mod accounts;
mod batches;
mod blocking;
mod controls;
mod costs;
mod crossing;
mod debugger;
mod direct;
mod exports;
mod faults;
mod hooks;
mod inspect;
mod interface;
mod link;
mod nodes;
mod past;
mod queues;
mod readiness;
mod reading;
mod refusals;
mod routes;
mod secrets;
mod settings;
mod storm;
mod unattended;
mod writing;
