/*
 * report.c: result lines, the clock and small statistics.
 */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __HAIKU__
#include <OS.h>
#endif

static int s_failures;

static void print_line(const char* prefix, const char* format, va_list arguments, const char* suffix)
{
    flockfile(stdout);
    fputs(prefix, stdout);
    vprintf(format, arguments);
    puts(suffix);
    fflush(stdout);
    funlockfile(stdout);
}

void report(const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("", format, arguments, "");
    va_end(arguments);
}

void verdict(bool passed, const char* format, ...)
{
    if (!passed)
        __atomic_fetch_add(&s_failures, 1, __ATOMIC_RELAXED);
    va_list arguments;
    va_start(arguments, format);
    print_line(passed ? "PASS " : "FAIL ", format, arguments, "");
    va_end(arguments);
}

void fail(const char* format, ...)
{
    char cause[128];
    snprintf(cause, sizeof(cause), ": %s", strerror(errno));
    va_list arguments;
    va_start(arguments, format);
    print_line("ERROR ", format, arguments, cause);
    va_end(arguments);
    _exit(2);
}

int exit_status(void)
{
    return __atomic_load_n(&s_failures, __ATOMIC_RELAXED) == 0 ? 0 : 1;
}

int64_t now_ns(void)
{
#ifdef __HAIKU__
    return system_time_nsecs();
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
#endif
}

void sleep_ms(int milliseconds)
{
    struct timespec duration = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
    while (nanosleep(&duration, &duration) != 0 && errno == EINTR)
        ;
}

static int compare_samples(const void* left, const void* right)
{
    int64_t a = *(const int64_t*)left, b = *(const int64_t*)right;
    return (a > b) - (a < b);
}

int64_t quantile(int64_t* samples, size_t count, int per_mille)
{
    if (count == 0)
        return 0;
    qsort(samples, count, sizeof(samples[0]), compare_samples);
    return samples[(count - 1) * (size_t)per_mille / 1000];
}
