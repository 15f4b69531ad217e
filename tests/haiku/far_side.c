/*
 * far_side.c: the program that has a unit open.
 */
#include "far_side.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "report.h"

enum { WARM_UP_PORT = 7000 };

pthread_t start_thread(void* (*function)(void*), void* argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, function, argument);
    if (error != 0) {
        errno = error;
        fail("pthread_create");
    }
    return thread;
}

void spin_ns(int64_t duration)
{
    int64_t end = now_ns() + duration;
    while (now_ns() < end)
        ;
}

void far_side_init(struct far_side* far, struct unit* unit, enum read_mode mode)
{
    memset(far, 0, sizeof(*far));
    far->unit = unit;
    far->mode = mode;
    responder_init(&far->responder, unit);
}

/* Returns whether a packet can be read; sets last_error if the wait failed. */
static bool wait_readable(struct far_side* far, const struct waiter* waiter)
{
    int events = waiter_wait(waiter, far->wait_ms != 0 ? far->wait_ms : 1000);
    if (events < 0 && errno != EINTR)
        far->last_error = errno;
    if (events == 0 && far->on_timeout != NULL)
        far->on_timeout(far->context, waiter->fd);
    return events > 0;
}

static void* far_side_run(void* argument)
{
    struct far_side* far = argument;
    int fd = far->unit->fd;
    uint8_t* packet = malloc(PACKET_SPACE);
    struct waiter waiter;
    if (packet == NULL)
        fail("malloc");
    if (!waiter_open(&waiter, far->mode, fd, EVENT_READ))
        fail("%s of %s", waiter_name(far->mode), far->unit->path);
    while (!far->stop && far->last_error == 0) {
        if (far->mode != READ_BLOCKING && !wait_readable(far, &waiter))
            continue;
        ssize_t length = read(fd, packet, PACKET_SPACE);
        if (length < 0) {
            if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)
                continue;
            far->last_error = errno;
            break;
        }
        far->packets_read++;
        while (far->paused && !far->stop)
            sleep_ms(1);
        if (far->work_ns != 0)
            spin_ns(far->work_ns);
        size_t reply = far->handler != NULL ? far->handler(far->context, packet, (size_t)length)
            : respond(&far->responder, packet, (size_t)length);
        if (reply != 0 && write(fd, packet, reply) < 0)
            far->write_errors++;
        if (far->after_packet != NULL)
            far->after_packet(far->context, fd);
    }
    waiter_close(&waiter);
    free(packet);
    far->finished = true;
    return NULL;
}

void far_side_start(struct far_side* far)
{
    far->stop = far->paused = far->finished = false;
    far->last_error = 0;
    unit_set_nonblocking(far->unit, far->mode != READ_BLOCKING);
    far->thread = start_thread(far_side_run, far);
}

void far_side_stop(struct far_side* far)
{
    far->stop = true;
    while (!far->finished) {
        send_discarded(far->unit, AF_INET, 1, 1);
        sleep_ms(2);
    }
    pthread_join(far->thread, NULL);
}

bool far_side_close(struct far_side* far)
{
    far->stop = true;
    unit_close(far->unit);
    int64_t limit = now_ns() + 2000 * MS;
    while (!far->finished) {
        if (now_ns() > limit)
            return false;
        sleep_ms(2);
    }
    pthread_join(far->thread, NULL);
    return true;
}

void far_side_pause(struct far_side* far, bool paused)
{
    far->paused = paused;
}

void far_side_warm_up(struct far_side* far, int family)
{
    int echo_socket = unit_udp_socket(far->unit, family, WARM_UP_PORT);
    struct timeval timeout = { 0, 200000 };
    setsockopt(echo_socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    int64_t limit = now_ns() + 5000 * MS;
    char byte = 1;
    bool answered = false;
    while (!answered) {
        if (now_ns() > limit)
            fail("%s: no answer from the far side by %s", far->unit->name, family == AF_INET6 ? "IPv6" : "IPv4");
        if (send(echo_socket, &byte, 1, 0) < 0)
            sleep_ms(10);
        answered = recv(echo_socket, &byte, 1, 0) == 1;
    }
    close(echo_socket);
}

int send_discarded(const struct unit* unit, int family, int count, size_t payload)
{
    struct address discard = unit_far(unit, family, DISCARD_PORT);
    int datagram_socket = socket(family, SOCK_DGRAM, 0);
    if (datagram_socket < 0)
        fail("socket");
    uint8_t* data = calloc(1, payload);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        if (sendto(datagram_socket, data, payload, 0, &discard.any, discard.length) < 0)
            failed++;
    }
    free(data);
    close(datagram_socket);
    return failed;
}
