/*
 * check_counters.c: every packet is in exactly one counter.
 */
#include "check.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { QUEUE = 8, SENT = 20, READ = 3, ABSENT = 5 };

static uint8_t s_packet[PACKET_SPACE];

static void set_queue_to_user(const struct unit* unit, uint32_t packets)
{
    struct tun_limits limits = { .version = TUN_VERSION, .size = sizeof(limits) };
    if (ioctl(unit->fd, TUNGETLIMITS, &limits) < 0)
        fail("TUNGETLIMITS");
    limits.to_user_packets = packets;
    if (ioctl(unit->fd, TUNSETLIMITS, &limits) < 0)
        fail("TUNSETLIMITS");
}

/* A queue of 8, 20 packets, of which 3 are read: 8 - 3 stay queued, 12 are dropped as full. */
static void check_full(struct unit* unit)
{
    struct tun_statistics before, after;
    int64_t number;
    set_queue_to_user(unit, QUEUE);
    unit_statistics(unit, &before);
    send_numbered(unit, AF_INET, 0, SENT, 100);
    for (int i = 0; i < READ; i++)
        read_numbered(unit, s_packet, sizeof(s_packet), &number, WAKE_MS);
    unit_statistics(unit, &after);
    expect_equal(after.to_user.accepted - before.to_user.accepted, SENT, "20 packets sent are accepted");
    expect_equal(after.to_user.dropped[TUN_DROP_FULL] - before.to_user.dropped[TUN_DROP_FULL], SENT - QUEUE,
        "a queue of 8 drops 12 of them as full");
    expect_equal(after.to_user.delivered - before.to_user.delivered, READ, "3 read are delivered");
    expect_equal(after.to_user.queued, QUEUE - READ, "5 stay queued");
    expect_balance(unit);
}

/* Closing purges what is queued; what comes while no program is there is dropped as no-program. */
static void check_purge(struct unit* unit)
{
    struct tun_statistics before, after;
    struct interface_statistics interface_before, interface_after;
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    uint64_t queued = before.to_user.queued;
    unit_close(unit);
    int refused = send_numbered(unit, AF_INET, 0, ABSENT, 100);
    unit_open(unit, 0);
    unit_statistics(unit, &after);
    interface_get_statistics(unit->name, &interface_after);
    expect_equal(after.to_user.purged - before.to_user.purged, queued, "close purges what is queued");
    expect_equal(after.to_user.queued, 0, "the next opener finds nothing of it");
    if (refused == ABSENT) {
        skip("packets without a program are dropped as no-program", "the stack had no route while the link was down");
        return;
    }
    expect_equal(after.to_user.dropped[TUN_DROP_NO_PROGRAM] - before.to_user.dropped[TUN_DROP_NO_PROGRAM],
        (uint64_t)(ABSENT - refused), "packets without a program are dropped as no-program");
    expect_equal(interface_after.send_dropped - interface_before.send_dropped, (uint64_t)(ABSENT - refused),
        "the interface's own count has them as dropped");
}

/* The interface's counts follow the driver's. */
static void check_interface(struct unit* unit)
{
    struct tun_statistics before, after;
    struct interface_statistics interface_before, interface_after;
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);
    sleep_ms(BLOCKED_MS); /* an echo that was sent twice comes back */
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    int right = exchange_echoes(unit, AF_INET, 100);
    sleep_ms(100);
    unit_statistics(unit, &after);
    interface_get_statistics(unit->name, &interface_after);
    far_side_stop(&far);
    expect_equal((uint64_t)right, 100, "100 echoes come back");
    expect_equal(after.to_user.delivered - before.to_user.delivered, 100, "100 packets are delivered to the program");
    expect_equal(after.to_stack.delivered - before.to_stack.delivered, 100, "100 packets are delivered to the stack");
    expect_equal(interface_after.sent - interface_before.sent, 100, "the interface has sent 100");
    expect_equal(interface_after.received - interface_before.received, 100, "the interface has received 100");
}

/* A TUN answers ARP itself: a packet to an address that was never used before reaches the program at once. */
static void check_answers(struct unit* unit)
{
    struct tun_statistics before, after;
    struct address to = unit_far(unit, AF_INET, DISCARD_PORT);
    int64_t number = -1;
    uint8_t data[4] = { 0, 0, 0, 9 };
    if (unit->kind != UNIT_TUN)
        return;
    unit_drain(unit);
    put16((uint8_t*)&((struct sockaddr_in*)&to.storage)->sin_addr + 2, (uint16_t)(0x4000 + getpid() % 0x4000));
    unit_statistics(unit, &before);
    int stranger = socket(AF_INET, SOCK_DGRAM, 0);
    expect_success(sendto(stranger, data, sizeof(data), 0, &to.any, to.length),
        "a new address of the subnet is reached");
    close(stranger);
    read_numbered(unit, s_packet, sizeof(s_packet), &number, WAKE_MS);
    unit_statistics(unit, &after);
    expect_equal((uint64_t)number, 9, "the program gets the packet");
    expect_equal(after.to_user.answered - before.to_user.answered, 1, "the device answers one request for the address");
}

void check_counters(struct unit* unit)
{
    settle_neighbours(unit, NULL);
    check_full(unit);
    check_purge(unit);
    set_queue_to_user(unit, 512);
    check_interface(unit);
    check_answers(unit);
    unit_drain(unit);
}
