/*
 * survive_tcp_restart.c: TCP connections across a restart of the program and across a full queue to it.
 */
#include "survive.h"

#include <netinet/in.h>
#include <string.h>

#include "flow.h"
#include "retransmission.h"

enum { EXCHANGES = 20, EXCHANGE = 100, REQUEST = 1000, FLOOD_SIZE = 1000, SMALL_PACKETS = 64 };
enum { BULK_LEAD_MS = 300, BEFORE_REQUEST_MS = 100, QUIET_MS = 300, WAIT_MS = 15000 };

enum traffic { IDLE, REQUEST_PENDING, BULK, TRAFFICS };
enum disturbance { RESTART, FULL_QUEUE, DISTURBANCES };

static const char* const s_traffic[] = { "idle", "request", "bulk" };
static const char* const s_disturbance[] = { "restart", "full" };

struct scenario {
    struct unit* unit;
    struct far_side* far;
    struct segment_watch* watch;
    enum traffic traffic;
    enum disturbance disturbance;
    int gap_ms, flood;
};

/* Returns two retransmission time-outs in milliseconds. The time-out doubles while the far side is away, so the one
 * that runs when it comes back depends on how long ago the data was sent. */
static int64_t limit_after(int64_t timeout, int64_t away_ms)
{
    int64_t sum = timeout;
    while (sum < away_ms) {
        timeout *= 2;
        sum += timeout;
    }
    return 2 * timeout;
}

static void begin(const struct scenario* scenario)
{
    if (scenario->disturbance == RESTART) {
        if (!far_side_close(scenario->far))
            verdict(false, "tcp-restart close did not wake the program's read within 2 s");
        return;
    }
    /* The thread takes one packet and holds it, so that what follows stays in the queue and fills it. */
    far_side_pause(scenario->far, true);
    send_discarded(scenario->unit, AF_INET, 1, FLOOD_SIZE);
    sleep_ms(20);
    int refused = send_discarded(scenario->unit, AF_INET, scenario->flood, FLOOD_SIZE);
    /* Small ones take what a limit in bytes leaves. */
    send_discarded(scenario->unit, AF_INET, SMALL_PACKETS, 1);
    report("note tcp-restart flooded=%d refused=%d", scenario->flood, refused);
}

static void end(const struct scenario* scenario)
{
    if (scenario->disturbance == RESTART) {
        unit_open(scenario->unit, 0);
        far_side_start(scenario->far);
    } else
        far_side_pause(scenario->far, false);
}

/* Waits until the receiver thread has got more than `count` bytes; returns whether it has. */
static bool wait_received(struct flow* flow, unsigned long long count, int limit_ms)
{
    int64_t limit = now_ns() + limit_ms * MS;
    while (flow->received <= count) {
        if (now_ns() > limit)
            return false;
        sleep_ms(1);
    }
    return true;
}

static void run_scenario(const struct scenario* scenario, uint16_t port)
{
    struct flow flow;
    flow_open(&flow, scenario->unit, AF_INET, port, 0);
    scenario->watch->port = port;
    for (int i = 0; i < EXCHANGES; i++) {
        if (!flow_exchange(&flow, EXCHANGE, WAIT_MS))
            fail("the connection does not work before the test");
    }
    int64_t timeout = watch_measure(scenario->watch, &flow, EXCHANGE, WAIT_MS);
    if (timeout < 0)
        fail("the connection did not send a lost segment again");
    /* Lets the last delayed acknowledgement pass: one that comes later would make the client send again. */
    sleep_ms(QUIET_MS);
    if (scenario->traffic == BULK) {
        flow_start(&flow);
        sleep_ms(BULK_LEAD_MS);
    }
    int64_t away = now_ns();
    begin(scenario);
    bool taken = true;
    if (scenario->traffic == REQUEST_PENDING) {
        sleep_ms(BEFORE_REQUEST_MS);
        away = now_ns();
        taken = flow_send(&flow, REQUEST);
    }
    sleep_ms(scenario->gap_ms);
    unsigned long long before = flow.received, sent = flow.sent;
    int64_t back = now_ns();
    end(scenario);
    int64_t limit = limit_after(timeout, scenario->traffic == IDLE ? 0 : (back - away) / MS);
    bool arrived, complete;
    int64_t first, last;
    if (scenario->traffic == BULK) {
        arrived = wait_received(&flow, before, WAIT_MS);
        first = now_ns();
        /* What was on the way may have been lost; what the sender adds afterwards comes after it. */
        arrived = wait_received(&flow, sent, WAIT_MS);
        last = now_ns();
        if (arrived)
            sleep_ms(1000);
        complete = flow_finish(&flow, WAIT_MS);
    } else {
        if (scenario->traffic == IDLE)
            taken = flow_send(&flow, REQUEST);
        arrived = complete = flow_receive(&flow, REQUEST, WAIT_MS);
        first = last = now_ns();
    }
    int64_t delay = (last - back) / MS;
    const char* traffic = s_traffic[scenario->traffic];
    const char* disturbance = s_disturbance[scenario->disturbance];
    report("tcp-restart driver=%s unit=%s across=%s traffic=%s taken=%d arrived=%d complete=%d delay_ms=%lld"
        " first_ms=%lld timeout_ms=%lld limit_ms=%lld sent=%llu received=%llu", unit_driver(scenario->unit),
        scenario->unit->name, disturbance, traffic, taken, arrived, complete, arrived ? (long long)delay : -1,
        (long long)((first - back) / MS), (long long)timeout, (long long)limit, (unsigned long long)flow.sent,
        (unsigned long long)flow.received);
    verdict(arrived && complete && delay <= limit, "tcp-restart-%s-%s", disturbance, traffic);
    flow_close(&flow);
}

void survive_tcp_restart(struct unit* unit, const struct arguments* arguments)
{
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    struct segment_watch watch = { .trace = has_word(arguments, "trace") };
    watch_install(&watch, &far);
    far_side_start(&far);
    far_side_warm_up(&far, AF_INET);
    struct scenario scenario = { .unit = unit, .far = &far, .watch = &watch };
    scenario.gap_ms = (int)option(arguments, "gap", 1000);
    scenario.flood = (int)option(arguments, "flood", 1024);
    bool all_traffic = !has_word(arguments, "idle") && !has_word(arguments, "request") && !has_word(arguments, "bulk");
    bool all_disturbances = !has_word(arguments, "restart") && !has_word(arguments, "full");
    int scenarios = 0;
    for (int disturbance = 0; disturbance < DISTURBANCES; disturbance++) {
        for (int traffic = 0; traffic < TRAFFICS; traffic++) {
            if ((!all_traffic && !has_word(arguments, s_traffic[traffic]))
                || (!all_disturbances && !has_word(arguments, s_disturbance[disturbance])))
                continue;
            scenario.traffic = (enum traffic)traffic;
            scenario.disturbance = (enum disturbance)disturbance;
            run_scenario(&scenario, flow_port(scenarios++));
        }
    }
    far_side_stop(&far);
}
