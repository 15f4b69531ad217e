/*
 * measure.c: what packets cost over a TUN or TAP unit, in nanoseconds of the guest's clock. Under QEMU's
 * "-icount shift=0" that is instructions on one CPU.
 */
#include "measure.h"

#include <stddef.h>

static const char s_usage[] =
    "usage: measure tun|tap|tun/N|tap/N [tun/N|tap/N] MEASUREMENT\n"
    "  rtt icmp|udp SIZE [inet6] [poll] [samples=2000]\n"
    "  tcp-out MB [poll] [window=32768] [samples=5]     a socket sends, the far side acknowledges\n"
    "  tcp-in MB [poll] [window=32768] [samples=5]      the far side sends\n"
    "  flood-in SIZE block|spin|poll [rcvbuf=BYTES] [ms=1000] [samples=5]\n"
    "  flood-out SIZE block|poll [ms=1000] [samples=5]\n"
    "  batch in|out SIZE [samples=200]                  batches of 32 beside single calls; tun_tap only\n"
    "  all                                              the lines of s_all, each in a process of its own\n"
    "SIZE is the payload of UDP or of an ICMP echo. With two units each is measured, and their ratio printed.\n";

static const struct subcommand s_measurements[] = {
    { "rtt", measure_rtt },
    { "tcp-out", measure_tcp_out },
    { "tcp-in", measure_tcp_in },
    { "flood-in", measure_flood_in },
    { "flood-out", measure_flood_out },
    { "batch", measure_batch },
    { NULL, NULL },
};

static const char* const s_all[] = {
    "rtt icmp 64",
    "rtt udp 64",
    "rtt udp 64 poll",
    "rtt udp 1400",
    "rtt udp 64 inet6",
    "tcp-out 4",
    "tcp-out 4 poll",
    "tcp-in 4",
    "tcp-in 4 poll",
    "flood-in 64 block samples=3",
    "flood-in 1400 block samples=3",
    "flood-in 1400 spin samples=3",
    "flood-in 1400 poll samples=3",
    "flood-in 1400 block rcvbuf=1000000 samples=3",
    "flood-out 64 block ms=200 samples=41",
    "flood-out 1400 block ms=200 samples=41",
    "flood-out 1400 poll ms=200 samples=41",
    "batch in 64",
    "batch in 1400",
    "batch out 64",
    "batch out 1400",
    NULL,
};

int main(int argc, char** argv)
{
    return run_program(argc, argv, s_measurements, s_all, s_usage);
}
