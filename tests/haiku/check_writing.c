/*
 * check_writing.c: write, and what it makes of packets.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE_PORT = 7610, FROM_PORT = 7611, TOO_LONG = 100000, JUMBO = 8000 };

static uint8_t s_packet[TOO_LONG];

struct writing {
    struct unit* unit;
    struct responder responder;
};

static size_t build(const struct writing* writing, int family, size_t payload)
{
    return build_udp(&writing->responder, writing->unit, s_packet, family, FROM_PORT, WRITE_PORT, payload);
}

static void check_arrives(const struct writing* writing, int family, size_t payload)
{
    static uint8_t data[JUMBO + 1];
    char name[96];
    int socket = open_receiver(writing->unit, family, WRITE_PORT);
    size_t length = build(writing, family, payload);
    snprintf(name, sizeof(name), "a packet with %zu bytes of %s is written whole", payload, family_name(family));
    expect_equal((uint64_t)write(writing->unit->fd, s_packet, length), length, name);
    ssize_t received = receive(socket, data, sizeof(data));
    size_t right = 0;
    while (received >= 0 && right < (size_t)received && data[right] == (uint8_t)right)
        right++;
    snprintf(name, sizeof(name), "and %zu bytes of %s arrive as written", payload, family_name(family));
    expect(received == (ssize_t)payload && right == payload, name, "received %zd bytes, of which %zu are right",
        received, right);
    close(socket);
}

static void check_refused(const struct writing* writing)
{
    int fd = writing->unit->fd;
    bool tun = writing->unit->kind == UNIT_TUN;
    build(writing, AF_INET, 100);
    expect_error(write(fd, s_packet, 13), EINVAL, "a write of 13 bytes is refused");
    expect_error(write(fd, s_packet, TOO_LONG), EMSGSIZE, "a write of 100,000 bytes is refused");
    if (!tun)
        return;
    expect_error(write(fd, s_packet, 127), EINVAL, "a packet shorter than its header states is refused");
    s_packet[0] = 0x55;
    expect_error(write(fd, s_packet, 128), EINVAL, "a packet that is neither IPv4 nor IPv6 is refused");
    size_t length = build(writing, AF_INET, 100);
    struct iovec parts[2] = { { s_packet, 20 }, { s_packet + 20, length - 20 } };
    expect_error(writev(fd, parts, 2), EINVAL, "a packet in two parts is refused");
}

static void check_down(const struct writing* writing)
{
    size_t length = build(writing, AF_INET, 100);
    if (!expect_success(bring_down(writing->unit) - 1, "the interface goes down"))
        return;
    expect_error(write(writing->unit->fd, s_packet, length), ENETDOWN, "a write is refused while it is down");
    expect_success(bring_up(writing->unit) - 1, "the interface comes up again");
    expect_equal((uint64_t)write(writing->unit->fd, s_packet, length), length, "a write works again");
}

void check_writing(struct unit* unit)
{
    struct writing writing = { .unit = unit };
    settle_neighbours(unit, &writing.responder);
    for (int n = 0; n < families(unit); n++) {
        check_arrives(&writing, family_of(n), 1);
        check_arrives(&writing, family_of(n), 1400);
        check_arrives(&writing, family_of(n), JUMBO);
    }
    check_refused(&writing);
    check_down(&writing);
    check_arrives(&writing, AF_INET, 100);
}
