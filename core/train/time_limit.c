#include "train/time_limit.h"

#define ASSUMED_BYTES_PER_S 100000000

void time_limit_start(struct time_limit *limit, int64_t start_ns, int64_t seconds, int64_t bytes)
{
    const int64_t most = (INT64_MAX - start_ns) / 1000000000;

    *limit = (struct time_limit){.end_ns = INT64_MAX};
    if (seconds > 0 && seconds < most)
        limit->end_ns = start_ns + seconds * 1000000000;
    limit->longest_save_ns = bytes * (1000000000 / ASSUMED_BYTES_PER_S);
}

void time_limit_saved(struct time_limit *limit, int64_t duration_ns)
{
    /* The first measurement replaces the estimate. */
    if (!limit->measured || duration_ns > limit->longest_save_ns)
        limit->longest_save_ns = duration_ns;
    limit->measured = true;
}

bool time_limit_reached(struct time_limit *limit, int64_t now_ns)
{
    if (limit->last_ns != 0 && now_ns - limit->last_ns > limit->longest_step_ns)
        limit->longest_step_ns = now_ns - limit->last_ns;
    limit->last_ns = now_ns;
    return limit->end_ns - now_ns < 3 * limit->longest_step_ns + limit->longest_save_ns;
}
