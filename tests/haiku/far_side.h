/*
 * far_side.h: the program that has a unit open: a thread that reads packets, answers them and writes the answers.
 */
#ifndef FAR_SIDE_H
#define FAR_SIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "packet.h"
#include "unit.h"
#include "waiter.h"

/* Called for each packet instead of respond(): returns the length of the answer in place, 0 for none. */
typedef size_t (*packet_handler)(void* context, uint8_t* packet, size_t length);

typedef void (*far_side_hook)(void* context, int fd);

struct far_side {
    struct unit* unit;
    struct responder responder;
    enum read_mode mode;
    packet_handler handler; /* NULL: respond() */
    far_side_hook after_packet; /* after a packet was handled and its answer written; NULL: nothing more */
    far_side_hook on_timeout;   /* after `wait_ms` without a packet; READ_BLOCKING never gets there */
    int wait_ms;                /* 0: 1,000 */
    void* context;
    int64_t work_ns;        /* CPU time to spend on each packet */
    pthread_t thread;
    atomic_bool stop, paused, finished;
    atomic_ullong packets_read, write_errors;
    int last_error;         /* errno of the read or wait that ended the thread, 0 if it was stopped */
};

/* Prepares a far side; the unit must be open when it is started. */
void far_side_init(struct far_side* far, struct unit* unit, enum read_mode mode);
void far_side_start(struct far_side* far);

/* Stops the thread and leaves the unit open. A packet to the discard port wakes a blocked read. */
void far_side_stop(struct far_side* far);

/* Closes the unit under the thread, as the end of a program does, and waits up to 2 s for the thread. */
bool far_side_close(struct far_side* far);

/* While paused the thread reads nothing more (it may hold one packet that it had read already). */
void far_side_pause(struct far_side* far, bool paused);

/* Exchanges UDP echoes with the far side until one comes back: neighbours are resolved, addresses learned.
 * Exits if there is none within 5 s. */
void far_side_warm_up(struct far_side* far, int family);

/* Sends `count` datagrams of `payload` bytes to the discard port; returns how many sends failed. */
int send_discarded(const struct unit* unit, int family, int count, size_t payload);

/* Starts a thread, exits if there is none. */
pthread_t start_thread(void* (*function)(void*), void* argument);

void spin_ns(int64_t duration);

#endif
