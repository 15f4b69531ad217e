/*
 * check.c: what a TUN and a TAP must do on this Haiku, as "ok" and "not ok" lines.
 */
#include "check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_UNIT = 40, LINE = 1024, KILL_MS = 5000 };

struct group {
    const char* name;
    void (*function)(struct unit*);
    bool own_unit;   /* runs on the unit after the one that was asked for */
    bool on_request; /* runs only if it is named */
    int limit_s;
};

static const struct group s_groups[] = {
    { "controls", check_controls, false, false, 60 },
    { "reading", check_reading, false, false, 60 },
    { "writing", check_writing, false, false, 60 },
    { "waiting", check_waiting, false, false, 180 },
    { "batches", check_batches, false, false, 60 },
    { "faults", check_faults, false, false, 60 },
    { "rights", check_rights, false, false, 60 },
    { "closing", check_closing, false, false, 120 },
    { "going-down", check_going_down, false, false, 60 },
    { "deleting", check_deleting, true, false, 240 },
    { "deleting-under-writes", check_deleting_under_writes, true, true, 240 },
    /* Before the connections of "tcp", which send more packets after their end. */
    { "counters", check_counters, false, false, 60 },
    { "captures", check_capture, false, false, 180 },
    { "floods", check_floods, false, false, 180 },
    { "tcp", check_tcp, false, false, 240 },
};

static const char s_usage[] =
    "usage: check [tun|tap|tun/N|tap/N]... [GROUP]... [keep]\n"
    "Checks tun/40 and tap/40 unless told otherwise, and the units after them, which no other program may use.\n"
    "keep: leaves the interfaces, which are deleted otherwise. Groups, of which the ones in brackets run only if\n"
    "named, because a fault of Haiku's can make them hang or end in the kernel debugger:";

static int s_passed, s_failed, s_skipped;

static void count_line(const char* line)
{
    if (strncmp(line, "not ok - ", 9) == 0)
        s_failed++;
    else if (strncmp(line, "ok - ", 5) == 0) {
        if (strstr(line, " # SKIP ") != NULL)
            s_skipped++;
        else
            s_passed++;
    } else if (strncmp(line, "ERROR ", 6) == 0)
        s_failed++;
}

/* Prints a line of a group. An ERROR line, of a group that could not go on, stands for the checks that it left out. */
static void print_line(const char* line, const char* group)
{
    if (strncmp(line, "ERROR ", 6) == 0)
        report("not ok - %s: could not go on: %s", group, line + 6);
    else
        report("%s", line);
    count_line(line);
}

/* Copies whole lines from the pipe until its end or the time limit. Returns false at the limit. */
static bool copy_lines(int pipe_end, int64_t limit, const char* group)
{
    static char line[LINE];
    size_t length = 0;
    for (;;) {
        struct pollfd entry = { .fd = pipe_end, .events = POLLIN };
        int64_t left = (limit - now_ns()) / MS;
        if (left <= 0)
            return false;
        if (poll(&entry, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        ssize_t got = read(pipe_end, line + length, 1);
        if (got <= 0)
            return true;
        if (line[length] != '\n' && length < sizeof(line) - 2) {
            length++;
            continue;
        }
        line[length] = '\0';
        print_line(line, group);
        length = 0;
    }
}

/* Waits for a process to end; returns false if it has not by the limit. */
static bool reap(pid_t child, int* status, int64_t limit)
{
    while (waitpid(child, status, WNOHANG) == 0) {
        if (now_ns() > limit)
            return false;
        sleep_ms(5);
    }
    return true;
}

/* Runs the group in this process, which is the group's own. */
_Noreturn static void run_here(const struct group* group, const char* unit_name)
{
    struct unit unit;
    unit_init(&unit, unit_name);
    expect_prefix("%s %s", unit_name, group->name);
    unit_set_up(&unit);
    if (unit.stock) {
        errno = ENOTSUP;
        fail("the driver of this interface is Haiku's own tunnel add-on, not tun_tap");
    }
    group->function(&unit);
    if (unit.fd >= 0)
        expect_balance(&unit);
    unit_retire(&unit);
    exit(0);
}

/* Runs a group in a process of its own, for no longer than its limit. */
static void run_group(const struct group* group, const char* unit_name)
{
    int ends[2], status = 0;
    if (pipe(ends) < 0)
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(ends[0]);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[1]);
        run_here(group, unit_name);
    }
    close(ends[1]);
    int64_t start = now_ns();
    char name[64];
    snprintf(name, sizeof(name), "%.31s %s", unit_name, group->name);
    bool in_time = copy_lines(ends[0], start + group->limit_s * 1000 * MS, name);
    close(ends[0]);
    if (!in_time) {
        s_failed++;
        report("not ok - %s %s: expected it to end within %d s, it is killed", unit_name, group->name, group->limit_s);
        kill(child, SIGKILL);
    }
    if (!reap(child, &status, now_ns() + KILL_MS * MS)) {
        s_failed++;
        report("not ok - %s %s: expected its process to end, a thread of it is still in the kernel", unit_name,
            group->name);
    } else if (in_time && WIFSIGNALED(status)) {
        s_failed++;
        report("not ok - %s %s: expected it to run to its end, signal %d ended it", unit_name, group->name,
            WTERMSIG(status));
    }
    report("# %s %s took %lld ms", unit_name, group->name, (long long)((now_ns() - start) / MS));
}

