/*
 * flow.h: a TCP connection with both ends in this program, by way of the far side, and threads that fill and empty it.
 */
#ifndef FLOW_H
#define FLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "unit.h"

struct flow {
    int client, server;
    pthread_t sender, receiver;
    atomic_bool stop;              /* the sender ends after its current send */
    atomic_bool abandon;           /* the receiver ends without the end of the stream */
    atomic_ullong sent, received;
    atomic_llong last_progress;    /* when the receiver last got bytes */
    atomic_llong longest_stall;    /* between two such times */
    atomic_bool corrupt;           /* a byte was not the one that was sent */
    atomic_bool ended;             /* the receiver saw the end of the stream */
};

/* Returns a port that no process of the last minutes has used: Haiku keeps a connection's port for 120 s after its end.
 * A process has PORTS_PER_PROCESS of them. */
enum { PORTS_PER_PROCESS = 32 };
uint16_t flow_port(int n);

/* Connects the client to the far address at `port` and accepts it at the local one, with socket buffers of `buffer`
 * bytes (0: Haiku's own). Exits if it cannot. */
void flow_open(struct flow* flow, const struct unit* unit, int family, uint16_t port, int buffer);

/* Sends `count` bytes of the pattern at once; returns whether the stack took them all. */
bool flow_send(struct flow* flow, size_t count);

/* Receives until `count` bytes more have arrived or `limit_ms` have passed; returns whether they have. */
bool flow_receive(struct flow* flow, size_t count, int limit_ms);

/* Sends `count` bytes, receives them at the server, sends as many back and receives those: the acknowledgements travel
 * with the data, so that no sample of the round-trip time has the delay of an acknowledgement in it. Returns whether
 * this took no longer than `limit_ms` for each direction. */
bool flow_exchange(struct flow* flow, size_t count, int limit_ms);

/* Starts both threads: bulk until flow_finish(). */
void flow_start(struct flow* flow);

/* Ends the sender, then waits up to `limit_ms` for the receiver to see the end of the stream. Returns whether every
 * byte arrived as it was sent. */
bool flow_finish(struct flow* flow, int limit_ms);

void flow_close(struct flow* flow);

#endif
