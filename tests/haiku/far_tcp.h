/*
 * far_tcp.h: the smallest TCP peers that load one direction only: a sink that acknowledges every second segment, and a
 * source that obeys the window of its receiver. IPv4, one connection at a time, no options but the segment size.
 */
#ifndef FAR_TCP_H
#define FAR_TCP_H

#include "far_side.h"

enum { FAR_TCP_PORT = 7100, FAR_TCP_SEGMENT = UNIT_MTU - 40 };

struct far_tcp {
    struct far_side side;
    uint32_t window;      /* sink: advertised; source: most bytes in flight */
    uint64_t total;       /* source: bytes to send per connection */
    enum { TCP_CLOSED, TCP_HANDSHAKE, TCP_ESTABLISHED, TCP_FINISHED } state;
    uint32_t receive_next, send_next, send_unacknowledged, peer_window;
    uint32_t first;       /* sequence number of the first byte of the connection */
    uint64_t received;    /* bytes in order */
    uint32_t unacknowledged_segments, eager; /* sink: acknowledge each of the next `eager` segments */
    uint32_t duplicates;
    uint64_t out_of_order, retransmitted, refused;
    uint8_t data[FRAME_HEADER + UNIT_MTU]; /* source: a segment, payload all zero */
    struct address near, far;
    uint16_t near_port;
};

/* Prepares either; far_side_start(&tcp->side) and far_side_stop(&tcp->side) start and stop its thread. */
void far_sink_init(struct far_tcp* tcp, struct unit* unit, enum read_mode mode, uint32_t window);
void far_source_init(struct far_tcp* tcp, struct unit* unit, enum read_mode mode, uint32_t window, uint64_t total);

#endif
