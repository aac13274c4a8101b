/* From the text of a scalar to a number, and back. Strict: what two YAML readers would read differently (0x10, 010,
 * 1_000, .inf) is not a number here. Independent of the locale as long as the process stays in "C" for numbers. */
#ifndef LLMRUN_CONFIG_SCALAR_H
#define LLMRUN_CONFIG_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits with an optional sign, no leading zeros, within int64. */
bool scalar_integer(const char *text, int64_t *value);

/* 1, 1.5, .5, 6e-4, with an optional sign; finite. */
bool scalar_number(const char *text, double *value);

/* Seconds of a time like 2d, 1h30m, 90s: whole numbers, each with a unit, larger units first; "" is 0. */
bool scalar_duration(const char *text, int64_t *seconds);

/* The fewest digits that scalar_number (and other YAML readers) read back to the same value. */
void scalar_print_number(double value, char *out, size_t bytes);

/* The form that scalar_duration reads: 5400 is 1h30m, 0 is "". */
void scalar_print_duration(int64_t seconds, char *out, size_t bytes);

/* True when `value` lies in an interval such as "[0, 1)" or "(0, inf)". */
bool scalar_in_range(double value, const char *range);

#endif
