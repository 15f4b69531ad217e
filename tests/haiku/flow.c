/*
 * flow.c: a TCP connection with both ends in this program.
 */
#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "far_side.h"
#include "report.h"

enum { PERIOD = 251, CHUNK = 16384, FIRST_PORT = 10000, PROCESSES = 1000 };

/* Byte n of the stream is n modulo a prime: a byte lost, doubled or out of place shows. */
static uint8_t s_pattern[PERIOD + CHUNK];

static void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof(s_pattern); i++)
        s_pattern[i] = (uint8_t)(i % PERIOD);
}

static void set_timeout(int stream, int option, int milliseconds)
{
    struct timeval timeout = { milliseconds / 1000, milliseconds % 1000 * 1000 };
    setsockopt(stream, SOL_SOCKET, option, &timeout, sizeof(timeout));
}

static bool is_timeout(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ETIMEDOUT || error == EINTR;
}

static void set_buffers(int stream, int buffer)
{
    if (buffer == 0)
        return;
    if (setsockopt(stream, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) < 0
        || setsockopt(stream, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0)
        report("note flow could not set socket buffers of %d bytes: %s", buffer, strerror(errno));
}

uint16_t flow_port(int n)
{
    return (uint16_t)(FIRST_PORT + getpid() % PROCESSES * PORTS_PER_PROCESS + n);
}

void flow_open(struct flow* flow, const struct unit* unit, int family, uint16_t port, int buffer)
{
    memset(flow, 0, sizeof(*flow));
    fill_pattern();
    struct address local = unit_local(unit, family, port), far = unit_far(unit, family, port);
    int listener = socket(family, SOCK_STREAM, 0), on = 1;
    if (listener < 0)
        fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    set_buffers(listener, buffer);
    if (bind(listener, &local.any, local.length) < 0 || listen(listener, 1) < 0)
        fail("listen");
    flow->client = socket(family, SOCK_STREAM, 0);
    if (flow->client < 0)
        fail("socket");
    set_buffers(flow->client, buffer);
    if (connect(flow->client, &far.any, far.length) < 0)
        fail("connect by way of the far side");
    flow->server = accept(listener, NULL, NULL);
    if (flow->server < 0)
        fail("accept");
    close(listener);
    set_timeout(flow->client, SO_SNDTIMEO, 500);
    set_timeout(flow->server, SO_RCVTIMEO, 100);
    set_timeout(flow->client, SO_RCVTIMEO, 100);
    flow->last_progress = now_ns();
}

bool flow_send(struct flow* flow, size_t count)
{
    while (count > 0) {
        size_t wanted = count < CHUNK ? count : CHUNK;
        ssize_t sent = send(flow->client, s_pattern + flow->sent % PERIOD, wanted, 0);
        if (sent <= 0)
            return false;
        flow->sent += (unsigned long long)sent;
        count -= (size_t)sent;
    }
    return true;
}

/* Receives once. Returns what recv returned. */
static ssize_t receive_once(struct flow* flow, uint8_t* data, size_t space)
{
    ssize_t length = recv(flow->server, data, space, 0);
    /* Haiku's receive may time out though there are bytes; a second one without waiting gets them. */
    if (length < 0 && is_timeout(errno))
        length = recv(flow->server, data, space, MSG_DONTWAIT);
    if (length <= 0)
        return length;
    if (memcmp(data, s_pattern + flow->received % PERIOD, (size_t)length) != 0)
        flow->corrupt = true;
    int64_t now = now_ns(), stall = now - flow->last_progress;
    if (stall > flow->longest_stall)
        flow->longest_stall = stall;
    flow->last_progress = now;
    flow->received += (unsigned long long)length;
    return length;
}

bool flow_receive(struct flow* flow, size_t count, int limit_ms)
{
    int64_t limit = now_ns() + limit_ms * MS;
    unsigned long long wanted = flow->received + count;
    uint8_t data[CHUNK];
    while (flow->received < wanted && now_ns() < limit) {
        unsigned long long left = wanted - flow->received;
        ssize_t length = receive_once(flow, data, left < CHUNK ? left : CHUNK);
        if (length == 0 || (length < 0 && !is_timeout(errno)))
            break;
    }
    return flow->received == wanted && !flow->corrupt;
}

/* Receives `count` bytes at the client, whatever they are. */
static bool receive_reply(struct flow* flow, size_t count, int limit_ms)
{
    int64_t limit = now_ns() + limit_ms * MS;
    uint8_t data[CHUNK];
    while (count > 0 && now_ns() < limit) {
        size_t wanted = count < CHUNK ? count : CHUNK;
        ssize_t length = recv(flow->client, data, wanted, 0);
        if (length < 0 && is_timeout(errno))
            length = recv(flow->client, data, wanted, MSG_DONTWAIT);
        if (length == 0 || (length < 0 && !is_timeout(errno)))
            return false;
        if (length > 0)
            count -= (size_t)length;
    }
    return count == 0;
}

bool flow_exchange(struct flow* flow, size_t count, int limit_ms)
{
    return count <= CHUNK && flow_send(flow, count) && flow_receive(flow, count, limit_ms)
        && send(flow->server, s_pattern, count, 0) == (ssize_t)count && receive_reply(flow, count, limit_ms);
}

static void* run_sender(void* argument)
{
    struct flow* flow = argument;
    while (!flow->stop) {
        ssize_t sent = send(flow->client, s_pattern + flow->sent % PERIOD, CHUNK, 0);
        if (sent > 0)
            flow->sent += (unsigned long long)sent;
        else if (!is_timeout(errno))
            sleep_ms(1);
    }
    shutdown(flow->client, SHUT_WR);
    return NULL;
}

static void* run_receiver(void* argument)
{
    struct flow* flow = argument;
    uint8_t data[CHUNK];
    while (!flow->abandon) {
        ssize_t length = receive_once(flow, data, sizeof(data));
        if (length == 0) {
            flow->ended = true;
            break;
        }
        if (length < 0 && !is_timeout(errno)) {
            report("note flow receive error: %s", strerror(errno));
            break;
        }
    }
    return NULL;
}

void flow_start(struct flow* flow)
{
    flow->last_progress = now_ns();
    flow->longest_stall = 0;
    flow->receiver = start_thread(run_receiver, flow);
    flow->sender = start_thread(run_sender, flow);
}

bool flow_finish(struct flow* flow, int limit_ms)
{
    flow->stop = true;
    pthread_join(flow->sender, NULL);
    int64_t limit = now_ns() + limit_ms * MS;
    while (!flow->ended && now_ns() < limit)
        sleep_ms(5);
    flow->abandon = true;
    pthread_join(flow->receiver, NULL);
    return flow->ended && flow->received == flow->sent && !flow->corrupt;
}

void flow_close(struct flow* flow)
{
    close(flow->client);
    close(flow->server);
}
