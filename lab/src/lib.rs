//! A Haiku on Linux: its kernel calls emulated, smoltcp as its IP stack, and the command line.
