//! Haiku's kernel calls, emulated on Linux.
