/*
 * measure_batch.c: TUNREADBATCH and TUNWRITEBATCH beside single calls.
 */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

enum { BATCH = 32, BATCH_PORT = 7004, BATCH_SOURCE_PORT = 7005, WARM_UP = 20 };

struct batch_test {
    struct unit* unit;
    size_t record;         /* bytes of a record, padded */
    uint8_t* records;      /* struct tun_batch and the records behind it */
    uint32_t records_size;
    uint8_t *packet, *data;
    size_t packet_length, size;
    int socket;
};

/* Sends a batch's worth of datagrams, then takes them from the unit. Returns the nanoseconds of the taking. */
static int64_t read_round(struct batch_test* test, bool batched)
{
    if (send_discarded(test->unit, AF_INET, BATCH, test->size) != 0)
        fail("send");
    int64_t start = now_ns();
    if (batched) {
        struct tun_batch* batch = (struct tun_batch*)test->records;
        *batch = (struct tun_batch){ TUN_VERSION, test->records_size, BATCH, 0 };
        if (ioctl(test->unit->fd, TUNREADBATCH, batch, test->records_size) < 0)
            fail("TUNREADBATCH");
        if (batch->packets != BATCH) {
            errno = ERANGE;
            fail("TUNREADBATCH returned %u of %d packets", (unsigned)batch->packets, BATCH);
        }
        return now_ns() - start;
    }
    for (int i = 0; i < BATCH; i++) {
        if (read(test->unit->fd, test->packet, PACKET_SPACE) < 0)
            fail("read");
    }
    return now_ns() - start;
}

/* Takes what the socket has; waits for `count` datagrams. */
static void drain(struct batch_test* test, int count)
{
    for (int i = 0; i < count; i++) {
        if (recv(test->socket, test->data, PACKET_SPACE, 0) < 0 && recv(test->socket, test->data, PACKET_SPACE,
                MSG_DONTWAIT) < 0)
            fail("datagram %d of a batch did not arrive", i);
    }
}

/* Writes a batch's worth of packets. Returns the nanoseconds of the writing; `whole` gets those until all arrived. */
static int64_t write_round(struct batch_test* test, bool batched, int64_t* whole)
{
    int64_t start = now_ns();
    if (batched) {
        struct tun_batch* batch = (struct tun_batch*)test->records;
        *batch = (struct tun_batch){ TUN_VERSION, test->records_size, BATCH, 0 };
        if (ioctl(test->unit->fd, TUNWRITEBATCH, batch, test->records_size) < 0)
            fail("TUNWRITEBATCH");
    } else {
        for (int i = 0; i < BATCH; i++) {
            if (write(test->unit->fd, test->packet, test->packet_length) < 0)
                fail("write");
        }
    }
    int64_t calls = now_ns() - start;
    drain(test, BATCH);
    *whole = now_ns() - start;
    return calls;
}

static void run(struct batch_test* test, bool inwards, bool batched, size_t samples)
{
    int64_t* calls = calloc(samples, sizeof(calls[0]));
    int64_t* wholes = calloc(samples, sizeof(wholes[0]));
    if (calls == NULL || wholes == NULL)
        fail("malloc");
    for (size_t i = 0; i < samples + WARM_UP; i++) {
        int64_t whole = 0, call = inwards ? write_round(test, batched, &whole) : read_round(test, batched);
        if (i >= WARM_UP) {
            calls[i - WARM_UP] = call / BATCH;
            wholes[i - WARM_UP] = whole / BATCH;
        }
    }
    report("batch driver=%s unit=%s direction=%s size=%zu calls=%s packets=%d call_ns_per_packet=%lld"
        " arrived_ns_per_packet=%lld", unit_driver(test->unit), test->unit->name, inwards ? "in" : "out", test->size,
        batched ? "batch" : "single", BATCH, (long long)quantile(calls, samples, 500),
        (long long)quantile(wholes, samples, 500));
    free(calls);
    free(wholes);
}

void measure_batch(struct unit* unit, const struct arguments* arguments)
{
    bool inwards = has_word(arguments, "in");
    size_t samples = (size_t)option(arguments, "samples", 200);
    struct batch_test test = { .unit = unit };
    test.size = arguments->count > 1 ? (size_t)atol(arguments->words[1]) : 64;
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);
    far_side_stop(&far);
    unit_drain(unit);

    test.packet = malloc(PACKET_SPACE);
    test.data = malloc(PACKET_SPACE);
    if (test.packet == NULL || test.data == NULL)
        fail("malloc");
    test.packet_length = build_udp(&far.responder, unit, test.packet, AF_INET, BATCH_SOURCE_PORT, BATCH_PORT,
        test.size);
    test.record = (4 + test.packet_length + 3) & ~(size_t)3;
    test.records_size = (uint32_t)(sizeof(struct tun_batch) + BATCH * test.record);
    test.records = calloc(1, test.records_size);
    if (test.records == NULL)
        fail("malloc");
    for (int i = 0; i < BATCH; i++) {
        uint8_t* record = test.records + sizeof(struct tun_batch) + (size_t)i * test.record;
        uint32_t length = (uint32_t)test.packet_length;
        memcpy(record, &length, sizeof(length));
        memcpy(record + sizeof(length), test.packet, test.packet_length);
    }
    struct address local = unit_local(unit, AF_INET, BATCH_PORT);
    test.socket = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval timeout = { 1, 0 };
    setsockopt(test.socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (test.socket < 0 || bind(test.socket, &local.any, local.length) < 0)
        fail("socket for the batches");
    int buffer = 256 * 1024;
    setsockopt(test.socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));

    run(&test, inwards, false, samples);
    if (unit->stock)
        report("batch driver=%s skipped: the driver has no batches", unit_driver(unit));
    else
        run(&test, inwards, true, samples);
    close(test.socket);
    free(test.packet);
    free(test.data);
    free(test.records);
}
