#include "runtime/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ROOT "/sys/fs/cgroup"

/* The path of this process's group under `controller` of version 1, or of version 2 with "". */
static int own_group(const char *controller, char *path, size_t bytes)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    int found = 0;

    if (file == NULL)
        return 0;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        char *names = strchr(line, ':');
        char *group = names != NULL ? strchr(names + 1, ':') : NULL;
        char *name;

        if (group == NULL)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        found = names[1] == '\0' && controller[0] == '\0';
        for (name = strtok(names + 1, ","); name != NULL && !found; name = strtok(NULL, ","))
            found = strcmp(name, controller) == 0;
        if (found)
            found = snprintf(path, bytes, "%s", group) < (int)bytes;
    }
    fclose(file);
    return found;
}

/* First line of a file of the group, or of the root of its hierarchy. */
static int read_line(const char *controller, const char *name, char *line, int bytes)
{
    char group[PATH_MAX], path[2 * PATH_MAX];
    int root;

    if (!own_group(controller, group, sizeof(group)))
        return 0;
    for (root = 0; root < 2; root++) {
        FILE *file;
        char *got;

        snprintf(path, sizeof(path), ROOT "/%s%s/%s", controller, root ? "" : group, name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        got = fgets(line, bytes, file);
        fclose(file);
        if (got != NULL)
            return 1;
    }
    return 0;
}

static int64_t read_number(const char *controller, const char *name)
{
    char line[64];
    long long number;

    if (!read_line(controller, name, line, sizeof(line)) || sscanf(line, "%lld", &number) != 1)
        return 0;
    return number;
}

double cgroup_processors(void)
{
    char line[64];
    double quota, period;

    if (read_line("", "cpu.max", line, sizeof(line)))
        return sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0 ? quota / period : 0;
    quota = (double)read_number("cpu", "cpu.cfs_quota_us");
    period = (double)read_number("cpu", "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : 0;
}

int64_t cgroup_memory_bytes(void)
{
    int64_t bytes = read_number("", "memory.max");

    if (bytes <= 0)
        bytes = read_number("memory", "memory.limit_in_bytes");
    /* Version 1 writes "no limit" as the largest multiple of a page. */
    return bytes >= INT64_MAX / 4096 * 4096 - 65536 ? 0 : bytes;
}

int64_t cgroup_memory_used_bytes(void)
{
    int64_t bytes = read_number("", "memory.current");

    return bytes > 0 ? bytes : read_number("memory", "memory.usage_in_bytes");
}
