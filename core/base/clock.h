/* Time, behind a table so that a test can set it. */
#ifndef LLMRUN_BASE_CLOCK_H
#define LLMRUN_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*monotonic_ns)(const struct clock *clock); /* never steps back; for durations and timeouts */
    int64_t (*utc_s)(const struct clock *clock);        /* seconds since 1970; for names and logs only */
};

extern const struct clock clock_system;

#endif
