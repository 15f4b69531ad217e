/*
 * unit.c: a TUN or TAP unit, of tun_tap or of Haiku's stock tunnel add-on.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report.h"

void unit_init(struct unit* unit, const char* name)
{
    memset(unit, 0, sizeof(*unit));
    unit->fd = -1;
    bool tun = strncmp(name, "tun/", 4) == 0;
    if (!tun && strncmp(name, "tap/", 4) != 0) {
        errno = EINVAL;
        fail("neither tun/N nor tap/N: %s", name);
    }
    unit->kind = tun ? UNIT_TUN : UNIT_TAP;
    int network = atoi(name + 4) % 50 + (tun ? 100 : 50);
    snprintf(unit->name, sizeof(unit->name), "%s", name);
    snprintf(unit->path, sizeof(unit->path), "/dev/%s", unit->name);
    snprintf(unit->local4, sizeof(unit->local4), "10.%d.0.1", network);
    snprintf(unit->far4, sizeof(unit->far4), "10.%d.0.2", network);
    snprintf(unit->local6, sizeof(unit->local6), "fd00:0:0:%d::1", network);
    snprintf(unit->far6, sizeof(unit->far6), "fd00:0:0:%d::2", network);
}

/* Adds the IPv6 address. Must come before the interface is up: on Haiku (master of 2026-11) an interface that gets an
 * IPv6 address while it is up can be deleted, but none of its name be made again until the next boot. */
static void add_ipv6_address(struct unit* unit)
{
    unit->ipv6 = interface_set_address(unit->name, unit->local6, "ffff:ffff:ffff:ffff::");
    if (!unit->ipv6)
        report("note unit=%s no IPv6: %s", unit->name, strerror(errno));
}

/* Returns whether an interface has this address. */
static bool has_address(const char* text)
{
    struct address address = address_of(text, 0);
    int probe = socket(address.any.sa_family, SOCK_DGRAM, 0);
    bool bound = probe >= 0 && bind(probe, &address.any, address.length) == 0;
    if (probe >= 0)
        close(probe);
    return bound;
}

/* Haiku adds no usable IPv6 routes with an address; the second one lets neighbour solicitations leave. */
static bool add_ipv6_routes(const struct unit* unit)
{
    char network[64];
    snprintf(network, sizeof(network), "%.*s", (int)strlen(unit->local6) - 1, unit->local6);
    return interface_add_route(unit->name, network, "ffff:ffff:ffff:ffff::")
        && interface_add_route(unit->name, "ff00::", "ff00::");
}

void unit_add_routes(const struct unit* unit)
{
    char network[32];
    snprintf(network, sizeof(network), "%.*s", (int)strlen(unit->local4) - 3, unit->local4);
    strcat(network, "0.0");
    if (!interface_add_route(unit->name, network, "255.255.0.0"))
        report("note unit=%s could not add the IPv4 route: %s", unit->name, strerror(errno));
    if (unit->ipv6 && !add_ipv6_routes(unit))
        report("note unit=%s could not add the IPv6 routes: %s", unit->name, strerror(errno));
}

void unit_configure(struct unit* unit)
{
    if (!interface_set_address(unit->name, unit->local4, "255.255.0.0"))
        fail("%s: could not set the address %s", unit->name, unit->local4);
    /* The stock driver begins with 1514, which makes a TAP emit frames of 1528 bytes. */
    if (!interface_set_mtu(unit->name, UNIT_MTU))
        fail("%s: could not set the MTU", unit->name);
    if (!unit->stock || unit->kind == UNIT_TAP)
        add_ipv6_address(unit);
    if (!interface_set_up(unit->name, true))
        fail("%s: could not bring the interface up", unit->name);
    unit_add_routes(unit);
}

int64_t unit_add_interface(const struct unit* unit)
{
    int64_t start = now_ns();
    while (!interface_add(unit->name)) {
        if (now_ns() - start > 200 * 1000 * MS)
            return -1;
        sleep_ms(500);
    }
    return (now_ns() - start) / MS;
}

void unit_set_up(struct unit* unit)
{
    if (!interface_exists(unit->name) && unit_add_interface(unit) < 0)
        fail("%s: could not add the interface", unit->name);
    unit_open(unit, 0);
    unsigned int features = 0;
    unit->stock = ioctl(unit->fd, TUNGETFEATURES, &features, sizeof(features)) < 0;
    if (!has_address(unit->local4) || (interface_flags(unit->name) & IFF_UP) == 0) {
        unit_configure(unit);
        return;
    }
    unit->ipv6 = has_address(unit->local6);
    unit_add_routes(unit);
}

