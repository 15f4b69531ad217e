/*
 * arguments.h: the words of a command line, and the table of a program's subcommands.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>

#include "unit.h"

enum { MAX_WORDS = 12 };

struct arguments {
    const char* words[MAX_WORDS]; /* what follows the subcommand's name */
    int count;
};

struct subcommand {
    const char* name;
    void (*function)(struct unit*, const struct arguments*);
};

/* Returns whether any argument is this word. */
bool has_word(const struct arguments* arguments, const char* word);

/* Returns the number after "name=", or `otherwise`. */
long option(const struct arguments* arguments, const char* name, long otherwise);

/* Sets the number that stands for this subcommand in a "ratio" line. */
void set_result(int64_t result);

/* Runs "PROGRAM UNIT SUBCOMMAND WORDS...": sets the unit up, calls the subcommand, closes the unit. The subcommand
 * "all" runs each line of `all` in a process of its own. With two units it runs each line on one and then on the other,
 * and prints a "ratio" line if both set a result. Both tables end with NULL. Returns the exit status. */
int run_program(int argc, char** argv, const struct subcommand* table, const char* const* all, const char* usage);

#endif
