/*
 * check_tcp.c: TCP connections: bulk data, across a restart of the program, and across a full queue.
 */
#include "check.h"

#include <netinet/in.h>
#include <stdio.h>

#include "flow.h"

enum { BULK_MS = 1000, AWAY_MS = 700, ARRIVE_MS = 20000, REQUEST = 1000, FLOOD = 1024 };

/* Waits until more than `count` bytes were received. */
static bool received_more(struct flow* flow, unsigned long long count)
{
    int64_t limit = now_ns() + ARRIVE_MS * MS;
    while (flow->received <= count) {
        if (now_ns() > limit)
            return false;
        sleep_ms(2);
    }
    return true;
}

static void check_bulk(struct unit* unit, int family, int port)
{
    struct flow flow;
    char name[96];
    flow_open(&flow, unit, family, flow_port(port), 0);
    flow_start(&flow);
    sleep_ms(BULK_MS);
    bool complete = flow_finish(&flow, ARRIVE_MS);
    snprintf(name, sizeof(name), "bulk data over %s arrives whole", family_name(family));
    expect(complete && flow.received > 0, name, "of %llu bytes %llu arrived, altered %d, end of the stream seen %d",
        (unsigned long long)flow.sent, (unsigned long long)flow.received, (int)flow.corrupt, (int)flow.ended);
    note("%s %s: %llu bytes in %d ms", unit->name, name, (unsigned long long)flow.received, BULK_MS);
    flow_close(&flow);
}

/* A program that ends and starts again while a connection is busy, or has a request to send. */
static void check_restart(struct unit* unit, struct far_side* far, int family, bool bulk, int port)
{
    struct flow flow;
    char name[96];
    const char* kind = bulk ? "bulk data" : "a request";
    flow_open(&flow, unit, family, flow_port(port), 0);
    if (bulk) {
        flow_start(&flow);
        sleep_ms(AWAY_MS);
    }
    expect(far_side_close(far), "close ends the program's read", "it still waits after 2 s");
    bool sent = bulk || flow_send(&flow, REQUEST);
    sleep_ms(AWAY_MS);
    unsigned long long before = flow.received;
    int64_t start = now_ns();
    unit_open(unit, 0);
    far_side_start(far);
    bool arrived = bulk ? received_more(&flow, before) : flow_receive(&flow, REQUEST, ARRIVE_MS);
    int64_t took = (now_ns() - start) / MS;
    bool complete = bulk ? flow_finish(&flow, ARRIVE_MS) : arrived;
    snprintf(name, sizeof(name), "%s over %s goes on after a restart of the program", kind, family_name(family));
    expect(sent && arrived && complete, name,
        "within %d ms of the restart: sent %d, arrived %d, complete %d, %llu of %llu bytes", ARRIVE_MS, sent, arrived,
        complete, (unsigned long long)flow.received, (unsigned long long)flow.sent);
    note("%s %s: %lld ms later", unit->name, name, (long long)took);
    flow_close(&flow);
}

/* A program that reads nothing for a while, until the queue to it is full. */
static void check_full_queue(struct unit* unit, struct far_side* far, int family, int port)
{
    struct flow flow;
    char name[96];
    flow_open(&flow, unit, family, flow_port(port), 0);
    flow_start(&flow);
    sleep_ms(AWAY_MS);
    uint64_t full = dropped(unit, TUN_DROP_FULL);
    far_side_pause(far, true);
    int refused = send_discarded(unit, family, FLOOD, REQUEST);
    sleep_ms(AWAY_MS);
    full = dropped(unit, TUN_DROP_FULL) - full;
    unsigned long long before = flow.received;
    far_side_pause(far, false);
    bool arrived = received_more(&flow, before), complete = flow_finish(&flow, ARRIVE_MS);
    expect(refused == 0, "sends to a full queue succeed", "%d of %d failed", refused, FLOOD);
    expect(full > 0, "the packets that had no room are counted", "none was");
    snprintf(name, sizeof(name), "bulk data over %s goes on after a full queue", family_name(family));
    expect(arrived && complete, name, "arrived %d, complete %d, %llu of %llu bytes", arrived, complete,
        (unsigned long long)flow.received, (unsigned long long)flow.sent);
    flow_close(&flow);
}

void check_tcp(struct unit* unit)
{
    struct far_side far;
    int port = 0;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    for (int n = 0; n < families(unit); n++) {
        int family = family_of(n);
        far_side_warm_up(&far, family);
        check_bulk(unit, family, port++);
        check_restart(unit, &far, family, false, port++);
        check_restart(unit, &far, family, true, port++);
        check_full_queue(unit, &far, family, port++);
    }
    far_side_stop(&far);
}
