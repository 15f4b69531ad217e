/*
 * check_controls.c: nodes, opening, and what ioctl and the interface say.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef IFF_LINK
#define IFF_LINK 0x1000
#endif

enum { LINK_MS = 1000 };

static void check_opening(struct unit* unit)
{
    uint8_t byte = 0;
    int second = open(unit->path, O_RDWR);
    expect_error(second, EBUSY, "a second open is refused");
    if (second >= 0)
        close(second);
    unit_close(unit);
    unit_open(unit, 0);
    expect_success(unit->fd, "it opens again after a close");
    unit_close(unit);
    unit->fd = open(unit->path, O_RDONLY);
    if (expect_success(unit->fd, "it opens for reading only"))
        expect_error(write(unit->fd, &byte, 1), EBADF, "a write to it is refused then");
    unit_close(unit);
    unit_open(unit, 0);
}

static void check_names(const struct unit* unit)
{
    struct tun_ifreq request;
    unsigned int features = 0;
    memset(&request, 0, sizeof(request));
    expect_success(ioctl(unit->fd, TUNGETIFF, &request), "TUNGETIFF works");
    expect(strncmp(request.name, unit->name, sizeof(request.name)) == 0, "TUNGETIFF says the name",
        "expected %s, saw %.16s", unit->name, request.name);
    uint16_t kind = unit->kind == UNIT_TUN ? TUN_IFF_TUN : TUN_IFF_TAP;
    expect_equal(request.flags & (TUN_IFF_TUN | TUN_IFF_TAP), kind, "TUNGETIFF says the kind");
    expect_success(ioctl(unit->fd, TUNGETFEATURES, &features), "TUNGETFEATURES works");
    expect((features & (TUN_IFF_TUN | TUN_IFF_TAP | TUN_IFF_NO_PI)) == (TUN_IFF_TUN | TUN_IFF_TAP | TUN_IFF_NO_PI),
        "TUNGETFEATURES has both kinds and NO_PI", "saw %#x", features);
    expect_error(ioctl(unit->fd, 0x40045400, &features), ENOTTY, "an unknown control is refused");
    struct tun_statistics statistics = { .version = TUN_STATISTICS_VERSION + 1, .size = sizeof(statistics) };
    expect_error(ioctl(unit->fd, TUNGETSTATISTICS, &statistics), EINVAL, "an unknown version is refused");
    memset(&request, 0, sizeof(request));
    request.flags = unit->kind == UNIT_TUN ? TUN_IFF_TAP : TUN_IFF_TUN;
    expect_error(ioctl(unit->fd, TUNSETIFF, &request), EINVAL, "the other kind is refused");
    memset(&request, 0, sizeof(request));
    request.flags = kind | TUN_IFF_NO_PI;
    expect_success(ioctl(unit->fd, TUNSETIFF, &request), "TUNSETIFF with NO_PI works");
    expect(strncmp(request.name, unit->name, sizeof(request.name)) == 0, "TUNSETIFF says the name",
        "expected %s, saw %.16s", unit->name, request.name);
}

/* Waits until the interface's link is as wanted. */
static bool link_becomes(const struct unit* unit, bool up)
{
    int64_t limit = now_ns() + LINK_MS * MS;
    while (((interface_flags(unit->name) & IFF_LINK) != 0) != up) {
        if (now_ns() > limit)
            return false;
        sleep_ms(5);
    }
    return true;
}

static void check_link(struct unit* unit)
{
    int down = 0, up = 1, flags = interface_flags(unit->name);
    expect((flags & IFF_UP) != 0, "the interface is up", "saw the flags %#x", flags);
    expect(((flags & IFF_BROADCAST) != 0) == (unit->kind == UNIT_TAP), "only a TAP has broadcasts",
        "saw the flags %#x", flags);
    expect(link_becomes(unit, true), "the link is up while the unit is open", "it is down");
    expect_success(ioctl(unit->fd, TUNSETCARRIER, &down), "TUNSETCARRIER 0 works");
    expect(link_becomes(unit, false), "TUNSETCARRIER 0 takes the link down", "it is up");
    expect_success(ioctl(unit->fd, TUNSETCARRIER, &up), "TUNSETCARRIER 1 works");
    expect(link_becomes(unit, true), "TUNSETCARRIER 1 brings the link up", "it is down");
    unit_close(unit);
    expect(link_becomes(unit, false), "the link is down while no program has the unit open",
        "it is up (is the setting \"link always\" in use?)");
    unit_open(unit, 0);
    expect(link_becomes(unit, true), "the link is up again after open", "it is down");
}

static void check_limits(const struct unit* unit)
{
    struct tun_limits before = { .version = TUN_VERSION, .size = sizeof(before) }, after = before;
    if (!expect_success(ioctl(unit->fd, TUNGETLIMITS, &before), "TUNGETLIMITS works"))
        return;
    struct tun_limits wanted = before;
    wanted.to_user_packets = 100;
    wanted.to_stack_packets = 50;
    expect_success(ioctl(unit->fd, TUNSETLIMITS, &wanted), "TUNSETLIMITS works");
    ioctl(unit->fd, TUNGETLIMITS, &after);
    expect_equal(after.to_user_packets, 100, "the limit to the program is as set");
    expect_equal(after.to_stack_packets, 50, "the limit to the stack is as set");
    wanted.to_user_packets = 0;
    expect_error(ioctl(unit->fd, TUNSETLIMITS, &wanted), EINVAL, "a limit of 0 packets is refused");
    wanted.to_user_packets = 65537;
    expect_error(ioctl(unit->fd, TUNSETLIMITS, &wanted), EINVAL, "a limit of 65,537 packets is refused");
    expect_success(ioctl(unit->fd, TUNSETLIMITS, &before), "the limits before can be set again");
}

static void check_mtu(const struct unit* unit)
{
    expect(!interface_set_mtu(unit->name, 67), "an MTU of 67 is refused", "it was taken");
    expect(!interface_set_mtu(unit->name, 65536), "an MTU of 65,536 is refused", "it was taken");
    expect_success(interface_set_mtu(unit->name, 9000) - 1, "an MTU of 9,000 is taken");
    expect_success(interface_set_mtu(unit->name, UNIT_MTU) - 1, "the MTU can be set back");
}

void check_controls(struct unit* unit)
{
    check_opening(unit);
    check_names(unit);
    check_link(unit);
    check_limits(unit);
    check_mtu(unit);
}
