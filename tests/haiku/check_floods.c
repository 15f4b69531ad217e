/*
 * check_floods.c: more packets than the other side takes, in each direction and in both, counted and compared.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLOOD = 20000, SMALL = 64, LARGE = 1400, FLOOD_PORT = 7650, FROM_PORT = 7651, SENDERS = 3 };

/* A flood is over when nothing has come for QUIET_MS; that takes no longer than SETTLE_MS. */
enum { QUIET_MS = 500, SETTLE_MS = 20000 };

/* What a side saw of numbered packets. */
struct seen {
    const struct unit* unit;
    size_t length; /* that each must have */
    int64_t last;
    atomic_ullong packets;
    uint64_t wrong;
};

/* Waits until a count has stopped to grow. Haiku queues up to 16 MiB of received packets to the thread that hands them
 * to their protocols. */
static void settle(const atomic_ullong* count)
{
    int64_t limit = now_ns() + SETTLE_MS * MS;
    unsigned long long before;
    do {
        before = *count;
        sleep_ms(QUIET_MS);
    } while (*count != before && now_ns() < limit);
}

static void note_number(struct seen* seen, int64_t number, bool right)
{
    seen->wrong += !right || number <= seen->last;
    seen->last = number;
    seen->packets++;
}

/* The program's side of a flood out: numbers must grow. */
static size_t see_packet(void* context, uint8_t* packet, size_t length)
{
    struct seen* seen = context;
    int64_t number = number_of(seen->unit, packet, length);
    if (number >= 0)
        note_number(seen, number, length == seen->length);
    return 0;
}

static void check_flood_out(struct unit* unit, int family, size_t payload)
{
    struct seen seen = { .unit = unit, .length = packet_length(unit, family, payload), .last = -1 };
    struct tun_statistics before, after;
    struct far_side far;
    char name[128];
    unit_drain(unit);
    unit_statistics(unit, &before);
    far_side_init(&far, unit, READ_BLOCKING);
    far.handler = see_packet;
    far.context = &seen;
    far_side_start(&far);
    int refused = send_numbered(unit, family, 0, FLOOD, payload);
    settle(&seen.packets);
    unit_statistics(unit, &after);
    far.handler = NULL;
    far_side_stop(&far);
    uint64_t full = after.to_user.dropped[TUN_DROP_FULL] - before.to_user.dropped[TUN_DROP_FULL];
    snprintf(name, sizeof(name), "flood out, %zu bytes of %s", payload, family_name(family));
    note("%s %s: %d sent, %llu read, %llu dropped as full", unit->name, name, FLOOD, (unsigned long long)seen.packets,
        (unsigned long long)full);
    expect(refused == 0, name, "expected no send to fail, %d did", refused);
    expect(seen.wrong == 0 && seen.packets > 0, "packets come whole and in order",
        "of %llu packets %llu were out of order or of another length", (unsigned long long)seen.packets,
        (unsigned long long)seen.wrong);
    expect_equal(seen.packets + full, FLOOD, "each was read or dropped as full");
}

struct flood_in {
    struct unit* unit;
    int socket, fd;
    size_t length;
    atomic_bool stop;
    atomic_ullong received, altered, written, failed;
    atomic_int last_error; /* of a write that failed */
    const uint8_t* packet;
};

static void* receive_all(void* argument)
{
    struct flood_in* flood = argument;
    uint8_t data[LARGE + 1];
    while (!flood->stop) {
        ssize_t length = receive(flood->socket, data, sizeof(data));
        if (length < 0)
            continue;
        flood->received++;
        for (ssize_t i = 0; i < length; i++) {
            if (data[i] != (uint8_t)i) {
                flood->altered++;
                break;
            }
        }
    }
    return NULL;
}

/* Haiku may interrupt a wait by the signal that starts the thread, and by that of pthread_join(): the write is made
 * again. */
static void* write_all(void* argument)
{
    struct flood_in* flood = argument;
    for (int i = 0; i < FLOOD / SENDERS; i++) {
        ssize_t length;
        do
            length = write(flood->fd, flood->packet, flood->length);
        while (length < 0 && errno == EINTR);
        if (length == (ssize_t)flood->length)
            flood->written++;
        else {
            flood->last_error = errno;
            flood->failed++;
        }
    }
    return NULL;
}

static void check_flood_in(struct unit* unit, const struct responder* responder, int family, size_t payload)
{
    static uint8_t packet[PACKET_SPACE];
    struct flood_in flood = { .unit = unit, .fd = unit->fd, .packet = packet };
    struct tun_statistics before, after;
    pthread_t receiver, writers[SENDERS];
    char name[128];
    flood.socket = open_receiver(unit, family, FLOOD_PORT);
    flood.length = build_udp(responder, unit, packet, family, FROM_PORT, FLOOD_PORT, payload);
    unit_statistics(unit, &before);
    receiver = start_thread(receive_all, &flood);
    for (int i = 0; i < SENDERS; i++)
        writers[i] = start_thread(write_all, &flood);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(writers[i], NULL);
    settle(&flood.received);
    flood.stop = true;
    pthread_join(receiver, NULL);
    close(flood.socket);
    unit_statistics(unit, &after);
    snprintf(name, sizeof(name), "flood in, %zu bytes of %s by %d threads", payload, family_name(family), SENDERS);
    note("%s %s: %llu written, %llu received", unit->name, name, (unsigned long long)flood.written,
        (unsigned long long)flood.received);
    expect(flood.failed == 0, name, "expected no write to fail, %llu did, one with \"%s\"",
        (unsigned long long)flood.failed, strerror(flood.last_error));
    expect(flood.received > 0 && flood.altered == 0, "packets arrive as they were written",
        "of %llu %llu were altered",
        (unsigned long long)flood.received, (unsigned long long)flood.altered);
    expect_equal(after.to_stack.accepted - before.to_stack.accepted, flood.written,
        "each write is counted as accepted");
    expect_equal(after.to_stack.delivered - before.to_stack.delivered, flood.written, "each is delivered to the stack");
}

/* Echoes from several threads at once: packets cross in both directions and some queues are full at times. */
static void* send_echoes(void* argument)
{
    send_numbered(argument, AF_INET, 0, FLOOD / SENDERS, SMALL);
    return NULL;
}

static void check_both_ways(struct unit* unit)
{
    struct far_side far;
    pthread_t senders[SENDERS];
    far_side_init(&far, unit, READ_POLL);
    far_side_start(&far);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = start_thread(send_echoes, unit);
    int during = exchange_echoes(unit, AF_INET, 50);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    settle(&far.packets_read);
    int after = exchange_echoes(unit, AF_INET, 50);
    far_side_stop(&far);
    unit_set_nonblocking(unit, false);
    note("%s: %d of 50 echoes came back beside a flood of three threads", unit->name, during);
    expect_equal((uint64_t)after, 50, "after a flood by three threads every echo comes back");
}

void check_floods(struct unit* unit)
{
    struct responder responder;
    settle_neighbours(unit, &responder);
    for (int n = 0; n < families(unit); n++) {
        check_flood_out(unit, family_of(n), SMALL);
        check_flood_out(unit, family_of(n), LARGE);
        check_flood_in(unit, &responder, family_of(n), SMALL);
        check_flood_in(unit, &responder, family_of(n), LARGE);
    }
    check_both_ways(unit);
}
