//! The layer as a whole, from outside: frames and packets go in, verdicts, replies and headers come out.
//!
//! Every frame here is made and every reply is read by smoltcp, which knows nothing of this crate.

mod agreement;
mod conversation;
mod corpus;
mod frames;
mod oracle;
mod outside;
mod rfc;
mod verdicts;
