/*
 * report.h: result lines, the clock and small statistics.
 *
 * Each result is one line "name key=value ...", each verdict one line "PASS name ..." or "FAIL name ...".
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS 1000000LL /* nanoseconds in a millisecond */

/* Prints a result line. */
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a verdict line and counts failures. */
void verdict(bool passed, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a message with the text of errno and exits with status 2: the test could not be run. */
_Noreturn void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Returns 0 if every verdict so far was PASS, otherwise 1. */
int exit_status(void);

/* Returns the nanoseconds since boot. Under QEMU's "-icount shift=0" a nanosecond is an instruction. */
int64_t now_ns(void);

void sleep_ms(int milliseconds);

/* Sorts the samples and returns the one at `per_mille` (500 is the median). */
int64_t quantile(int64_t* samples, size_t count, int per_mille);

#endif
