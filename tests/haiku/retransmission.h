/*
 * retransmission.h: measures the retransmission time-out of a connection by losing one of its segments.
 */
#ifndef RETRANSMISSION_H
#define RETRANSMISSION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "far_side.h"
#include "flow.h"

/* A far side's handler that reflects every packet but a chosen one. */
struct segment_watch {
    struct far_side* far;
    uint16_t port;                 /* the server's */
    bool trace;                    /* prints each segment of the connection */
    atomic_bool armed;             /* drops the next segment with data to the server */
    atomic_bool waiting;           /* it was dropped and has not come again */
    uint32_t sequence;             /* the dropped segment's */
    atomic_llong dropped, again;   /* when it came first and when it came again, in nanoseconds */
};

/* Installs the watch as the far side's handler. The far side's thread must not be running. */
void watch_install(struct segment_watch* watch, struct far_side* far);

/* Drops one segment of `flow` in an exchange of `size` bytes. Returns the milliseconds until it was sent again, -1 if
 * the exchange did not complete within `limit_ms`. */
int64_t watch_measure(struct segment_watch* watch, struct flow* flow, size_t size, int limit_ms);

#endif
