/*
 * arguments.c: the words of a command line, and the table of a program's subcommands.
 */
#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int run_subcommand(int argc, char** argv, const struct subcommand* table, const char* usage)
{
    for (; argc >= 3 && table->name != NULL; table++) {
        if (strcmp(argv[2], table->name) != 0)
            continue;
        struct arguments arguments = { .count = 0 };
        for (int word = 3; word < argc && arguments.count < MAX_WORDS; word++)
            arguments.words[arguments.count++] = argv[word];
        struct unit unit;
        char name[32];
        snprintf(name, sizeof(name), strchr(argv[1], '/') != NULL ? "%s" : "%s/0", argv[1]);
        unit_init(&unit, name);
        unit_set_up(&unit);
        table->function(&unit, &arguments);
        unit_tear_down(&unit);
        return exit_status();
    }
    fputs(usage, stderr);
    return 2;
}
