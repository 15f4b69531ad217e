//! The Haiku kernel add-on: driver hooks, network device module, user memory, allocator and log.
