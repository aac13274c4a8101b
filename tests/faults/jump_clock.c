/* A library to preload: the time of day jumps by up to 30 years, back and forth, at each look. Clocks that only go on
 * are as they are. */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT       __attribute__((visibility("default")))
#define THIRTY_YEARS 946080000

static int64_t jump(void)
{
    static atomic_uint_fast64_t looks;
    uint64_t z = (atomic_fetch_add(&looks, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return (int64_t)((z ^ z >> 31) % (2 * THIRTY_YEARS)) - THIRTY_YEARS;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += jump();
    return result;
}

EXPORT time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
