//! Kernel mutexes.
