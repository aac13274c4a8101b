/* Timing on a machine that may have other work. Where a thread of this process was ready to run and had to wait for a
 * processor, the kernel counted the time (Linux, /proc/PID/task/TID/schedstat); samples with much of it say more about
 * the neighbours than about this program and are left out of the median. Contention for memory does not show there. */
#ifndef LLMRUN_BENCH_SAMPLES_H
#define LLMRUN_BENCH_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int64_t wall_ns;
    int64_t waited_ns; /* for a processor, summed over the threads */
    int64_t faults;    /* page faults of the process */
};

/* A sample in progress; started and stopped by one thread. */
struct stopwatch {
    struct sample start;
};

void stopwatch_start(struct stopwatch *stopwatch);
struct sample stopwatch_stop(const struct stopwatch *stopwatch);

struct samples_summary {
    int64_t kept, rejected;
    int64_t median_ns, least_ns, most_ns; /* of those kept */
    double waited;                        /* the largest share of its time that a kept one waited */
    int64_t faults;                       /* of the one in the middle */
};

/* True where the threads waited for at most `limit` of the sample's time. */
bool sample_is_clean(const struct sample *sample, double limit);

/* Keeps the clean samples, or where there are fewer than `least` the `least` with the smallest share of waiting. Sorts
 * `samples`: those kept come first, by wall time. `count` > 0. */
struct samples_summary samples_summarise(struct sample *samples, int64_t count, double limit, int64_t least);

/* The most memory this process ever had, in bytes. */
int64_t peak_resident_bytes(void);

#endif
