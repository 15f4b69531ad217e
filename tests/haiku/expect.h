/*
 * expect.h: the result lines of check: "ok - NAME" and "not ok - NAME: WHAT WAS SEEN", as in TAP.
 */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdbool.h>
#include <stdint.h>

/* Sets the words in front of each name from now on, such as "tun/40 reading". */
void expect_prefix(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the result of one check; the format says what was expected and seen, and is printed if the check failed.
 * Returns `passed`. */
bool expect(bool passed, const char* name, const char* format, ...) __attribute__((format(printf, 3, 4)));

/* Checks that a call succeeded: that `result`, which it returned, is not negative. */
bool expect_success(long result, const char* name);

/* Checks that a call failed, and why: `result` is what it returned, errno is as it left it. */
bool expect_error(long result, int error, const char* name);

/* Checks a number. */
bool expect_equal(uint64_t seen, uint64_t expected, const char* name);

/* Prints a line for a check that cannot be made here, and why. */
void skip(const char* name, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a comment line. */
void note(const char* format, ...) __attribute__((format(printf, 1, 2)));

#endif
