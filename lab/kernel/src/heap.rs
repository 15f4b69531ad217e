//! The kernel heap: `malloc`, `memalign` and `free`.
