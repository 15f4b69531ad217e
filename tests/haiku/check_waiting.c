/*
 * check_waiting.c: poll, select, wait_for_objects and kqueue: what they say of a unit, and echoes by each.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { ECHOES = 300, CLOSED_KQUEUES = 40 };

struct waiting {
    struct unit* unit;
    enum read_mode mode;
};

/* Checks which of `events` hold now. */
static void expect_events(const struct waiting* waiting, int events, int expected, const char* state)
{
    struct waiter waiter;
    char name[96], seen_text[48], expected_text[48];
    snprintf(name, sizeof(name), "%s, %s", waiter_name(waiting->mode), state);
    if (!waiter_open(&waiter, waiting->mode, waiting->unit->fd, events)) {
        expect_success(-1, name);
        return;
    }
    int seen = waiter_wait(&waiter, 0);
    expect(seen == expected, name, "expected %s, saw %s", events_text(expected, expected_text),
        events_text(seen, seen_text));
    waiter_close(&waiter);
}

static long wait_for(const struct waiting* waiting, int event)
{
    struct waiter waiter;
    if (!waiter_open(&waiter, waiting->mode, waiting->unit->fd, event))
        return -1;
    long events = waiter_wait(&waiter, 10 * WAKE_MS);
    int error = errno;
    waiter_close(&waiter);
    errno = error;
    return events;
}

static long wait_readable(void* argument)
{
    return wait_for(argument, EVENT_READ);
}

static long wait_writable(void* argument)
{
    return wait_for(argument, EVENT_WRITE);
}

static void check_states(const struct waiting* waiting)
{
    static uint8_t packet[PACKET_SPACE];
    struct unit* unit = waiting->unit;
    int both = EVENT_READ | EVENT_WRITE;
    int64_t number;
    unit_drain(unit);
    expect_events(waiting, both, EVENT_WRITE, "an empty queue: writable only");
    send_numbered(unit, AF_INET, 1, 2, 100);
    expect_events(waiting, both, both, "a packet queued: readable and writable");
    expect_events(waiting, both, both, "asked again: the same");
    read_numbered(unit, packet, sizeof(packet), &number, WAKE_MS);
    expect_events(waiting, EVENT_READ, EVENT_READ, "one packet read, one left: readable");
    read_numbered(unit, packet, sizeof(packet), &number, WAKE_MS);
    expect_events(waiting, EVENT_READ, 0, "both read: nothing");
}

/* Haiku keeps what a kqueue has registered until the descriptor that it watches is closed, not until the kqueue is. The
 * checks make one for each question, so they open the unit anew now and then. */
static void forget_closed_kqueues(struct unit* unit)
{
    unit_close(unit);
    unit_open(unit, 0);
}

/* However many are registered, no call says that something has gone wrong. */
static void check_closed_kqueues(struct unit* unit)
{
    struct waiter waiter;
    char seen[48];
    for (int i = 0; i < CLOSED_KQUEUES; i++) {
        if (!waiter_open(&waiter, READ_KQUEUE, unit->fd, EVENT_READ | EVENT_WRITE))
            fail("kqueue");
        waiter_close(&waiter);
    }
    waiter_open(&waiter, READ_POLL, unit->fd, EVENT_READ | EVENT_WRITE);
    int events = waiter_wait(&waiter, 0);
    expect(events >= 0 && (events & (EVENT_ERROR | EVENT_HANG_UP)) == 0, "many closed kqueues make no hang-up",
        "saw %s", events_text(events, seen));
}

static void check_wakes(struct waiting* waiting)
{
    struct unit* unit = waiting->unit;
    struct call call;
    char name[96];
    forget_closed_kqueues(unit);
    unit_drain(unit);
    for (int n = 0; n < families(unit); n++) {
        call_start(&call, wait_readable, waiting);
        snprintf(name, sizeof(name), "%s waits for a packet of %s", waiter_name(waiting->mode),
            family_name(family_of(n)));
        if (!expect_blocked(&call, name))
            continue;
        send_numbered(unit, family_of(n), 1, 1, 100);
        snprintf(name, sizeof(name), "a packet of %s ends it", family_name(family_of(n)));
        if (expect_returned(&call, name))
            expect_equal((uint64_t)call.result, EVENT_READ, "it says readable");
        unit_drain(unit);
    }
    bring_down(unit);
    expect_events(waiting, EVENT_WRITE, 0, "interface down: not writable");
    call_start(&call, wait_writable, waiting);
    snprintf(name, sizeof(name), "%s waits to write while the interface is down", waiter_name(waiting->mode));
    bool blocked = expect_blocked(&call, name);
    bring_up(unit);
    if (blocked && expect_returned(&call, "bringing it up ends it"))
        expect_equal((uint64_t)call.result, EVENT_WRITE, "it says writable");
}

/* Echoes through a program that waits in this way. */
static void check_echoes(struct unit* unit, enum read_mode mode)
{
    struct far_side far;
    char name[96];
    far_side_init(&far, unit, mode);
    far_side_start(&far);
    for (int n = 0; n < families(unit); n++) {
        far_side_warm_up(&far, family_of(n));
        int64_t start = now_ns();
        int right = exchange_echoes(unit, family_of(n), ECHOES);
        snprintf(name, sizeof(name), "%d echoes of %s by %s come back whole", ECHOES, family_name(family_of(n)),
            waiter_name(mode));
        expect_equal((uint64_t)right, ECHOES, name);
        note("%s: %d echoes in %lld ms", name, right, (long long)((now_ns() - start) / MS));
    }
    expect_equal(far.write_errors, 0, "every answer was taken");
    expect_equal((uint64_t)far.last_error, 0, "the program's loop saw no error");
    far_side_stop(&far);
    unit_set_nonblocking(unit, false);
}

void check_waiting(struct unit* unit)
{
    check_echoes(unit, READ_BLOCKING);
    for (enum read_mode mode = READ_POLL; mode < READ_MODES; mode++) {
        struct waiting waiting = { .unit = unit, .mode = mode };
        if (!waiter_exists(mode)) {
            skip(waiter_name(mode), "it was not there to compile with");
            continue;
        }
        check_states(&waiting);
        if (mode == READ_KQUEUE)
            check_closed_kqueues(unit);
        check_wakes(&waiting);
        check_echoes(unit, mode);
    }
}
