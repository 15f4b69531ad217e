/*
 * expect.c: the result lines of check.
 */
#include "expect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

enum { TEXT = 256 };

static char s_prefix[64];

void expect_prefix(const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s_prefix, sizeof(s_prefix), format, arguments);
    va_end(arguments);
}

bool expect(bool passed, const char* name, const char* format, ...)
{
    char seen[TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(seen, sizeof(seen), format, arguments);
    va_end(arguments);
    if (passed)
        report("ok - %s: %s", s_prefix, name);
    else
        report("not ok - %s: %s: %s", s_prefix, name, seen);
    return passed;
}

bool expect_success(long result, const char* name)
{
    return expect(result >= 0, name, "expected success, it failed with \"%s\"", strerror(errno));
}

bool expect_error(long result, int error, const char* name)
{
    int seen = errno;
    char expected[TEXT / 3];
    snprintf(expected, sizeof(expected), "%s", strerror(error));
    if (result >= 0)
        return expect(false, name, "expected the error \"%s\", it returned %ld", expected, result);
    return expect(seen == error, name, "expected the error \"%s\", it failed with \"%s\"", expected, strerror(seen));
}

bool expect_equal(uint64_t seen, uint64_t expected, const char* name)
{
    return expect(seen == expected, name, "expected %llu, saw %llu", (unsigned long long)expected,
        (unsigned long long)seen);
}

void skip(const char* name, const char* format, ...)
{
    char reason[TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    report("ok - %s: %s # SKIP %s", s_prefix, name, reason);
}

void note(const char* format, ...)
{
    char text[2 * TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    report("# %s", text);
}
