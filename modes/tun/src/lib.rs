//! TUN: IP packets, through the point-to-point layer.
