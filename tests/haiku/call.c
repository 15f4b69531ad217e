/*
 * call.c: a call that may block, made in a thread of its own.
 */
#include "call.h"

#include <errno.h>

#include "expect.h"
#include "far_side.h"
#include "report.h"

static void* run_call(void* argument)
{
    struct call* call = argument;
    /* With several CPUs, Haiku may interrupt the first wait of a thread by the signal that starts it. Let it be this
     * one. */
    sleep_ms(1);
    errno = 0;
    call->result = call->function(call->argument);
    call->error = errno;
    call->finished = true;
    return NULL;
}

void call_start(struct call* call, long (*function)(void*), void* argument)
{
    call->function = function;
    call->argument = argument;
    call->result = call->error = 0;
    call->finished = false;
    call->thread = start_thread(run_call, call);
}

bool call_returned(struct call* call, int milliseconds)
{
    int64_t limit = now_ns() + milliseconds * MS;
    while (!call->finished) {
        if (now_ns() > limit)
            return false;
        sleep_ms(1);
    }
    errno = call->error;
    return true;
}

bool expect_blocked(struct call* call, const char* name)
{
    bool returned = call_returned(call, BLOCKED_MS);
    return expect(!returned, name, "expected it to wait, it returned %ld, errno %d", call->result, call->error);
}

bool expect_returned(struct call* call, const char* name)
{
    bool returned = call_returned(call, WAKE_MS);
    expect(returned, name, "expected it to return, it still waits after %d ms", WAKE_MS);
    errno = call->error;
    return returned;
}
