/*
 * survive_eight_senders.c: bulk senders that share a queue to a program that reads slower than they send.
 */
#include "survive.h"

#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "flow.h"

enum { MAX_FLOWS = PORTS_PER_PROCESS, LONGEST_STALL_MS = 100 };

/* Limits the queue to the program. Eight flows with Haiku's 64 KiB have about 360 packets on the way, which need not
 * fill tun_tap's 512. */
static void limit_queue(const struct unit* unit, uint32_t packets)
{
    struct tun_limits limits = { .version = TUN_VERSION, .size = sizeof(limits) };
    if (ioctl(unit->fd, TUNGETLIMITS, &limits, sizeof(limits)) < 0) {
        report("note eight-senders the driver has no limits to set");
        return;
    }
    limits.to_user_packets = packets;
    if (ioctl(unit->fd, TUNSETLIMITS, &limits, sizeof(limits)) < 0)
        fail("TUNSETLIMITS");
}

/* What the flows came to until `now`. */
struct outcome {
    int64_t now, worst;
    uint64_t sum, least;
};

static void add_flow(struct outcome* outcome, const struct flow* flow, int number)
{
    uint64_t received = flow->received;
    int64_t still = outcome->now - flow->last_progress, stall = flow->longest_stall;
    if (stall < still)
        stall = still;
    if (stall > outcome->worst)
        outcome->worst = stall;
    if (received < outcome->least)
        outcome->least = received;
    outcome->sum += received;
    report("eight-senders flow=%d bytes=%llu longest_stall_ms=%lld still_ms=%lld", number,
        (unsigned long long)received, (long long)(stall / MS), (long long)(still / MS));
}

void survive_eight_senders(struct unit* unit, const struct arguments* arguments)
{
    static struct flow flows[MAX_FLOWS];
    int count = (int)option(arguments, "flows", 8);
    int seconds = (int)option(arguments, "seconds", 20);
    int buffer = (int)option(arguments, "buffer", 0);
    if (count > MAX_FLOWS)
        count = MAX_FLOWS;
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    long queue = option(arguments, "queue", 0);
    if (queue != 0)
        limit_queue(unit, (uint32_t)queue);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);
    for (int i = 0; i < count; i++)
        flow_open(&flows[i], unit, AF_INET, flow_port(i), buffer);
    struct tun_statistics before;
    struct interface_statistics interface_before;
    unit_statistics(unit, &before);
    interface_get_statistics(unit->name, &interface_before);
    far.work_ns = option(arguments, "work", 50) * 1000;
    int64_t start = now_ns();
    for (int i = 0; i < count; i++)
        flow_start(&flows[i]);
    while (now_ns() < start + seconds * 1000 * MS)
        sleep_ms(50);

    struct outcome outcome = { .now = now_ns(), .least = UINT64_MAX };
    for (int i = 0; i < count; i++)
        add_flow(&outcome, &flows[i], i);
    int64_t elapsed = outcome.now - start;
    uint64_t mean = outcome.sum / (uint64_t)count;
    report("eight-senders driver=%s unit=%s seconds=%lld work_us=%lld buffer=%d sum_bytes=%llu bytes_per_s=%llu"
        " mean=%llu least=%llu worst_stall_ms=%lld packets_read=%llu write_errors=%llu", unit_driver(unit), unit->name,
        (long long)(elapsed / MS / 1000), (long long)(far.work_ns / 1000), buffer, (unsigned long long)outcome.sum,
        (unsigned long long)(outcome.sum * 1000 / (uint64_t)(elapsed / MS)), (unsigned long long)mean,
        (unsigned long long)outcome.least, (long long)(outcome.worst / MS), (unsigned long long)far.packets_read,
        (unsigned long long)far.write_errors);
    unit_report_counters(unit, "eight-senders", &before, &interface_before);
    verdict(outcome.worst < LONGEST_STALL_MS * MS, "eight-senders-stall worst_ms=%lld",
        (long long)(outcome.worst / MS));
    verdict(outcome.least * 3 >= mean, "eight-senders-fair least=%llu mean=%llu", (unsigned long long)outcome.least,
        (unsigned long long)mean);

    far.work_ns = 0;
    int complete = 0;
    for (int i = 0; i < count; i++)
        flows[i].stop = true;
    for (int i = 0; i < count; i++)
        complete += flow_finish(&flows[i], 5000);
    verdict(complete == count, "eight-senders-complete complete=%d of=%d", complete, count);
    for (int i = 0; i < count; i++)
        flow_close(&flows[i]);
    far_side_stop(&far);
}
