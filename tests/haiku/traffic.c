/*
 * traffic.c: packets that a check can recognize, and the driver's accounts of them.
 */
#include "traffic.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "expect.h"
#include "report.h"

enum { ECHO_PORT = 7600, LONGEST_ECHO = 1452, AT_REST_MS = 2000, FAR_LIMIT_MS = 1000 };

int families(const struct unit* unit)
{
    return unit->ipv6 ? 2 : 1;
}

int family_of(int n)
{
    return n == 0 ? AF_INET : AF_INET6;
}

const char* family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : "IPv4";
}

void settle_neighbours(struct unit* unit, struct responder* learned)
{
    struct far_side far;
    far_side_init(&far, unit, READ_POLL);
    far_side_start(&far);
    for (int n = 0; n < families(unit); n++)
        far_side_warm_up(&far, family_of(n));
    far_side_stop(&far);
    if (learned != NULL)
        *learned = far.responder;
    unit_drain(unit);
    unit_set_nonblocking(unit, false);
}

int send_numbered(const struct unit* unit, int family, uint32_t first, int count, size_t payload)
{
    struct address discard = unit_far(unit, family, DISCARD_PORT);
    int datagram_socket = socket(family, SOCK_DGRAM, 0), failed = 0;
    uint8_t* data = calloc(1, payload);
    if (datagram_socket < 0 || data == NULL)
        fail("socket for numbered datagrams");
    for (int i = 0; i < count; i++) {
        put32(data, first + (uint32_t)i);
        failed += sendto(datagram_socket, data, payload, 0, &discard.any, discard.length) < 0;
    }
    free(data);
    close(datagram_socket);
    return failed;
}

size_t packet_length(const struct unit* unit, int family, size_t payload)
{
    return (unit->kind == UNIT_TAP ? FRAME_HEADER : 0) + (family == AF_INET6 ? 40 : 20) + 8 + payload;
}

int64_t number_of(const struct unit* unit, const uint8_t* packet, size_t length)
{
    size_t offset = unit->kind == UNIT_TAP ? FRAME_HEADER : 0;
    if (length < offset + 20 + 8 + 4)
        return -1;
    const uint8_t* ip = packet + offset;
    size_t header = ip[0] >> 4 == 6 ? 40 : (size_t)(ip[0] & 15) * 4;
    uint8_t protocol = ip[0] >> 4 == 6 ? ip[6] : ip[9];
    if ((ip[0] >> 4 != 4 && ip[0] >> 4 != 6) || length < offset + header + 12 || protocol != IPPROTO_UDP
        || get16(ip + header + 2) != DISCARD_PORT)
        return -1;
    return get32(ip + header + 8);
}

ssize_t read_numbered(const struct unit* unit, uint8_t* packet, size_t space, int64_t* number, int milliseconds)
{
    int64_t limit = now_ns() + milliseconds * MS;
    for (;;) {
        struct pollfd entry = { .fd = unit->fd, .events = POLLIN };
        int64_t left = (limit - now_ns()) / MS;
        if (poll(&entry, 1, left > 0 ? (int)left : 0) == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        ssize_t length = read(unit->fd, packet, space);
        if (length < 0)
            return -1;
        *number = number_of(unit, packet, (size_t)length);
        if (*number >= 0)
            return length;
    }
}

int open_receiver(const struct unit* unit, int family, uint16_t port)
{
    struct address local = unit_local(unit, family, port);
    int datagram_socket = socket(family, SOCK_DGRAM, 0), on = 1, buffer = 256 * 1024;
    if (datagram_socket < 0)
        fail("socket");
    setsockopt(datagram_socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(datagram_socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    if (bind(datagram_socket, &local.any, local.length) < 0)
        fail("bind");
    struct timeval timeout = { 0, 200000 };
    setsockopt(datagram_socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return datagram_socket;
}

ssize_t receive(int socket, void* data, size_t space)
{
    ssize_t length = recv(socket, data, space, 0);
    return length >= 0 ? length : recv(socket, data, space, MSG_DONTWAIT);
}

int exchange_echoes(const struct unit* unit, int family, int count)
{
    uint8_t request[LONGEST_ECHO], reply[LONGEST_ECHO + 1];
    int echo_socket = unit_udp_socket(unit, family, ECHO_PORT), right = 0;
    struct timeval timeout = { 0, 200000 };
    setsockopt(echo_socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    unsigned seed = 1;
    for (int i = 0; i < count; i++) {
        size_t size = 4 + (size_t)rand_r(&seed) % (sizeof(request) - 3);
        for (size_t at = 0; at < size; at++)
            request[at] = (uint8_t)rand_r(&seed);
        if (send(echo_socket, request, size, 0) < 0)
            continue;
        int64_t limit = now_ns() + FAR_LIMIT_MS * MS;
        ssize_t length;
        do
            length = receive(echo_socket, reply, sizeof(reply));
        while (length < 0 && now_ns() < limit);
        right += length == (ssize_t)size && memcmp(request, reply, size) == 0;
    }
    close(echo_socket);
    return right;
}

bool bring_down(const struct unit* unit)
{
    return interface_set_up(unit->name, false);
}

bool bring_up(const struct unit* unit)
{
    if (!interface_set_up(unit->name, true))
        return false;
    unit_add_routes(unit);
    return true;
}

static uint64_t sum_of(const struct tun_direction* direction)
{
    uint64_t sum = direction->delivered + direction->answered + direction->purged + direction->queued;
    for (int reason = 0; reason < TUN_DROP_REASONS; reason++)
        sum += direction->dropped[reason];
    return sum;
}

static void expect_direction(const struct tun_direction* direction, const char* name)
{
    uint64_t all_dropped = sum_of(direction) - direction->delivered - direction->answered - direction->purged
        - direction->queued;
    expect(direction->accepted == sum_of(direction), name,
        "expected accepted = delivered + answered + purged + dropped + queued, saw %llu = %llu + %llu + %llu + %llu +"
        " %llu", (unsigned long long)direction->accepted, (unsigned long long)direction->delivered,
        (unsigned long long)direction->answered, (unsigned long long)direction->purged,
        (unsigned long long)all_dropped, (unsigned long long)direction->queued);
}

void expect_balance(const struct unit* unit)
{
    struct tun_statistics statistics;
    int64_t limit = now_ns() + AT_REST_MS * MS;
    do {
        if (!unit_statistics(unit, &statistics)) {
            expect_success(-1, "TUNGETSTATISTICS");
            return;
        }
        if (sum_of(&statistics.to_user) == statistics.to_user.accepted
            && sum_of(&statistics.to_stack) == statistics.to_stack.accepted && statistics.to_stack.queued == 0)
            break;
        sleep_ms(5);
    } while (now_ns() < limit);
    expect_direction(&statistics.to_user, "the accounts to the program balance");
    expect_direction(&statistics.to_stack, "the accounts to the stack balance");
    expect_equal(statistics.to_stack.queued, 0, "nothing stays queued to the stack");
}

uint64_t dropped(const struct unit* unit, int reason)
{
    struct tun_statistics statistics;
    return unit_statistics(unit, &statistics) ? statistics.to_user.dropped[reason] : 0;
}
