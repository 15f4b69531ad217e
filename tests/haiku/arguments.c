/*
 * arguments.c: the words of a command line, and the table of a program's subcommands.
 */
#include "arguments.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "far_side.h"
#include "report.h"

/* The result of the line that runs in a child; shared with it. */
static volatile int64_t* s_result;

void set_result(int64_t result)
{
    if (s_result != NULL)
        *s_result = result;
}

bool has_word(const struct arguments* arguments, const char* word)
{
    for (int i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->words[i], word) == 0)
            return true;
    }
    return false;
}

long option(const struct arguments* arguments, const char* name, long otherwise)
{
    size_t length = strlen(name);
    for (int i = 0; i < arguments->count; i++) {
        if (strncmp(arguments->words[i], name, length) == 0 && arguments->words[i][length] == '=')
            return atol(arguments->words[i] + length + 1);
    }
    return otherwise;
}

/* Ends the program if a call never returns; the kernel may keep the process all the same. */
static void* watch(void* argument)
{
    int seconds = *(int*)argument;
    sleep_ms(seconds * 1000);
    errno = ETIMEDOUT;
    fail("watchdog after %d s", seconds);
}

static int run_words(const char* unit_name, char** words, int count, const struct subcommand* table)
{
    static int limit_seconds;
    while (table->name != NULL && strcmp(table->name, words[0]) != 0)
        table++;
    if (table->name == NULL)
        return -1;
    struct arguments arguments = { .count = 0 };
    for (int word = 1; word < count && arguments.count < MAX_WORDS; word++)
        arguments.words[arguments.count++] = words[word];
    limit_seconds = (int)option(&arguments, "limit", 600);
    start_thread(watch, &limit_seconds);
    struct unit unit;
    char name[32];
    snprintf(name, sizeof(name), strchr(unit_name, '/') != NULL ? "%s" : "%s/0", unit_name);
    unit_init(&unit, name);
    unit_set_up(&unit);
    table->function(&unit, &arguments);
    unit_retire(&unit);
    return exit_status();
}

/* Runs one line of the list in a child. Returns its exit status. */
static int run_line(const char* unit_name, const char* line, const struct subcommand* table)
{
    report("run %s %s", unit_name, line);
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        char copy[128], *words[MAX_WORDS + 1];
        int count = 0;
        snprintf(copy, sizeof(copy), "%s", line);
        for (char* word = strtok(copy, " "); word != NULL && count <= MAX_WORDS; word = strtok(NULL, " "))
            words[count++] = word;
        int result = run_words(unit_name, words, count, table);
        if (result < 0)
            report("ERROR no subcommand has this name");
        _exit(result < 0 ? 2 : result);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* Runs the line on one unit and then on the other. Returns the exit status of both. */
static int run_beside(char** units, const char* line, const struct subcommand* table)
{
    int64_t results[2];
    int status = 0;
    for (int i = 0; i < 2; i++) {
        *s_result = -1;
        status |= run_line(units[i], line, table);
        results[i] = *s_result;
    }
    if (results[0] >= 0 && results[1] >= 0)
        report("ratio %s=%lld %s=%lld ratio=%.3f of=%s", units[0], (long long)results[0], units[1],
            (long long)results[1], (double)results[0] / (double)results[1], line);
    return status;
}

static bool is_unit(const char* word)
{
    return strncmp(word, "tun", 3) == 0 || strncmp(word, "tap", 3) == 0;
}

/* Runs "PROGRAM UNIT OTHER-UNIT SUBCOMMAND WORDS...". */
static int run_both(char** units, char** words, int count, const struct subcommand* table, const char* const* all)
{
    char line[128] = "";
    s_result = mmap(NULL, sizeof(*s_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s_result == MAP_FAILED)
        fail("mmap");
    if (strcmp(words[0], "all") == 0) {
        int status = 0;
        for (; *all != NULL; all++)
            status |= run_beside(units, *all, table);
        return status;
    }
    for (int i = 0; i < count; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), i == 0 ? "%s" : " %s", words[i]);
    return run_beside(units, line, table);
}

int run_program(int argc, char** argv, const struct subcommand* table, const char* const* all, const char* usage)
{
    signal(SIGPIPE, SIG_IGN);
    int status = -1;
    if (argc >= 4 && is_unit(argv[2]))
        status = run_both(argv + 1, argv + 3, argc - 3, table, all);
    else if (argc >= 3 && strcmp(argv[2], "all") == 0) {
        status = 0;
        for (; *all != NULL; all++)
            status |= run_line(argv[1], *all, table);
    } else if (argc >= 3)
        status = run_words(argv[1], argv + 2, argc - 2, table);
    if (status >= 0)
        return status;
    fputs(usage, stderr);
    return 2;
}
