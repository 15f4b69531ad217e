/*
 * measure_flood.c: as many packets as one direction takes.
 */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { FLOOD_PORT = 7002, FLOOD_SOURCE_PORT = 7003, WARM_UP_MS = 200, MAX_SAMPLES = 50 };

enum write_mode { WRITE_BLOCK, WRITE_SPIN, WRITE_POLL };

struct flood {
    struct unit* unit;
    atomic_bool stop;
    atomic_ullong received, written, refused, late, waits;
    int last_error; /* of a refused write or send */
    int socket;
    int receive_buffer;
};

/* Counts datagrams at the socket. */
static void* receive_flood(void* argument)
{
    struct flood* flood = argument;
    uint8_t* data = malloc(PACKET_SPACE);
    if (data == NULL)
        fail("malloc");
    while (!flood->stop) {
        if (recv(flood->socket, data, PACKET_SPACE, 0) >= 0)
            flood->received++;
        else if (recv(flood->socket, data, PACKET_SPACE, MSG_DONTWAIT) >= 0) {
            flood->received++;
            flood->late++;
        }
    }
    free(data);
    return NULL;
}

/* Writes one packet for as long as the window lasts. */
static void write_flood(struct flood* flood, enum write_mode mode, const uint8_t* packet, size_t length, int64_t end)
{
    while (now_ns() < end) {
        if (write(flood->unit->fd, packet, length) >= 0) {
            flood->written++;
            continue;
        }
        flood->refused++;
        flood->last_error = errno;
        if (mode == WRITE_POLL) {
            struct pollfd entry = { .fd = flood->unit->fd, .events = POLLOUT };
            poll(&entry, 1, 100);
            flood->waits++;
        }
    }
}

static const char* write_mode_name(enum write_mode mode)
{
    static const char* const names[] = { "block", "spin", "poll" };
    return names[mode];
}

/* Prints the medians of both rates. */
static void report_rates(const char* name, const struct flood* flood, const char* mode, size_t size, int64_t* arrived,
    int64_t* offered, size_t count)
{
    int64_t median = quantile(arrived, count, 500);
    set_result(median);
    report("%s driver=%s unit=%s size=%zu mode=%s rcvbuf=%d samples=%zu arrived_per_s=%lld min=%lld max=%lld"
        " offered_per_s=%lld refused=%llu refused_errno=%s late=%llu", name, unit_driver(flood->unit),
        flood->unit->name, size, mode, flood->receive_buffer, count, (long long)median,
        (long long)quantile(arrived, count, 0), (long long)quantile(arrived, count, 1000),
        (long long)quantile(offered, count, 500), (unsigned long long)flood->refused,
        flood->last_error != 0 ? strerror(flood->last_error) : "none", (unsigned long long)flood->late);
}

/* The words that both floods take. */
struct flood_options {
    size_t size, samples;
    int64_t window;
};

static struct flood_options options_of(const struct arguments* arguments)
{
    struct flood_options options = {
        .size = arguments->count > 0 ? (size_t)atol(arguments->words[0]) : 64,
        .samples = (size_t)option(arguments, "samples", 5),
        .window = option(arguments, "ms", 1000) * MS,
    };
    if (options.samples > MAX_SAMPLES)
        options.samples = MAX_SAMPLES;
    return options;
}

