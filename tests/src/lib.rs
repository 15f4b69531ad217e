//! End-to-end tests: one file per family of behaviour.
