#include "config/scalar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static const struct {
    char letter;
    int64_t seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

#define UNITS ((int)(sizeof units / sizeof units[0]))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits; false when there are none or they overflow. */
static bool take_digits(const char **text, int64_t *value)
{
    const char *start = *text;

    *value = 0;
    for (; is_digit(**text); ++*text)
        if (!checked_mul(*value, 10, value) || !checked_add(*value, **text - '0', value))
            return false;
    return *text > start;
}

bool scalar_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    int64_t size;

    if (*text == '-' || *text == '+')
        text++;
    if (*text == '0' && text[1] != '\0')
        return false;
    if (!take_digits(&text, &size) || *text != '\0')
        return false;
    *value = negative ? -size : size;
    return true;
}

bool scalar_number(const char *text, double *value)
{
    const char *at = text + (*text == '-' || *text == '+');
    int digits = 0;
    char *end;

    if (*at == '0' && is_digit(at[1]))
        return false;
    for (; is_digit(*at); at++)
        digits++;
    if (*at == '.')
        for (at++; is_digit(*at); at++)
            digits++;
    if (digits == 0)
        return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        if (!is_digit(*at))
            return false;
        while (is_digit(*at))
            at++;
    }
    if (*at != '\0')
        return false;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

bool scalar_duration(const char *text, int64_t *seconds)
{
    int unit = 0;

    *seconds = 0;
    while (*text != '\0') {
        int64_t part;

        if (!take_digits(&text, &part))
            return false;
        while (unit < UNITS && units[unit].letter != *text)
            unit++;
        if (unit == UNITS || !checked_mul(part, units[unit].seconds, &part) || !checked_add(*seconds, part, seconds))
            return false;
        unit++;
        text++;
    }
    return true;
}

void scalar_print_number(double value, char *out, size_t bytes)
{
    char digits[40];
    char *exponent;

    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    /* YAML 1.1 readers take 1e-08 for a text: the dot makes it a number. */
    exponent = strchr(digits, 'e');
    if (strchr(digits, '.') != NULL)
        snprintf(out, bytes, "%s", digits);
    else if (exponent != NULL)
        snprintf(out, bytes, "%.*s.0%s", (int)(exponent - digits), digits, exponent);
    else
        snprintf(out, bytes, "%s.0", digits);
}

void scalar_print_duration(int64_t seconds, char *out, size_t bytes)
{
    size_t used = 0;

    if (bytes > 0)
        *out = '\0';
    for (int unit = 0; unit < UNITS; unit++) {
        int64_t part = seconds / units[unit].seconds;
        int wrote;

        seconds %= units[unit].seconds;
        if (part == 0 || used >= bytes)
            continue;
        wrote = snprintf(out + used, bytes - used, "%lld%c", (long long)part, units[unit].letter);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

bool scalar_in_range(double value, const char *range)
{
    size_t length = strlen(range);
    char *end;
    double low = strtod(range + 1, &end);
    double high = strtod(end + 1, NULL); /* after the comma; "inf" is a number to strtod */
    bool above = range[0] == '[' ? value >= low : value > low;
    bool below = range[length - 1] == ']' ? value <= high : value < high;

    return above && below;
}
