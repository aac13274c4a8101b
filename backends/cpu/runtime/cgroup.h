/* The limits of this process's control group, version 1 or 2 (kernel: Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/). The group's own folder is looked at, and the root of the mount, which is what a container sees. */
#ifndef LLMRUN_CPU_CGROUP_H
#define LLMRUN_CPU_CGROUP_H

#include <stdint.h>

/* Processors' worth of time that the quota allows, 0 when there is none. */
double cgroup_processors(void);
/* Limit and use of memory; 0 when there is no limit. */
int64_t cgroup_memory_bytes(void);
int64_t cgroup_memory_used_bytes(void);

#endif
