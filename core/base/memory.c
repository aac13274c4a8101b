#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number behind `key` at the beginning of a line of a small file; -1 where there is none. */
static int64_t read_number(const char *path, const char *key)
{
    char text[8192];
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = handle >= 0 ? read(handle, text, sizeof text - 1) : -1;
    size_t key_bytes = strlen(key);
    long long number;

    if (handle >= 0)
        close(handle);
    if (bytes <= 0)
        return -1;
    text[bytes] = '\0';
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, key_bytes) == 0)
            return sscanf(line + key_bytes, "%lld", &number) == 1 ? number : -1;
    }
    return -1;
}

/* Of the group itself, as a container sees it. Pages of files are given back when memory is wanted. */
static int64_t left_to_group(void)
{
    int64_t most = read_number("/sys/fs/cgroup/memory.max", ""),
            used = read_number("/sys/fs/cgroup/memory.current", "");
    int64_t files = read_number("/sys/fs/cgroup/memory.stat", "inactive_file ");

    if (most < 0 || used < 0)
        return INT64_MAX;
    used -= files > 0 ? files : 0;
    return used < most ? most - used : 0;
}

int64_t memory_available(void)
{
    int64_t system = read_number("/proc/meminfo", "MemAvailable:"), group = left_to_group();

    system = system < 0 ? INT64_MAX : system * 1024;
    return system < group ? system : group;
}
