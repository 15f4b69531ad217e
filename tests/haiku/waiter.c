/*
 * waiter.c: poll, select, wait_for_objects and kqueue behind one call.
 */
#define _DEFAULT_SOURCE 1 /* <sys/event.h> */
#include "waiter.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifdef __HAIKU__
#include <OS.h>
#if __has_include(<sys/event.h>)
#include <sys/event.h>
#define HAS_KQUEUE 1
#endif
#endif

const char* waiter_name(enum read_mode mode)
{
    static const char* const names[] = { "read", "poll", "select", "wait_for_objects", "kqueue" };
    return names[mode];
}

bool waiter_exists(enum read_mode mode)
{
#ifndef __HAIKU__
    if (mode == READ_OBJECTS)
        return false;
#endif
#ifndef HAS_KQUEUE
    if (mode == READ_KQUEUE)
        return false;
#endif
    return mode < READ_MODES;
}

static int wait_poll(const struct waiter* waiter, int milliseconds)
{
    struct pollfd entry = { .fd = waiter->fd };
    if (waiter->events & EVENT_READ)
        entry.events |= POLLIN;
    if (waiter->events & EVENT_WRITE)
        entry.events |= POLLOUT;
    int count = poll(&entry, 1, milliseconds);
    if (count <= 0)
        return count;
    return (entry.revents & POLLIN ? EVENT_READ : 0) | (entry.revents & POLLOUT ? EVENT_WRITE : 0)
        | (entry.revents & POLLERR ? EVENT_ERROR : 0) | (entry.revents & POLLHUP ? EVENT_HANG_UP : 0)
        | (entry.revents & POLLNVAL ? EVENT_INVALID : 0);
}

static int wait_select(const struct waiter* waiter, int milliseconds)
{
    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    if (waiter->events & EVENT_READ)
        FD_SET(waiter->fd, &readable);
    if (waiter->events & EVENT_WRITE)
        FD_SET(waiter->fd, &writable);
    struct timeval timeout = { milliseconds / 1000, milliseconds % 1000 * 1000 };
    int count = select(waiter->fd + 1, &readable, &writable, NULL, &timeout);
    if (count <= 0)
        return count;
    return (FD_ISSET(waiter->fd, &readable) ? EVENT_READ : 0) | (FD_ISSET(waiter->fd, &writable) ? EVENT_WRITE : 0);
}

#ifdef __HAIKU__
static int wait_objects(const struct waiter* waiter, int milliseconds)
{
    object_wait_info info = { .object = waiter->fd, .type = B_OBJECT_TYPE_FD };
    if (waiter->events & EVENT_READ)
        info.events |= B_EVENT_READ;
    if (waiter->events & EVENT_WRITE)
        info.events |= B_EVENT_WRITE;
    ssize_t count = wait_for_objects_etc(&info, 1, B_RELATIVE_TIMEOUT, milliseconds * 1000LL);
    if (count == B_TIMED_OUT || count == B_WOULD_BLOCK)
        return 0;
    if (count < 0) {
        errno = (int)count;
        return -1;
    }
    return (info.events & B_EVENT_READ ? EVENT_READ : 0) | (info.events & B_EVENT_WRITE ? EVENT_WRITE : 0)
        | (info.events & B_EVENT_ERROR ? EVENT_ERROR : 0) | (info.events & B_EVENT_DISCONNECTED ? EVENT_HANG_UP : 0)
        | (info.events & B_EVENT_INVALID ? EVENT_INVALID : 0);
}
#endif

#ifdef HAS_KQUEUE
static bool register_events(struct waiter* waiter)
{
    struct kevent changes[2];
    int count = 0;
    waiter->queue = kqueue();
    if (waiter->queue < 0)
        return false;
    if (waiter->events & EVENT_READ)
        EV_SET(&changes[count++], (uintptr_t)waiter->fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
    if (waiter->events & EVENT_WRITE)
        EV_SET(&changes[count++], (uintptr_t)waiter->fd, EVFILT_WRITE, EV_ADD, 0, 0, NULL);
    return kevent(waiter->queue, changes, count, NULL, 0, NULL) >= 0;
}

static int wait_kqueue(const struct waiter* waiter, int milliseconds)
{
    struct kevent events[2];
    struct timespec timeout = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    int count = kevent(waiter->queue, NULL, 0, events, 2, &timeout);
    int result = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        if (events[i].flags & EV_ERROR)
            result |= EVENT_INVALID;
        else
            result |= events[i].filter == EVFILT_WRITE ? EVENT_WRITE : EVENT_READ;
        if (events[i].flags & EV_EOF)
            result |= EVENT_HANG_UP;
    }
    return result;
}
#endif

bool waiter_open(struct waiter* waiter, enum read_mode mode, int fd, int events)
{
    *waiter = (struct waiter) { .mode = mode, .fd = fd, .events = events, .queue = -1 };
#ifdef HAS_KQUEUE
    if (mode == READ_KQUEUE)
        return register_events(waiter);
#endif
    if (waiter_exists(mode))
        return true;
    errno = ENOSYS;
    return false;
}

int waiter_wait(const struct waiter* waiter, int milliseconds)
{
    switch (waiter->mode) {
        case READ_POLL:
            return wait_poll(waiter, milliseconds);
        case READ_SELECT:
            return wait_select(waiter, milliseconds);
#ifdef __HAIKU__
        case READ_OBJECTS:
            return wait_objects(waiter, milliseconds);
#endif
#ifdef HAS_KQUEUE
        case READ_KQUEUE:
            return wait_kqueue(waiter, milliseconds);
#endif
        default:
            errno = ENOSYS;
            return -1;
    }
}

void waiter_close(struct waiter* waiter)
{
    if (waiter->queue >= 0)
        close(waiter->queue);
    waiter->queue = -1;
}

const char* events_text(int events, char* text)
{
    static const char* const names[] = { "|READ", "|WRITE", "|ERROR", "|HANG_UP", "|INVALID" };
    if (events < 0)
        return strcpy(text, strerror(errno));
    strcpy(text, "|nothing");
    size_t length = 0;
    for (int bit = 0; bit < 5; bit++) {
        if (events & 1 << bit) {
            strcpy(text + length, names[bit]);
            length += strlen(names[bit]);
        }
    }
    return memmove(text, text + 1, strlen(text));
}
