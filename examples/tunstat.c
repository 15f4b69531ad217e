/*
 * tunstat.c: shows what the TUN and TAP interfaces do, without opening them. Distributed under the terms of the MIT
 * license.
 *
 *     gcc -Wall -o tunstat tunstat.c
 *     ./tunstat                  every counter of every unit
 *     ./tunstat -s               a line for each unit
 *     ./tunstat tun/0            what tun/0 carries, each second
 *     ./tunstat tun/0 5 12       each five seconds, twelve times
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <tun_tap.h>

#define TABLE "/dev/misc/tun_tap"
#define SHORT "/dev/misc/tun_tap_short"

static int failed(const char* what)
{
    fprintf(stderr, "tunstat: %s: %s\n", what, strerror(errno));
    return 1;
}

/* Copies a node to the output. Its text is of one moment, however it is read. */
static int show(const char* node)
{
    int fd = open(node, O_RDONLY);
    if (fd < 0)
        return failed(node);
    static char text[4096];
    ssize_t length;
    while ((length = read(fd, text, sizeof(text))) > 0)
        fwrite(text, 1, length, stdout);
    close(fd);
    return length < 0 ? failed(node) : 0;
}

/* Parses "tun/0" and "tap/0". */
static bool parse(const char* name, struct tun_unit_statistics* request)
{
    char* end;
    request->mode = strncmp(name, "tun/", 4) == 0 ? TUN_IFF_TUN : TUN_IFF_TAP;
    if (request->mode == TUN_IFF_TAP && strncmp(name, "tap/", 4) != 0)
        return false;
    request->unit = strtoul(name + 4, &end, 10);
    return name[4] != '\0' && *end == '\0';
}

/* Asks for a unit's statistics. A unit without an interface and without an opener has carried nothing. */
static int fetch(int fd, struct tun_unit_statistics* request)
{
    if (ioctl(fd, TUNGETUNITSTATISTICS, request) == 0)
        return 0;
    if (errno != ENXIO)
        return -1;
    memset(&request->to_user, 0, sizeof(request->to_user));
    memset(&request->to_stack, 0, sizeof(request->to_stack));
    return 0;
}

static uint64_t dropped(const struct tun_direction* direction)
{
    uint64_t sum = 0;
    for (int i = 0; i < TUN_DROP_REASONS; i++)
        sum += direction->dropped[i];
    return sum;
}

/* Returns by how much a counter grew. A unit that was made anew counts from 0. */
static unsigned long long growth(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

static void print_growth(const struct tun_direction* before, const struct tun_direction* now)
{
    printf("%10llu %12llu %9llu %7llu", growth(before->delivered, now->delivered),
        growth(before->delivered_bytes, now->delivered_bytes), growth(dropped(before), dropped(now)),
        (unsigned long long)now->queued);
}

/* Prints what a unit carried in each interval. */
static int watch(const char* name, unsigned seconds, unsigned long times)
{
    struct tun_unit_statistics before, now = { .version = TUN_STATISTICS_VERSION, .size = sizeof(now) };
    if (!parse(name, &now)) {
        fprintf(stderr, "tunstat: %s is neither tun/N nor tap/N\n", name);
        return 1;
    }
    int fd = open(TABLE, O_RDONLY);
    if (fd < 0)
        return failed(TABLE);
    if (ioctl(fd, TUNGETUNITSTATISTICS, &now) != 0 && errno == ENXIO)
        fprintf(stderr, "tunstat: %s is not open and has no interface yet\n", name);
    if (fetch(fd, &now) != 0)
        return failed(name);
    printf("%41s   %41s\n", "to the program", "to the stack");
    printf("%10s %12s %9s %7s   %10s %12s %9s %7s\n", "packets", "bytes", "dropped", "queued", "packets", "bytes",
        "dropped", "queued");
    fflush(stdout);
    for (unsigned long i = 0; times == 0 || i < times; i++) {
        before = now;
        sleep(seconds);
        if (fetch(fd, &now) != 0)
            return failed(name);
        print_growth(&before.to_user, &now.to_user);
        printf("   ");
        print_growth(&before.to_stack, &now.to_stack);
        printf("\n");
        fflush(stdout);
    }
    close(fd);
    return 0;
}

int main(int argc, char** argv)
{
    if (argc == 1)
        return show(TABLE);
    if (argc == 2 && strcmp(argv[1], "-s") == 0)
        return show(SHORT);
    unsigned seconds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    unsigned long times = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    if (argc > 4 || seconds == 0 || argv[1][0] == '-') {
        fprintf(stderr, "usage: tunstat [-s | UNIT [SECONDS [TIMES]]]\n");
        return 1;
    }
    return watch(argv[1], seconds, times);
}
