/*
 * waiter.h: the ways in which a program can wait for a descriptor on Haiku, behind one call.
 */
#ifndef WAITER_H
#define WAITER_H

#include <stdbool.h>

/* READ_BLOCKING waits in read() itself; its waiter reports nothing. */
enum read_mode { READ_BLOCKING, READ_POLL, READ_SELECT, READ_OBJECTS, READ_KQUEUE, READ_MODES };

enum {
    EVENT_READ = 1,
    EVENT_WRITE = 2,
    EVENT_ERROR = 4,   /* POLLERR */
    EVENT_HANG_UP = 8, /* POLLHUP */
    EVENT_INVALID = 16 /* the descriptor was closed */
};

struct waiter {
    enum read_mode mode;
    int fd;
    int events; /* what is waited for: EVENT_READ, EVENT_WRITE */
    int queue;  /* READ_KQUEUE: the kqueue, -1 otherwise */
};

/* Returns the name of the call. */
const char* waiter_name(enum read_mode mode);

/* Returns whether this system has the call, as far as it was compiled in. */
bool waiter_exists(enum read_mode mode);

/* Prepares to wait for `events` of `fd`. A kqueue registers the descriptor here, once. Returns false with errno set if
 * that failed. */
bool waiter_open(struct waiter* waiter, enum read_mode mode, int fd, int events);

/* Waits for up to `milliseconds`. Returns the events that hold, 0 if none did, -1 with errno set if the call failed. */
int waiter_wait(const struct waiter* waiter, int milliseconds);

void waiter_close(struct waiter* waiter);

/* Writes "READ|HANG_UP" and the like into `text`, which needs 48 bytes, and returns it. */
const char* events_text(int events, char* text);

#endif
