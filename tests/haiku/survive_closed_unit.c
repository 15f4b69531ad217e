/*
 * survive_closed_unit.c: what 100,000 packets to a unit that no program has open leave behind in the kernel.
 */
#include "survive.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flow.h"
#include "kernel_memory.h"

enum { CLOSED_PORT = 7400, PAYLOAD = 1000, FIRST_NEIGHBOUR = 256, LEAK_LIMIT_KIB = 4096, SETTLE_MS = 3000 };

struct burst {
    const struct unit* unit;
    const char* name;
    int family, type, packets, neighbours;
    int sent, refused, last_error;
};

/* The n-th address on the link that has never been resolved; n = 0 is the far side's own. */
static struct address neighbour(const struct unit* unit, int family, int n, uint16_t port)
{
    struct address address = unit_far(unit, family, port);
    if (n == 0)
        return address;
    uint16_t low = (uint16_t)(FIRST_NEIGHBOUR + n);
    uint8_t* end = family == AF_INET6
        ? (uint8_t*)&((struct sockaddr_in6*)&address.storage)->sin6_addr + 14
        : (uint8_t*)&((struct sockaddr_in*)&address.storage)->sin_addr + 2;
    put16(end, low);
    return address;
}

static void note_failure(struct burst* burst)
{
    burst->refused++;
    burst->last_error = errno;
}

static void send_datagrams(struct burst* burst)
{
    static uint8_t data[PAYLOAD];
    int datagram_socket = socket(burst->family, SOCK_DGRAM, 0);
    if (datagram_socket < 0)
        fail("socket");
    for (int i = 0; i < burst->packets; i++) {
        struct address to = neighbour(burst->unit, burst->family,
            burst->neighbours == 0 ? 0 : 1 + i % burst->neighbours, DISCARD_PORT);
        if (sendto(datagram_socket, data, sizeof(data), 0, &to.any, to.length) >= 0)
            burst->sent++;
        else
            note_failure(burst);
    }
    close(datagram_socket);
}

/* Every connect that does not wait sends one SYN. */
static void send_connects(struct burst* burst)
{
    for (int i = 0; i < burst->packets; i++) {
        int stream = socket(burst->family, SOCK_STREAM, 0);
        if (stream < 0) {
            note_failure(burst);
            sleep_ms(1);
            continue;
        }
        fcntl(stream, F_SETFL, O_NONBLOCK);
        struct address to = neighbour(burst->unit, burst->family,
            burst->neighbours == 0 ? 0 : 1 + i % burst->neighbours, CLOSED_PORT);
        if (connect(stream, &to.any, to.length) == 0 || errno == EINPROGRESS)
            burst->sent++;
        else
            note_failure(burst);
        close(stream);
    }
}

static void run_burst(struct burst* burst)
{
    int64_t before = used_memory_kib(), start = now_ns();
    if (burst->type == SOCK_STREAM)
        send_connects(burst);
    else
        send_datagrams(burst);
    report("closed-unit burst=%s packets=%d neighbours=%d sent=%d refused=%d errno=%s ms=%lld growth_kib=%lld",
        burst->name, burst->packets, burst->neighbours, burst->sent, burst->refused,
        burst->last_error != 0 ? strerror(burst->last_error) : "none", (long long)((now_ns() - start) / MS),
        (long long)(used_memory_kib() - before));
}

static void send_bursts(const struct unit* unit, int packets, int neighbours)
{
    const struct burst all[] = {
        { .name = "udp4", .family = AF_INET, .type = SOCK_DGRAM },
        { .name = "udp4-neighbours", .family = AF_INET, .type = SOCK_DGRAM, .neighbours = neighbours },
        { .name = "tcp4", .family = AF_INET, .type = SOCK_STREAM },
        { .name = "tcp4-neighbours", .family = AF_INET, .type = SOCK_STREAM, .neighbours = neighbours },
        { .name = "udp6", .family = AF_INET6, .type = SOCK_DGRAM },
        { .name = "udp6-neighbours", .family = AF_INET6, .type = SOCK_DGRAM, .neighbours = neighbours },
        { .name = "tcp6", .family = AF_INET6, .type = SOCK_STREAM },
        { .name = "tcp6-neighbours", .family = AF_INET6, .type = SOCK_STREAM, .neighbours = neighbours },
    };
    int count = unit->ipv6 ? 8 : 4;
    for (int i = 0; i < count; i++) {
        struct burst burst = all[i];
        burst.unit = unit;
        /* TCP sockets cost far more than datagrams; fewer packets show a leak as well. */
        burst.packets = burst.type == SOCK_STREAM ? packets / count / 10 : packets / count * 19 / 10;
        run_burst(&burst);
    }
}

static void warm_up(struct far_side* far)
{
    far_side_warm_up(far, AF_INET);
    if (far->unit->ipv6)
        far_side_warm_up(far, AF_INET6);
}

/* Sends everything to the closed unit, deletes the interface and makes it again. Returns the KiB in use while there is
 * no interface, -1 if none could be made again. */
static int64_t run_round(struct unit* unit, struct far_side* far, int packets, int neighbours, int round)
{
    /* A connection that is open when the program goes: its data and retransmissions. */
    struct flow flow;
    flow_open(&flow, unit, AF_INET, flow_port(round), 0);
    verdict(far_side_close(far), "closed-unit-close-wakes-read");
    sleep_ms(500);
    int64_t start_kib = used_memory_kib();
    flow_start(&flow);
    send_bursts(unit, packets, neighbours);
    int64_t sent_kib = used_memory_kib();
    flow_finish(&flow, 1);
    flow_close(&flow);
    sleep_ms(SETTLE_MS);
    int64_t settled_kib = used_memory_kib();
    bool deleted = interface_delete(unit->name);
    int error = errno;
    sleep_ms(SETTLE_MS);
    int64_t deleted_kib = used_memory_kib();
    int64_t wait = unit_add_interface(unit);
    int64_t end_kib = used_memory_kib();
    report("closed-unit driver=%s unit=%s packets=%d before_kib=%lld sent_kib=%lld settled_kib=%lld deleted_kib=%lld"
        " end_kib=%lld growth_kib=%lld", unit_driver(unit), unit->name, packets, (long long)start_kib,
        (long long)sent_kib, (long long)settled_kib, (long long)deleted_kib, (long long)end_kib,
        (long long)(end_kib - start_kib));
    verdict(deleted, "closed-unit-delete error=%s", deleted ? "none" : strerror(error));
    verdict(wait >= 0, "closed-unit-add-again after_ms=%lld", (long long)wait);
    if (wait < 0)
        return -1;
    unit_open(unit, 0);
    unit_configure(unit);
    far_side_start(far);
    warm_up(far);
    verdict(true, "closed-unit-works-again");
    return end_kib;
}

void survive_closed_unit(struct unit* unit, const struct arguments* arguments)
{
    int packets = (int)option(arguments, "packets", 100000);
    int neighbours = (int)option(arguments, "neighbours", 1000);
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    warm_up(&far);
    /* The first round fills the kernel's object caches, which keep their slabs. What the second adds is leaked. */
    int64_t first = run_round(unit, &far, packets, neighbours, 0);
    int64_t second = first < 0 ? -1 : run_round(unit, &far, packets, neighbours, 1);
    if (second < 0)
        return;
    verdict(second - first < LEAK_LIMIT_KIB, "closed-unit-memory leaked_kib=%lld limit_kib=%d",
        (long long)(second - first), LEAK_LIMIT_KIB);
    far_side_stop(&far);
}
