/*
 * measure_rtt.c: round trips of single packets.
 */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { ECHO_PORT = 7001, ECHO_ID = 0x7475, ECHO_HEADER = 8, WARM_UP = 200, TIMEOUT_MS = 300 };

struct round_trip {
    const struct unit* unit;
    int family, socket;
    bool icmp;
    size_t size;
    uint8_t *request, *reply;
};

static void open_socket(struct round_trip* trip)
{
    if (trip->icmp) {
        trip->socket = socket(trip->family, SOCK_RAW, trip->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
        if (trip->socket < 0)
            fail("raw socket");
    } else
        trip->socket = unit_udp_socket(trip->unit, trip->family, ECHO_PORT);
    struct timeval timeout = { 0, TIMEOUT_MS * 1000 };
    setsockopt(trip->socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static const uint8_t* address_start(const struct address* address)
{
    return address->any.sa_family == AF_INET6
        ? (const uint8_t*)&((const struct sockaddr_in6*)&address->storage)->sin6_addr
        : (const uint8_t*)&((const struct sockaddr_in*)&address->storage)->sin_addr;
}

static bool send_request(struct round_trip* trip, uint16_t sequence)
{
    if (!trip->icmp) {
        put16(trip->request, sequence);
        return send(trip->socket, trip->request, trip->size, 0) >= 0;
    }
    struct address far = unit_far(trip->unit, trip->family, 0), local = unit_local(trip->unit, trip->family, 0);
    size_t length = ECHO_HEADER + trip->size;
    uint8_t* icmp = trip->request;
    icmp[0] = trip->family == AF_INET6 ? 128 : 8;
    icmp[1] = 0;
    put16(icmp + 2, 0);
    put16(icmp + 4, ECHO_ID);
    put16(icmp + 6, sequence);
    uint32_t sum = 0;
    if (trip->family == AF_INET6)
        sum = checksum_pseudo_header(address_start(&local), address_start(&far), 16, IPPROTO_ICMPV6, length);
    put16(icmp + 2, checksum_finish(checksum_add(sum, icmp, length)));
    return sendto(trip->socket, icmp, length, 0, &far.any, far.length) >= 0;
}

/* Returns whether what was received is the reply; others are of earlier requests or of other programs. */
static bool is_reply(const struct round_trip* trip, ssize_t length, uint16_t sequence)
{
    const uint8_t* data = trip->reply;
    if (!trip->icmp)
        return length == (ssize_t)trip->size && get16(data) == sequence;
    /* A raw socket may get the IP header too; no type of echo looks like one. */
    size_t header = 0;
    if (length > 0 && data[0] >> 4 == 4)
        header = (size_t)(data[0] & 15) * 4;
    else if (length > 0 && data[0] >> 4 == 6)
        header = 40;
    if (length < (ssize_t)header + ECHO_HEADER)
        return false;
    data += header;
    return (data[0] == 0 || data[0] == 129) && get16(data + 4) == ECHO_ID && get16(data + 6) == sequence;
}

/* Waits for the reply. Returns 1 if it came, 0 if it is lost, -1 if it had been there when the wait timed out. */
static int wait_reply(struct round_trip* trip, uint16_t sequence)
{
    for (;;) {
        ssize_t length = recv(trip->socket, trip->reply, PACKET_SPACE, 0);
        if (length >= 0) {
            if (is_reply(trip, length, sequence))
                return 1;
            continue;
        }
        if (errno == EINTR)
            continue;
        while ((length = recv(trip->socket, trip->reply, PACKET_SPACE, MSG_DONTWAIT)) >= 0) {
            if (is_reply(trip, length, sequence))
                return -1;
        }
        return 0;
    }
}

void measure_rtt(struct unit* unit, const struct arguments* arguments)
{
    struct round_trip trip = { .unit = unit, .family = has_word(arguments, "inet6") ? AF_INET6 : AF_INET };
    trip.icmp = has_word(arguments, "icmp");
    trip.size = arguments->count > 1 ? (size_t)atol(arguments->words[1]) : 64;
    if (trip.size < 2)
        trip.size = 2;
    size_t samples = (size_t)option(arguments, "samples", 2000);
    enum read_mode mode = has_word(arguments, "poll") ? READ_POLL : READ_BLOCKING;
    trip.request = calloc(1, PACKET_SPACE);
    trip.reply = malloc(PACKET_SPACE);
    int64_t* times = calloc(samples, sizeof(times[0]));
    if (trip.request == NULL || trip.reply == NULL || times == NULL)
        fail("malloc");
    if (trip.family == AF_INET6 && !unit->ipv6) {
        report("rtt driver=%s unit=%s skipped: the unit has no IPv6", unit_driver(unit), unit->name);
        return;
    }

    struct far_side far;
    far_side_init(&far, unit, mode);
    far_side_start(&far);
    far_side_warm_up(&far, trip.family);
    open_socket(&trip);
    size_t count = 0, lost = 0, late = 0, refused = 0;
    for (size_t i = 0; i < samples + WARM_UP; i++) {
        int64_t start = now_ns();
        if (!send_request(&trip, (uint16_t)i)) {
            refused++;
            continue;
        }
        int outcome = wait_reply(&trip, (uint16_t)i);
        int64_t end = now_ns();
        if (outcome == 0)
            lost++;
        else if (outcome < 0)
            late++;
        else if (i >= WARM_UP)
            times[count++] = end - start;
    }
    close(trip.socket);
    far_side_stop(&far);
    int64_t median = quantile(times, count, 500);
    set_result(median);
    report("rtt driver=%s unit=%s proto=%s family=%s size=%zu read=%s samples=%zu median_ns=%lld p10_ns=%lld"
        " p90_ns=%lld max_ns=%lld lost=%zu late=%zu refused=%zu", unit_driver(unit), unit->name,
        trip.icmp ? "icmp" : "udp", trip.family == AF_INET6 ? "inet6" : "inet", trip.size,
        mode == READ_POLL ? "poll" : "block", count, (long long)median, (long long)quantile(times, count, 100),
        (long long)quantile(times, count, 900), (long long)quantile(times, count, 1000), lost, late, refused);
    verdict(lost == 0 && count > 0, "rtt-complete lost=%zu late=%zu", lost, late);
    free(times);
    free(trip.request);
    free(trip.reply);
}
