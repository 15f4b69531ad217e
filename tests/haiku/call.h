/*
 * call.h: a call that may block, made in a thread of its own, so that the check can see whether it has returned.
 */
#ifndef CALL_H
#define CALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
    BLOCKED_MS = 150, /* a call that has not returned after this time is taken to be blocked */
    WAKE_MS = 2000    /* a call that should return must do so within this time */
};

struct call {
    long (*function)(void* argument);
    void* argument;
    pthread_t thread;
    long result;
    int error; /* errno after the call */
    atomic_bool finished;
};

/* Starts the call. */
void call_start(struct call* call, long (*function)(void*), void* argument);

/* Waits for up to `milliseconds`; returns whether the call has returned, with errno as it left it. */
bool call_returned(struct call* call, int milliseconds);

/* Checks that the call is still blocked after BLOCKED_MS. */
bool expect_blocked(struct call* call, const char* name);

/* Checks that the call returns within WAKE_MS; sets errno as it left it. */
bool expect_returned(struct call* call, const char* name);

#endif
