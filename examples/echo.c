/*
 * echo.c: answers every ping to a TUN, one packet a call. Distributed under the terms of the MIT license.
 *
 *     gcc -Wall -o echo echo.c && ./echo /dev/tun/0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <tun_tap.h>

#include "reply.h"

static int failed(const char* what)
{
    fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char** argv)
{
    const char* device = argc > 1 ? argv[1] : "/dev/tun/0";
    int tun = open(device, O_RDWR | O_NONBLOCK);
    if (tun < 0)
        return failed(device);
    struct tun_ifreq interface;
    if (ioctl(tun, TUNGETIFF, &interface) != 0)
        return failed("TUNGETIFF");
    printf("answering the pings to %s\n", interface.name);
    fflush(stdout);

    static uint8_t packet[65536];
    for (;;) {
        struct pollfd readable = { .fd = tun, .events = POLLIN };
        if (poll(&readable, 1, -1) < 0 && errno != EINTR)
            return failed("poll");
        ssize_t length;
        while ((length = read(tun, packet, sizeof(packet))) > 0) {
            if (make_reply(packet, length) && write(tun, packet, length) < 0)
                failed("a reply was lost");
        }
        if (errno == ENXIO)
            fprintf(stderr, "echo: the interface was deleted; waiting for another\n");
        else if (errno != EAGAIN && errno != EINTR)
            return failed("read");
    }
}
