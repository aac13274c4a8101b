#include "base/clock.h"

#include <time.h>

static int64_t system_monotonic_ns(const struct clock *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t system_utc_s(const struct clock *clock)
{
    (void)clock;
    return (int64_t)time(NULL);
}

const struct clock clock_system = {system_monotonic_ns, system_utc_s};
