/*
 * check_batches.c: TUNREADBATCH and TUNWRITEBATCH.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PACKETS = 32, BATCH_PORT = 7620, FROM_PORT = 7621, RECORDS = 96 * 1024 };

/* A header and the records behind it. */
static struct {
    struct tun_batch header;
    uint8_t records[RECORDS];
} s_batch;

static uint8_t s_packet[PACKET_SPACE];

static void begin(uint32_t packets, uint32_t records)
{
    s_batch.header = (struct tun_batch) { TUN_VERSION, (uint32_t)sizeof(s_batch.header) + records, packets, 0 };
}

/* Returns the length of a record for a packet of this length. */
static uint32_t record_length(size_t length)
{
    return (uint32_t)((4 + length + 3) & ~(size_t)3);
}

/* Adds a record at `offset`; returns the offset behind it. */
static uint32_t add_record(uint32_t offset, const uint8_t* packet, size_t length)
{
    uint32_t word = (uint32_t)length;
    memcpy(s_batch.records + offset, &word, sizeof(word));
    memcpy(s_batch.records + offset + 4, packet, length);
    return offset + record_length(length);
}

static long read_batch(void* argument)
{
    struct unit* unit = argument;
    begin(PACKETS, RECORDS);
    return ioctl(unit->fd, TUNREADBATCH, &s_batch);
}

/* Counts the records that are numbered from `first` on and have the right length. */
static int count_right(const struct unit* unit, uint32_t first, size_t length)
{
    uint32_t offset = 0;
    int right = 0;
    for (uint32_t i = 0; i < s_batch.header.packets && offset + 4 <= s_batch.header.bytes; i++) {
        uint32_t word;
        memcpy(&word, s_batch.records + offset, sizeof(word));
        if (word > s_batch.header.bytes - offset - 4)
            break;
        right += number_of(unit, s_batch.records + offset + 4, word) == first + (int64_t)i && word == length;
        offset += record_length(word);
    }
    return right;
}

static void check_read(struct unit* unit, int family)
{
    char name[96];
    size_t length = packet_length(unit, family, 500);
    unit_drain(unit);
    send_numbered(unit, family, 100, PACKETS, 500);
    snprintf(name, sizeof(name), "TUNREADBATCH reads, %s", family_name(family));
    if (!expect_success(read_batch(unit), name))
        return;
    expect_equal(s_batch.header.packets, PACKETS, "it says how many packets");
    expect_equal(s_batch.header.bytes, PACKETS * record_length(length), "it says how many bytes");
    snprintf(name, sizeof(name), "the packets are whole and in order, %s", family_name(family));
    expect_equal((uint64_t)count_right(unit, 100, length), PACKETS, name);

    send_numbered(unit, family, 200, 3, 500);
    begin(PACKETS, 2 * record_length(length) + 100);
    expect_success(ioctl(unit->fd, TUNREADBATCH, &s_batch), "a batch that has room for two reads");
    expect_equal(s_batch.header.packets, 2, "it gets two");
    begin(PACKETS, 100);
    expect_error(ioctl(unit->fd, TUNREADBATCH, &s_batch), EINVAL, "a batch without room for one is refused");
    expect_success(read_batch(unit), "a batch reads the third");
    expect_equal((uint64_t)count_right(unit, 202, length), 1, "it was left where it was");
}

static void check_read_waits(struct unit* unit)
{
    struct call call;
    unit_drain(unit);
    unit_set_nonblocking(unit, true);
    expect_error(read_batch(unit), EAGAIN, "a batch of an empty queue, O_NONBLOCK");
    unit_set_nonblocking(unit, false);
    call_start(&call, read_batch, unit);
    if (!expect_blocked(&call, "a batch of an empty queue waits"))
        return;
    send_numbered(unit, AF_INET, 300, 1, 500);
    if (expect_returned(&call, "a packet ends the wait"))
        expect_equal((uint64_t)count_right(unit, 300, packet_length(unit, AF_INET, 500)), 1, "it gets the packet");
}

static void check_write(struct unit* unit, const struct responder* responder, int family)
{
    char name[96];
    uint8_t data[600];
    int socket = open_receiver(unit, family, BATCH_PORT), arrived = 0;
    uint32_t offset = 0;
    for (int i = 0; i < PACKETS; i++)
        offset = add_record(offset, s_packet, build_udp(responder, unit, s_packet, family, FROM_PORT, BATCH_PORT,
            (size_t)(100 + i)));
    begin(PACKETS, offset);
    snprintf(name, sizeof(name), "TUNWRITEBATCH writes, %s", family_name(family));
    expect_success(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), name);
    expect_equal(s_batch.header.packets, PACKETS, "it took every packet");
    expect_equal(s_batch.header.bytes, offset, "it took every byte");
    while (arrived < PACKETS && receive(socket, data, sizeof(data)) == 100 + arrived)
        arrived++;
    snprintf(name, sizeof(name), "the packets arrive in order, %s", family_name(family));
    expect_equal((uint64_t)arrived, PACKETS, name);
    close(socket);
}

static void check_bad_batches(struct unit* unit, const struct responder* responder)
{
    size_t length = build_udp(responder, unit, s_packet, AF_INET, FROM_PORT, DISCARD_PORT, 100);
    uint32_t good = add_record(0, s_packet, length);
    good = add_record(good, s_packet, length);
    uint32_t end = add_record(good, s_packet, 3);
    begin(3, end);
    expect_success(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), "two packets and one of 3 bytes");
    expect_equal(s_batch.header.packets, 2, "the two are taken");
    end = add_record(0, s_packet, 3);
    begin(1, end);
    expect_error(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), EINVAL, "only one of 3 bytes is refused");
    uint32_t word = 0xffffffff;
    memcpy(s_batch.records, &word, sizeof(word));
    begin(1, RECORDS);
    expect_error(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), EINVAL, "a record of 4 GiB is refused");
    add_record(0, s_packet, length);
    begin(1, record_length(length));
    s_batch.header.version = TUN_VERSION + 1;
    expect_error(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), EINVAL, "an unknown version is refused");
    begin(0, record_length(length));
    expect_error(ioctl(unit->fd, TUNWRITEBATCH, &s_batch), EINVAL, "a batch of no packets is refused");
}

void check_batches(struct unit* unit)
{
    struct responder responder;
    settle_neighbours(unit, &responder);
    for (int n = 0; n < families(unit); n++) {
        check_read(unit, family_of(n));
        check_write(unit, &responder, family_of(n));
    }
    check_read_waits(unit);
    check_bad_batches(unit, &responder);
}
