/*
 * measure_tcp.c: bulk TCP in one direction, against the far side's minimal peer.
 */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "far_tcp.h"

enum { MEGABYTE = 1000000, CHUNK = 65536, TIMEOUT_S = 20, MAX_SAMPLES = 100 };

static int connect_far(const struct unit* unit)
{
    struct address far = unit_far(unit, AF_INET, FAR_TCP_PORT);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    if (stream < 0)
        fail("socket");
    struct timeval timeout = { TIMEOUT_S, 0 };
    setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(stream, &far.any, far.length) < 0)
        fail("connect to the far side");
    return stream;
}

/* Sends everything and waits for the far side's end of stream, which it sends once it has all. */
static bool send_all(int stream, uint8_t* data, uint64_t total)
{
    while (total > 0) {
        ssize_t sent = send(stream, data, total < CHUNK ? total : CHUNK, 0);
        if (sent <= 0)
            return false;
        total -= (uint64_t)sent;
    }
    shutdown(stream, SHUT_WR);
    return recv(stream, data, CHUNK, 0) == 0;
}

static bool receive_all(int stream, uint8_t* data, uint64_t total)
{
    uint64_t received = 0;
    ssize_t length;
    while ((length = recv(stream, data, CHUNK, 0)) > 0)
        received += (uint64_t)length;
    return length == 0 && received == total;
}

static void measure_tcp(struct unit* unit, const struct arguments* arguments, bool outwards)
{
    uint64_t megabytes = arguments->count > 0 ? (uint64_t)atol(arguments->words[0]) : 4;
    uint64_t total = megabytes * MEGABYTE;
    enum read_mode mode = has_word(arguments, "poll") ? READ_POLL : READ_BLOCKING;
    uint32_t window = (uint32_t)option(arguments, "window", 32768);
    size_t samples = (size_t)option(arguments, "samples", 5), count = 0, failed = 0;
    int64_t times[MAX_SAMPLES];
    if (samples > MAX_SAMPLES)
        samples = MAX_SAMPLES;
    uint8_t* data = calloc(1, CHUNK);
    struct far_tcp far;
    if (data == NULL)
        fail("malloc");
    if (megabytes == 0) {
        errno = EINVAL;
        fail("MB");
    }

    if (outwards)
        far_sink_init(&far, unit, mode, window);
    else
        far_source_init(&far, unit, mode, window, total);
    far_side_start(&far.side);
    far_side_warm_up(&far.side, AF_INET);
    struct tun_statistics before;
    struct interface_statistics interface_before;
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    const char* name = outwards ? "tcp-out" : "tcp-in";
    /* The first connection is the warm-up. */
    for (size_t i = 0; i <= samples && failed == 0; i++) {
        int stream = connect_far(unit);
        int64_t start = now_ns();
        bool complete = outwards ? send_all(stream, data, total) : receive_all(stream, data, total);
        int64_t end = now_ns();
        close(stream);
        if (!complete || (outwards && far.received != total)) {
            report("note %s sample=%zu incomplete: %s", name, i, strerror(errno));
            failed++;
        } else if (i > 0)
            times[count++] = (end - start) / (int64_t)megabytes;
    }
    far_side_stop(&far.side);
    int64_t median = quantile(times, count, 500);
    set_result(median);
    report("%s driver=%s unit=%s mb=%llu read=%s window=%u samples=%zu median_ns_per_mb=%lld min=%lld max=%lld"
        " out_of_order=%llu retransmitted=%llu refused=%llu", name, unit_driver(unit), unit->name,
        (unsigned long long)megabytes, mode == READ_POLL ? "poll" : "block", far.window, count, (long long)median,
        (long long)quantile(times, count, 0), (long long)quantile(times, count, 1000),
        (unsigned long long)far.out_of_order, (unsigned long long)far.retransmitted,
        (unsigned long long)far.refused);
    unit_report_counters(unit, name, &before, &interface_before);
    verdict(failed == 0, "%s-complete failed=%zu", name, failed);
    free(data);
}

void measure_tcp_out(struct unit* unit, const struct arguments* arguments)
{
    measure_tcp(unit, arguments, true);
}

void measure_tcp_in(struct unit* unit, const struct arguments* arguments)
{
    measure_tcp(unit, arguments, false);
}
