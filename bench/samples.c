#include "bench/samples.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"

/* Run-queue delay of all threads so far; 0 where the kernel does not count it. */
static int64_t waited_ns(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    int64_t sum = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[300];
        long long waited;
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%*s %lld", &waited) == 1)
            sum += waited;
        fclose(file);
    }
    if (folder != NULL)
        closedir(folder);
    return sum;
}

static struct rusage usage(void)
{
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

static struct sample now(void)
{
    struct rusage used = usage();

    return (struct sample){.wall_ns = clock_system.monotonic_ns(&clock_system),
                           .waited_ns = waited_ns(),
                           .faults = used.ru_minflt + used.ru_majflt};
}

void stopwatch_start(struct stopwatch *stopwatch)
{
    stopwatch->start = now();
    stopwatch->start.wall_ns = clock_system.monotonic_ns(&clock_system);
}

struct sample stopwatch_stop(const struct stopwatch *stopwatch)
{
    struct sample end = now();

    return (struct sample){end.wall_ns - stopwatch->start.wall_ns, end.waited_ns - stopwatch->start.waited_ns,
                           end.faults - stopwatch->start.faults};
}

static double waited_share(const struct sample *sample)
{
    return sample->wall_ns > 0 ? (double)sample->waited_ns / (double)sample->wall_ns : 0;
}

bool sample_is_clean(const struct sample *sample, double limit)
{
    return waited_share(sample) <= limit;
}

static int by_share(const void *left, const void *right)
{
    double a = waited_share(left), b = waited_share(right);

    return (a > b) - (a < b);
}

static int by_wall(const void *left, const void *right)
{
    int64_t a = ((const struct sample *)left)->wall_ns, b = ((const struct sample *)right)->wall_ns;

    return (a > b) - (a < b);
}

struct samples_summary samples_summarise(struct sample *samples, int64_t count, double limit, int64_t least)
{
    struct samples_summary summary = {0};
    int64_t kept = 0, middle;

    qsort(samples, (size_t)count, sizeof *samples, by_share);
    while (kept < count && (kept < least || sample_is_clean(&samples[kept], limit)))
        kept++;
    summary.waited = waited_share(&samples[kept - 1]);
    qsort(samples, (size_t)kept, sizeof *samples, by_wall);
    middle = kept / 2;
    summary.kept = kept;
    summary.rejected = count - kept;
    summary.median_ns =
        kept % 2 == 1 ? samples[middle].wall_ns : (samples[middle - 1].wall_ns + samples[middle].wall_ns) / 2;
    summary.least_ns = samples[0].wall_ns;
    summary.most_ns = samples[kept - 1].wall_ns;
    summary.faults = samples[middle].faults;
    return summary;
}

int64_t peak_resident_bytes(void)
{
    return (int64_t)usage().ru_maxrss * 1024;
}
