//! End-to-end tests, one file per family of behaviour, below `tests/`. What they share is in `testkit/`, and the programs for
//! a booted Haiku are in `haiku/`.
