/*
 * check_ending.c: calls that wait while their descriptor is closed, their interface goes down, or is deleted.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WRITERS = 4, FLOOD_MS = 300, WAIT_MS = 5000, FROM_PORT = 7641 };

struct waiting {
    int fd;
    enum read_mode mode;
    struct call call;
};

static uint8_t s_packet[PACKET_SPACE];

static long wait_or_read(void* argument)
{
    struct waiting* waiting = argument;
    uint8_t packet[2048];
    if (waiting->mode == READ_BLOCKING)
        return read(waiting->fd, packet, sizeof(packet));
    struct waiter waiter;
    if (!waiter_open(&waiter, waiting->mode, waiting->fd, EVENT_READ))
        return -1;
    long events = waiter_wait(&waiter, WAIT_MS);
    int error = errno;
    waiter_close(&waiter);
    errno = error;
    return events;
}

static long read_batch(void* argument)
{
    struct waiting* waiting = argument;
    struct {
        struct tun_batch header;
        uint8_t records[4096];
    } batch = { .header = { TUN_VERSION, sizeof(batch), 2, 0 } };
    return ioctl(waiting->fd, TUNREADBATCH, &batch);
}

/* Starts a call that waits for a packet; returns whether it does. */
static bool start_waiting(struct waiting* waiting, const struct unit* unit, enum read_mode mode, bool batch)
{
    char name[64];
    waiting->fd = unit->fd;
    waiting->mode = mode;
    call_start(&waiting->call, batch ? read_batch : wait_or_read, waiting);
    snprintf(name, sizeof(name), "%s waits", batch ? "TUNREADBATCH" : waiter_name(mode));
    return expect_blocked(&waiting->call, name);
}

/* Haiku tells select and a kqueue nothing of a descriptor that is closed: they wait on, as on other systems. */
static bool learns_of_close(enum read_mode mode)
{
    return mode != READ_SELECT && mode != READ_KQUEUE;
}

static void check_close_under(struct unit* unit, enum read_mode mode, bool batch)
{
    struct waiting waiting;
    char name[96], seen[48];
    if (!start_waiting(&waiting, unit, mode, batch))
        return;
    unit_close(unit);
    if (!learns_of_close(mode)) {
        snprintf(name, sizeof(name), "%s ends at its time limit if not at close", waiter_name(mode));
        bool returned = call_returned(&waiting.call, WAIT_MS + WAKE_MS);
        expect(returned, name, "it still waits");
        unit_open(unit, 0);
        return;
    }
    snprintf(name, sizeof(name), "close ends %s", batch ? "TUNREADBATCH" : waiter_name(mode));
    if (expect_returned(&waiting.call, name)) {
        if (mode == READ_BLOCKING)
            expect_error(waiting.call.result, EBADF, "it says so");
        else
            expect((waiting.call.result & EVENT_INVALID) != 0, "it says so", "expected INVALID, saw %s",
                events_text((int)waiting.call.result, seen));
    }
    unit_open(unit, 0);
}

/* Threads that write without end, to a queue that holds one packet, so that some of them wait. */
struct writers {
    int fd;
    size_t length;
    struct call calls[WRITERS];
    atomic_bool stop;
};

static long write_until_error(void* argument)
{
    struct writers* writers = argument;
    while (!writers->stop) {
        if (write(writers->fd, s_packet, writers->length) < 0)
            return -1;
    }
    return 0;
}

static void set_queue_to_stack(const struct unit* unit, uint32_t packets)
{
    struct tun_limits limits = { .version = TUN_VERSION, .size = sizeof(limits) };
    if (ioctl(unit->fd, TUNGETLIMITS, &limits) < 0)
        fail("TUNGETLIMITS");
    limits.to_stack_packets = packets;
    if (ioctl(unit->fd, TUNSETLIMITS, &limits) < 0)
        fail("TUNSETLIMITS");
}