/* Opens the socket that the packets of flood-in arrive at. */
static void open_receiver(struct flood* flood, int wanted_buffer)
{
    struct address local = unit_local(flood->unit, AF_INET, FLOOD_PORT);
    flood->socket = socket(AF_INET, SOCK_DGRAM, 0);
    if (flood->socket < 0 || bind(flood->socket, &local.any, local.length) < 0)
        fail("socket for the flood");
    if (wanted_buffer != 0
        && setsockopt(flood->socket, SOL_SOCKET, SO_RCVBUF, &wanted_buffer, sizeof(wanted_buffer)) < 0)
        report("note flood-in could not set SO_RCVBUF: %s", strerror(errno));
    socklen_t length = sizeof(flood->receive_buffer);
    getsockopt(flood->socket, SOL_SOCKET, SO_RCVBUF, &flood->receive_buffer, &length);
    struct timeval timeout = { 0, 100000 };
    setsockopt(flood->socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

void measure_flood_in(struct unit* unit, const struct arguments* arguments)
{
    struct flood_options options = options_of(arguments);
    enum write_mode mode = has_word(arguments, "poll") ? WRITE_POLL
        : has_word(arguments, "spin") ? WRITE_SPIN : WRITE_BLOCK;
    int64_t arrived[MAX_SAMPLES], offered[MAX_SAMPLES];

    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);
    far_side_stop(&far);
    unit_set_nonblocking(unit, mode != WRITE_BLOCK);

    struct flood flood = { .unit = unit };
    open_receiver(&flood, (int)option(arguments, "rcvbuf", 0));
    uint8_t* packet = malloc(PACKET_SPACE);
    if (packet == NULL)
        fail("malloc");
    size_t packet_length = build_udp(&far.responder, unit, packet, AF_INET, FLOOD_SOURCE_PORT, FLOOD_PORT,
        options.size);
    struct tun_statistics before;
    struct interface_statistics interface_before;
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    pthread_t receiver = start_thread(receive_flood, &flood);
    write_flood(&flood, mode, packet, packet_length, now_ns() + WARM_UP_MS * MS);
    for (size_t i = 0; i < options.samples; i++) {
        uint64_t received = flood.received, written = flood.written;
        int64_t start = now_ns();
        write_flood(&flood, mode, packet, packet_length, start + options.window);
        int64_t elapsed = now_ns() - start;
        arrived[i] = (int64_t)(flood.received - received) * 1000 * MS / elapsed;
        offered[i] = (int64_t)(flood.written - written) * 1000 * MS / elapsed;
    }
    sleep_ms(500); /* what is queued arrives */
    uint64_t lost = flood.written - flood.received;
    flood.stop = true;
    pthread_join(receiver, NULL);
    close(flood.socket);
    report_rates("flood-in", &flood, write_mode_name(mode), options.size, arrived, offered, options.samples);
    report("flood-in written=%llu received=%llu lost=%llu poll_waits=%llu", (unsigned long long)flood.written,
        (unsigned long long)flood.received, (unsigned long long)lost, (unsigned long long)flood.waits);
    unit_report_counters(unit, "flood-in", &before, &interface_before);
    verdict(flood.received > 0, "flood-in-arrives");
    free(packet);
}

/* Sends datagrams to the discard port for as long as the window lasts. */
static void send_flood(struct flood* flood, const struct address* to, const uint8_t* data, size_t size, int64_t end)
{
    while (now_ns() < end) {
        if (sendto(flood->socket, data, size, 0, &to->any, to->length) >= 0)
            flood->written++;
        else {
            flood->refused++;
            flood->last_error = errno;
        }
    }
}

void measure_flood_out(struct unit* unit, const struct arguments* arguments)
{
    struct flood_options options = options_of(arguments);
    enum read_mode mode = has_word(arguments, "poll") ? READ_POLL : READ_BLOCKING;
    int64_t arrived[MAX_SAMPLES], offered[MAX_SAMPLES];
    struct far_side far;
    far_side_init(&far, unit, mode);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);

    struct flood flood = { .unit = unit };
    struct address discard = unit_far(unit, AF_INET, DISCARD_PORT);
    flood.socket = socket(AF_INET, SOCK_DGRAM, 0);
    uint8_t* data = calloc(1, options.size + 1);
    if (flood.socket < 0 || data == NULL)
        fail("socket for the flood");
    struct tun_statistics before;
    struct interface_statistics interface_before;
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    send_flood(&flood, &discard, data, options.size, now_ns() + WARM_UP_MS * MS);
    for (size_t i = 0; i < options.samples; i++) {
        uint64_t read = far.packets_read, written = flood.written;
        int64_t start = now_ns();
        send_flood(&flood, &discard, data, options.size, start + options.window);
        int64_t elapsed = now_ns() - start;
        arrived[i] = (int64_t)(far.packets_read - read) * 1000 * MS / elapsed;
        offered[i] = (int64_t)(flood.written - written) * 1000 * MS / elapsed;
    }
    sleep_ms(500);
    close(flood.socket);
    report_rates("flood-out", &flood, mode == READ_POLL ? "poll" : "block", options.size, arrived, offered,
        options.samples);
    unit_report_counters(unit, "flood-out", &before, &interface_before);
    verdict(far.packets_read > 0, "flood-out-arrives");
    far_side_stop(&far);
    free(data);
}