static void delete_interface(const char* name)
{
    if (!interface_exists(name))
        return;
    interface_set_up(name, false);
    sleep_ms(100);
    if (!interface_delete(name))
        report("# %s could not be deleted: %s", name, strerror(errno));
}

/* Returns the name of the unit that follows, such as tun/41 for tun/40. */
static const char* unit_after(const char* name)
{
    static char next[32];
    snprintf(next, sizeof(next), "%.4s%d", name, atoi(name + 4) + 1);
    return next;
}

/* Runs the chosen groups, all if none was chosen, on a unit. */
static void run_unit(const char* name, char** words, int count, bool keep)
{
    for (size_t i = 0; i < sizeof(s_groups) / sizeof(s_groups[0]); i++) {
        bool chosen = count == 0 && !s_groups[i].on_request;
        for (int word = 0; word < count; word++)
            chosen = chosen || strcmp(words[word], s_groups[i].name) == 0;
        if (chosen)
            run_group(&s_groups[i], s_groups[i].own_unit ? unit_after(name) : name);
    }
    if (!keep) {
        delete_interface(name);
        delete_interface(unit_after(name));
    }
}

static bool is_group(const char* word)
{
    for (size_t i = 0; i < sizeof(s_groups) / sizeof(s_groups[0]); i++) {
        if (strcmp(word, s_groups[i].name) == 0)
            return true;
    }
    return false;
}

static int usage(void)
{
    fputs(s_usage, stderr);
    for (size_t i = 0; i < sizeof(s_groups) / sizeof(s_groups[0]); i++)
        fprintf(stderr, s_groups[i].on_request ? " [%s]" : " %s", s_groups[i].name);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char** argv)
{
    char names[16][32], *words[16];
    int units = 0, count = 0;
    bool keep = false;
    for (int i = 1; i < argc; i++) {
        bool is_unit = strncmp(argv[i], "tun", 3) == 0 || strncmp(argv[i], "tap", 3) == 0;
        if (strcmp(argv[i], "keep") == 0)
            keep = true;
        else if (is_unit && units < 16)
            snprintf(names[units++], sizeof(names[0]), strlen(argv[i]) == 3 ? "%s/%d" : "%s", argv[i], DEFAULT_UNIT);
        else if (is_group(argv[i]) && count < 16)
            words[count++] = argv[i];
        else
            return usage();
    }
    if (units == 0) {
        snprintf(names[units++], sizeof(names[0]), "tun/%d", DEFAULT_UNIT);
        snprintf(names[units++], sizeof(names[0]), "tap/%d", DEFAULT_UNIT);
    }
    signal(SIGPIPE, SIG_IGN);
    struct utsname system;
    if (uname(&system) == 0)
        report("# %s %s %s %s, %ld CPUs", system.sysname, system.release, system.version, system.machine,
            sysconf(_SC_NPROCESSORS_ONLN));
    if (access("/dev/tun", F_OK) != 0) {
        report("Bail out! There is no /dev/tun: the driver is not loaded.");
        return 2;
    }
    for (int i = 0; i < units; i++)
        run_unit(names[i], words, count, keep);
    report("1..%d", s_passed + s_failed + s_skipped);
    report("# %d ok, %d not ok, %d skipped", s_passed, s_failed, s_skipped);
    return s_failed == 0 ? 0 : 1;
}
