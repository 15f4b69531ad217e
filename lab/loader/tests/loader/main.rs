//! The loader on a small add-on made by hand: without fault, with one fault at a time, and damaged at random.

mod corpus;
mod fixture;
mod loading;
mod oracle;
mod random;
mod rules;
