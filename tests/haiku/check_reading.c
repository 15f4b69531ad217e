/*
 * check_reading.c: read, blocking and not, and what it returns of packets.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The longest of the packets still fits into the MTU. */
enum { PACKETS = 64, LENGTH_STEP = 22, SHORT = 24 };

static uint8_t s_packet[PACKET_SPACE];

static void check_empty(struct unit* unit)
{
    int on = 1, off = 0;
    unit_set_nonblocking(unit, true);
    expect_error(read(unit->fd, s_packet, sizeof(s_packet)), EAGAIN, "an empty queue, O_NONBLOCK by fcntl");
    expect_equal((uint64_t)read(unit->fd, s_packet, 0), 0, "a read of no bytes returns 0");
    unit_set_nonblocking(unit, false);
    expect_success(ioctl(unit->fd, FIONBIO, &on, sizeof(on)), "FIONBIO works");
    expect_error(read(unit->fd, s_packet, sizeof(s_packet)), EAGAIN, "an empty queue, FIONBIO");
    ioctl(unit->fd, FIONBIO, &off, sizeof(off));
    unit_close(unit);
    unit_open(unit, O_NONBLOCK);
    expect_error(read(unit->fd, s_packet, sizeof(s_packet)), EAGAIN, "an empty queue, O_NONBLOCK at open");
    unit_close(unit);
    unit_open(unit, 0);
}

/* Every packet comes whole, once and in order. */
static void check_order(struct unit* unit, int family)
{
    char name[64];
    int failed = 0, right = 0;
    for (int i = 0; i < PACKETS; i++)
        failed += send_numbered(unit, family, (uint32_t)i, 1, 4 + (size_t)i * LENGTH_STEP);
    snprintf(name, sizeof(name), "the stack's sends succeed, %s", family_name(family));
    expect_equal((uint64_t)failed, 0, name);
    for (int i = 0; i < PACKETS; i++) {
        int64_t number;
        ssize_t length = read_numbered(unit, s_packet, sizeof(s_packet), &number, WAKE_MS);
        if (length < 0)
            break;
        right += number == i && (size_t)length == packet_length(unit, family, 4 + (size_t)i * LENGTH_STEP);
    }
    snprintf(name, sizeof(name), "packets are read whole and in order, %s", family_name(family));
    expect_equal((uint64_t)right, PACKETS, name);
}

static void check_short(struct unit* unit)
{
    struct tun_statistics before, after;
    int64_t number = -1;
    unit_statistics(unit, &before);
    send_numbered(unit, AF_INET, 1, 2, 200);
    int available = 0;
    expect_success(ioctl(unit->fd, FIONREAD, &available, sizeof(available)), "FIONREAD works");
    expect_equal((uint64_t)available, packet_length(unit, AF_INET, 200), "FIONREAD says the next packet's length");
    expect_equal((uint64_t)read(unit->fd, s_packet, SHORT), SHORT, "a short buffer gets the packet's beginning");
    ssize_t length = read_numbered(unit, s_packet, sizeof(s_packet), &number, WAKE_MS);
    expect_equal((uint64_t)length, packet_length(unit, AF_INET, 200), "the rest of it is gone");
    expect_equal((uint64_t)number, 2, "the next packet follows");
    unit_statistics(unit, &after);
    expect_equal(after.to_user.truncated - before.to_user.truncated, 1, "it is counted as truncated");
}

static long read_once(void* argument)
{
    struct unit* unit = argument;
    return read(unit->fd, s_packet, sizeof(s_packet));
}

static void check_blocked(struct unit* unit, int family)
{
    struct call call;
    char name[64];
    call_start(&call, read_once, unit);
    snprintf(name, sizeof(name), "a read of an empty queue waits, %s", family_name(family));
    if (!expect_blocked(&call, name))
        return;
    send_numbered(unit, family, 7, 1, 100);
    snprintf(name, sizeof(name), "a packet ends the wait, %s", family_name(family));
    if (expect_returned(&call, name))
        expect_equal((uint64_t)call.result, packet_length(unit, family, 100), "it gets the packet");
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static void check_signal(struct unit* unit)
{
    struct sigaction action = { .sa_handler = ignore_signal };
    struct call call;
    sigaction(SIGUSR1, &action, NULL);
    call_start(&call, read_once, unit);
    if (!expect_blocked(&call, "a read waits for a packet or a signal"))
        return;
    pthread_kill(call.thread, SIGUSR1);
    if (expect_returned(&call, "a signal ends the wait"))
        expect_error(call.result, EINTR, "it says so");
}

void check_reading(struct unit* unit)
{
    settle_neighbours(unit, NULL);
    check_empty(unit);
    for (int n = 0; n < families(unit); n++) {
        check_order(unit, family_of(n));
        check_blocked(unit, family_of(n));
    }
    unit_drain(unit);
    check_short(unit);
    unit_drain(unit);
    check_signal(unit);
}
