/*
 * survive_delete_under.c: a bare poll and read loop whose interface is deleted under it.
 */
#include "survive.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCH_MS = 200, MAX_ROUNDS = 10 };

struct loop {
    struct unit* unit;
    struct responder responder;
    pthread_t thread;
    atomic_bool stop, finished;
    atomic_uint rounds, hang_ups, errors;
    atomic_int last_error;
};

static void* run_loop(void* argument)
{
    struct loop* loop = argument;
    int fd = loop->unit->fd;
    uint8_t* packet = malloc(PACKET_SPACE);
    if (packet == NULL)
        fail("malloc");
    while (!loop->stop) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };
        if (poll(&entry, 1, 2000) <= 0)
            continue;
        loop->rounds++;
        if (entry.revents & POLLHUP)
            loop->hang_ups++;
        ssize_t length = read(fd, packet, PACKET_SPACE);
        if (length < 0) {
            loop->errors++;
            loop->last_error = errno;
            continue;
        }
        size_t reply = respond(&loop->responder, packet, (size_t)length);
        if (reply != 0 && write(fd, packet, reply) < 0)
            loop->last_error = errno;
    }
    free(packet);
    loop->finished = true;
    return NULL;
}

/* Returns whether a UDP echo comes back through the loop within 3 s. */
static bool echoes(struct unit* unit, int family)
{
    int echo_socket = unit_udp_socket(unit, family, 7500);
    int64_t limit = now_ns() + 3000 * MS;
    char byte = 1;
    bool answered = false;
    while (!answered && now_ns() < limit) {
        send(echo_socket, &byte, 1, 0);
        sleep_ms(20);
        answered = recv(echo_socket, &byte, 1, MSG_DONTWAIT) == 1;
    }
    close(echo_socket);
    return answered;
}

void survive_delete_under(struct unit* unit, const struct arguments* arguments)
{
    (void)arguments;
    struct loop loop = { .unit = unit };
    responder_init(&loop.responder, unit);
    unit_set_nonblocking(unit, true);
    loop.thread = start_thread(run_loop, &loop);
    if (!echoes(unit, AF_INET))
        fail("the loop does not echo before the deletion");
    sleep_ms(100);

    unsigned rounds = loop.rounds, hang_ups = loop.hang_ups, errors = loop.errors;
    int64_t start = now_ns();
    bool deleted = interface_delete(unit->name);
    int error = errno;
    int64_t took = now_ns() - start;
    sleep_ms(WATCH_MS);
    rounds = loop.rounds - rounds;
    hang_ups = loop.hang_ups - hang_ups;
    errors = loop.errors - errors;
    report("delete-under driver=%s unit=%s deleted=%d delete_ms=%lld rounds=%u hang_ups=%u read_errors=%u"
        " last_error=%s", unit_driver(unit), unit->name, deleted, (long long)(took / MS), rounds, hang_ups, errors,
        loop.last_error != 0 ? strerror(loop.last_error) : "none");
    verdict(deleted, "delete-under-deletes error=%s", deleted ? "none" : strerror(error));
    verdict(rounds <= MAX_ROUNDS, "delete-under-idles rounds=%u in_ms=%d", rounds, WATCH_MS);
    verdict(hang_ups > 0 || errors > 0, "delete-under-told hang_ups=%u read_errors=%u", hang_ups, errors);

    int64_t wait = unit_add_interface(unit);
    verdict(wait >= 0, "delete-under-add-again after_ms=%lld", (long long)wait);
    if (wait >= 0) {
        unit_configure(unit);
        verdict(echoes(unit, AF_INET), "delete-under-flows-again family=inet");
        if (unit->ipv6)
            verdict(echoes(unit, AF_INET6), "delete-under-flows-again family=inet6");
    }
    loop.stop = true;
    for (int i = 0; i < 100 && !loop.finished; i++) {
        send_discarded(unit, AF_INET, 1, 1);
        sleep_ms(30);
    }
    verdict(loop.finished, "delete-under-loop-ends");
}