static void start_writers(struct writers* writers, const struct unit* unit, const struct responder* responder)
{
    set_queue_to_stack(unit, 1);
    writers->fd = unit->fd;
    writers->stop = false;
    writers->length = build_udp(responder, unit, s_packet, AF_INET, FROM_PORT, DISCARD_PORT, 100);
    for (int i = 0; i < WRITERS; i++)
        call_start(&writers->calls[i], write_until_error, writers);
    sleep_ms(FLOOD_MS);
}

/* Checks that every writer has ended, with one of two errors. */
static void expect_writers_ended(struct writers* writers, int error, int other_error, const char* name)
{
    int ended = 0, right = 0, last = 0;
    for (int i = 0; i < WRITERS; i++) {
        bool returned = call_returned(&writers->calls[i], WAKE_MS);
        ended += returned;
        if (returned && (errno == error || errno == other_error))
            right++;
        else if (returned)
            last = errno;
    }
    writers->stop = true;
    expect(ended == WRITERS && right == WRITERS, name,
        "expected %d writers to end with \"%s\", %d ended and %d of them so; another error was \"%s\"", WRITERS,
        strerror(error), ended, right, last == 0 ? "none" : strerror(last));
}

void check_closing(struct unit* unit)
{
    struct responder responder;
    struct writers writers;
    settle_neighbours(unit, &responder);
    for (enum read_mode mode = READ_BLOCKING; mode < READ_MODES; mode++) {
        if (waiter_exists(mode))
            check_close_under(unit, mode, false);
    }
    check_close_under(unit, READ_BLOCKING, true);
    start_writers(&writers, unit, &responder);
    unit_close(unit);
    expect_writers_ended(&writers, EBADF, EBADF, "close ends four writers");
    unit_open(unit, 0);
    set_queue_to_stack(unit, 512);
    settle_neighbours(unit, NULL);
    expect(true, "the unit works afterwards", "no echo");
}

void check_going_down(struct unit* unit)
{
    struct responder responder;
    struct writers writers;
    struct waiting reading, polling;
    char seen[48];
    settle_neighbours(unit, &responder);
    bool waits = start_waiting(&polling, unit, READ_POLL, false);
    waits = start_waiting(&reading, unit, READ_BLOCKING, false) && waits;
    expect_success(bring_down(unit) - 1, "the interface goes down under a read and a poll");
    expect_blocked(&reading.call, "the read goes on waiting");
    expect_blocked(&polling.call, "the poll goes on waiting");
    expect_success(bring_up(unit) - 1, "the interface comes up again");
    send_numbered(unit, AF_INET, 1, 1, 100);
    if (waits && expect_returned(&reading.call, "a packet ends the read"))
        expect(reading.call.result > 0, "the read gets it", "it failed with \"%s\"", strerror(errno));
    /* The read may have taken the packet before the poll looked, so another one follows. */
    send_numbered(unit, AF_INET, 2, 1, 100);
    if (waits && expect_returned(&polling.call, "a packet ends the poll"))
        expect(polling.call.result == EVENT_READ, "the poll says readable", "saw %s",
            events_text((int)polling.call.result, seen));
    unit_drain(unit);
    start_writers(&writers, unit, &responder);
    expect_success(bring_down(unit) - 1, "the interface goes down under four writers");
    expect_writers_ended(&writers, ENETDOWN, ENETDOWN, "their writes say so");
    expect_success(bring_up(unit) - 1, "the interface comes up again");
    set_queue_to_stack(unit, 512);
    settle_neighbours(unit, NULL);
    expect(true, "the unit works afterwards", "no echo");
}

/* Deletes the interface, which must not take long. */
static bool delete_under(const struct unit* unit)
{
    int64_t start = now_ns();
    bool deleted = interface_delete(unit->name);
    int64_t took = (now_ns() - start) / MS;
    if (!expect_success(deleted - 1, "the interface is deleted"))
        return false;
    return expect(took < WAKE_MS, "that does not wait for the program", "it took %lld ms", (long long)took);
}

