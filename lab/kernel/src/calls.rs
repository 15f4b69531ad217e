//! Kernel calls that are not yet in a room of their own.
