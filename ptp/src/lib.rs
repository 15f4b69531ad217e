//! The point-to-point layer: link headers, ARP and neighbour discovery for a far side that is always at home.
