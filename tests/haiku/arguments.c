/*
 * arguments.c: the words of a command line, and the table of a program's subcommands.
 */
#include "arguments.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "far_side.h"
#include "report.h"

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
        _exit(run_words(unit_name, words, count, table));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int run_program(int argc, char** argv, const struct subcommand* table, const char* const* all, const char* usage)
{
    signal(SIGPIPE, SIG_IGN);
    int status = -1;
    if (argc >= 3 && strcmp(argv[2], "all") == 0) {
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
