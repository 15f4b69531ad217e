//! The layer as a whole, from outside: frames and packets go in, verdicts, replies and headers come out.
//!
//! Every frame is made and every reply is parsed by smoltcp, independently of this crate.

mod agreement;
mod conversation;
mod corpus;
mod frames;
mod oracle;
mod outside;
mod rfc;
mod verdicts;
