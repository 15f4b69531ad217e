//! TAP: Ethernet frames, as they are.
