/*
 * batch.c: answers every ping to a TUN, up to 64 packets a call. Distributed under the terms of the MIT license.
 *
 *     gcc -Wall -o batch batch.c && ./batch /dev/tun/0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <tun_tap.h>

#include "reply.h"

#define PACKETS 64
#define RECORDS (128 * 1024)

/* The header and its records, in one piece of memory. */
struct batch {
    struct tun_batch head;
    uint8_t records[RECORDS];
};

static int failed(const char* what)
{
    fprintf(stderr, "batch: %s: %s\n", what, strerror(errno));
    return 1;
}

static void prepare(struct batch* batch, uint32_t packets, uint32_t bytes)
{
    batch->head.version = TUN_VERSION;
    batch->head.size = sizeof(batch->head) + bytes;
    batch->head.packets = packets;
    batch->head.bytes = 0;
}

/* Copies the record of each ping in `from` to `to`, as its reply. */
static void answer(struct batch* from, struct batch* to)
{
    uint32_t packets = 0, bytes = 0;
    uint8_t* record = from->records;
    for (uint32_t i = 0; i < from->head.packets; i++) {
        uint32_t length;
        memcpy(&length, record, sizeof(length));
        uint32_t size = sizeof(length) + (length + 3) / 4 * 4;
        if (make_reply(record + sizeof(length), length)) {
            memcpy(to->records + bytes, record, size);
            packets++;
            bytes += size;
        }
        record += size;
    }
    prepare(to, packets, bytes);
}

/* Writes all records of a batch. A call may take a part of them: the rest moves to the front for the next. */
static int write_all(int tun, struct batch* batch)
{
    uint32_t packets = batch->head.packets, bytes = batch->head.size - sizeof(batch->head);
    while (packets > 0) {
        prepare(batch, packets, bytes);
        if (ioctl(tun, TUNWRITEBATCH, &batch->head) != 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        packets -= batch->head.packets;
        bytes -= batch->head.bytes;
        memmove(batch->records, batch->records + batch->head.bytes, bytes);
    }
    return 0;
}

int main(int argc, char** argv)
{
    const char* device = argc > 1 ? argv[1] : "/dev/tun/0";
    int tun = open(device, O_RDWR);
    if (tun < 0)
        return failed(device);
    printf("answering the pings to %s in batches\n", device);
    fflush(stdout);

    static struct batch requests, replies;
    for (;;) {
        /* Waits for a packet, and returns it with those that are queued behind it. */
        prepare(&requests, PACKETS, RECORDS);
        if (ioctl(tun, TUNREADBATCH, &requests.head) != 0) {
            if (errno == EINTR || errno == ENXIO)
                continue;
            return failed("TUNREADBATCH");
        }
        answer(&requests, &replies);
        if (write_all(tun, &replies) != 0)
            failed("replies were lost");
    }
}