/* Makes the interface again and checks that the descriptor works without being opened again. */
static bool make_again(struct unit* unit)
{
    int64_t took = unit_add_interface(unit);
    if (!expect(took >= 0, "the interface is made again", "it failed with \"%s\" for 200 s", strerror(errno)))
        return false;
    unit_configure(unit);
    struct far_side far;
    far_side_init(&far, unit, READ_POLL);
    far_side_start(&far);
    for (int n = 0; n < families(unit); n++) {
        far_side_warm_up(&far, family_of(n));
        expect_equal((uint64_t)exchange_echoes(unit, family_of(n), 10), 10, "packets flow through the same descriptor");
    }
    far_side_stop(&far);
    unit_drain(unit);
    unit_set_nonblocking(unit, false);
    return true;
}

static bool check_delete_under_read(struct unit* unit, bool batch)
{
    struct waiting waiting;
    if (!start_waiting(&waiting, unit, READ_BLOCKING, batch) || !delete_under(unit))
        return false;
    if (expect_returned(&waiting.call, "deletion ends the wait"))
        expect_error(waiting.call.result, ENXIO, "it says so");
    unit_set_nonblocking(unit, true);
    expect_error(read(unit->fd, s_packet, sizeof(s_packet)), EAGAIN, "it says so once");
    unit_set_nonblocking(unit, false);
    return make_again(unit);
}

static bool check_delete_under_waiters(struct unit* unit, const struct responder* responder)
{
    size_t length = build_udp(responder, unit, s_packet, AF_INET, FROM_PORT, DISCARD_PORT, 100);
    struct waiting waiting[READ_MODES];
    char name[96], seen[48];
    uint8_t buffer[100];
    bool started[READ_MODES] = { false };
    for (enum read_mode mode = READ_POLL; mode < READ_MODES; mode++)
        started[mode] = waiter_exists(mode) && start_waiting(&waiting[mode], unit, mode, false);
    if (!delete_under(unit))
        return false;
    for (enum read_mode mode = READ_POLL; mode < READ_MODES; mode++) {
        snprintf(name, sizeof(name), "deletion ends %s", waiter_name(mode));
        if (started[mode] && expect_returned(&waiting[mode].call, name))
            expect((waiting[mode].call.result & (EVENT_READ | EVENT_HANG_UP)) != 0, "it says readable or hang-up",
                "saw %s", events_text((int)waiting[mode].call.result, seen));
    }
    struct waiter waiter;
    waiter_open(&waiter, READ_POLL, unit->fd, EVENT_READ | EVENT_WRITE);
    int events = waiter_wait(&waiter, 0);
    expect((events & (EVENT_HANG_UP | EVENT_ERROR)) == (EVENT_HANG_UP | EVENT_ERROR), "poll says HANG_UP and ERROR",
        "saw %s", events_text(events, seen));
    unit_set_nonblocking(unit, true);
    expect_error(read(unit->fd, buffer, sizeof(buffer)), ENXIO, "a read says that it was deleted");
    events = waiter_wait(&waiter, 0);
    expect((events & (EVENT_HANG_UP | EVENT_ERROR | EVENT_READ)) == 0, "then poll is quiet", "saw %s",
        events_text(events, seen));
    expect_error(write(unit->fd, s_packet, length), ENXIO, "a write says that it was deleted");
    expect_error(write(unit->fd, s_packet, length), ENETDOWN, "the next that there is none");
    unit_set_nonblocking(unit, false);
    return make_again(unit);
}

void check_deleting(struct unit* unit)
{
    struct responder responder;
    settle_neighbours(unit, &responder);
    if (check_delete_under_read(unit, false) && check_delete_under_read(unit, true))
        check_delete_under_waiters(unit, &responder);
}

void check_deleting_under_writes(struct unit* unit)
{
    struct responder responder;
    struct writers writers;
    settle_neighbours(unit, &responder);
    start_writers(&writers, unit, &responder);
    if (!delete_under(unit))
        return;
    expect_writers_ended(&writers, ENXIO, ENETDOWN, "deletion ends four writers");
    set_queue_to_stack(unit, 512);
    make_again(unit);
}
