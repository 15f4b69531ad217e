/*
 * survive.c: what connections, kernel memory and a poll loop come to when the program behind a unit is slow, away, or
 * loses its interface.
 */
#include "survive.h"

#include <stddef.h>

static const char s_usage[] =
    "usage: survive tun|tap|tun/N|tap/N TEST\n"
    "  tcp-restart [idle|request|bulk] [restart|full] [gap=1000] [flood=1024]\n"
    "  eight-senders [seconds=20] [work=50] [flows=8] [buffer=0] [queue=0]\n"
    "      work: microseconds that the program spends on each packet; buffer: bytes of the socket buffers,\n"
    "      queue: packets that the queue to the program may hold (tun_tap only); 0 leaves the default\n"
    "  closed-unit [packets=100000] [neighbours=1000]\n"
    "  delete-under\n"
    "  all                                              each of them in a process of its own\n"
    "Every test takes limit=SECONDS for its watchdog.\n";

static const struct subcommand s_tests[] = {
    { "tcp-restart", survive_tcp_restart },
    { "eight-senders", survive_eight_senders },
    { "closed-unit", survive_closed_unit },
    { "delete-under", survive_delete_under },
    { NULL, NULL },
};

static const char* const s_all[] = {
    "tcp-restart",
    "eight-senders", "eight-senders queue=128 seconds=5", "eight-senders flows=16 work=20 seconds=5",
    "closed-unit", "delete-under", NULL,
};

int main(int argc, char** argv)
{
    return run_program(argc, argv, s_tests, s_all, s_usage);
}