void unit_open(struct unit* unit, int flags)
{
    int64_t limit = now_ns() + 2000 * MS;
    while ((unit->fd = open(unit->path, O_RDWR | flags)) < 0) {
        if (now_ns() > limit)
            fail("could not open %s", unit->path);
        sleep_ms(5);
    }
}

void unit_close(struct unit* unit)
{
    int fd = unit->fd;
    unit->fd = -1;
    if (fd >= 0)
        close(fd);
}

void unit_retire(struct unit* unit)
{
    unit_close(unit);
    if (unit->ipv6)
        interface_remove_route(unit->name, "ff00::", "ff00::");
}

void unit_set_nonblocking(struct unit* unit, bool nonblocking)
{
    int flags = fcntl(unit->fd, F_GETFL);
    if (fcntl(unit->fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        fail("%s: could not set O_NONBLOCK", unit->path);
}

void unit_drain(const struct unit* unit)
{
    /* The stock driver's read waits in spite of O_NONBLOCK, so poll decides. */
    static uint8_t packet[PACKET_SPACE];
    struct pollfd entry = { .fd = unit->fd, .events = POLLIN };
    while (poll(&entry, 1, 20) > 0 && (entry.revents & POLLIN) != 0) {
        if (read(unit->fd, packet, sizeof(packet)) < 0)
            break;
    }
}

bool unit_statistics(const struct unit* unit, struct tun_statistics* statistics)
{
    memset(statistics, 0, sizeof(*statistics));
    if (unit->stock || unit->fd < 0)
        return false;
    statistics->version = TUN_STATISTICS_VERSION;
    statistics->size = sizeof(*statistics);
    return ioctl(unit->fd, TUNGETSTATISTICS, statistics, sizeof(*statistics)) >= 0;
}

static void report_direction(const char* name, const char* direction, const struct tun_direction* before,
    const struct tun_direction* after)
{
    char dropped[512] = "";
    size_t used = 0;
    for (int reason = 0; reason < TUN_DROP_REASONS; reason++) {
        uint64_t count = after->dropped[reason] - before->dropped[reason];
        if (count != 0 && used < sizeof(dropped) - 40)
            used += (size_t)snprintf(dropped + used, sizeof(dropped) - used, " dropped[%d]=%llu", reason,
                (unsigned long long)count);
    }
    report("%s counters=%s accepted=%llu delivered=%llu answered=%llu purged=%llu"
        " truncated=%llu queued=%llu%s", name, direction,
        (unsigned long long)(after->accepted - before->accepted),
        (unsigned long long)(after->delivered - before->delivered),
        (unsigned long long)(after->answered - before->answered),
        (unsigned long long)(after->purged - before->purged),
        (unsigned long long)(after->truncated - before->truncated), (unsigned long long)after->queued, dropped);
}

void unit_report_counters(const struct unit* unit, const char* name, const struct tun_statistics* before,
    const struct interface_statistics* interface_before)
{
    struct tun_statistics after;
    if (unit_statistics(unit, &after)) {
        report_direction(name, "to_user", &before->to_user, &after.to_user);
        report_direction(name, "to_stack", &before->to_stack, &after.to_stack);
    }
    struct interface_statistics now;
    if (!interface_get_statistics(unit->name, &now))
        return;
    report("%s counters=interface received=%llu receive_dropped=%llu receive_errors=%llu sent=%llu send_dropped=%llu"
        " send_errors=%llu", name, (unsigned long long)(now.received - interface_before->received),
        (unsigned long long)(now.receive_dropped - interface_before->receive_dropped),
        (unsigned long long)(now.receive_errors - interface_before->receive_errors),
        (unsigned long long)(now.sent - interface_before->sent),
        (unsigned long long)(now.send_dropped - interface_before->send_dropped),
        (unsigned long long)(now.send_errors - interface_before->send_errors));
}

const char* unit_driver(const struct unit* unit)
{
    return unit->stock ? "tunnel" : "tun_tap";
}

struct address unit_local(const struct unit* unit, int family, uint16_t port)
{
    return address_of(family == AF_INET6 ? unit->local6 : unit->local4, port);
}

struct address unit_far(const struct unit* unit, int family, uint16_t port)
{
    return address_of(family == AF_INET6 ? unit->far6 : unit->far4, port);
}

int unit_udp_socket(const struct unit* unit, int family, uint16_t port)
{
    struct address local = unit_local(unit, family, port), far = unit_far(unit, family, port);
    int datagram_socket = socket(family, SOCK_DGRAM, 0);
    int on = 1;
    if (datagram_socket < 0)
        fail("socket");
    setsockopt(datagram_socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(datagram_socket, &local.any, local.length) < 0)
        fail("bind");
    if (connect(datagram_socket, &far.any, far.length) < 0)
        fail("connect");
    return datagram_socket;
}
