#include "runtime/machine.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "runtime/cgroup.h"
#include "runtime/isa.h"
#include "runtime/wait.h"

int machine_processors(void)
{
    /* A mask of fixed size fails on machines with more processors than it has bits: ask again with a larger one. */
    int processors = 1024;
    int count = 0;

    for (; processors <= 1 << 20 && count == 0; processors *= 2) {
        cpu_set_t *mask = CPU_ALLOC(processors);

        if (mask == NULL)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(processors), mask) == 0)
            count = CPU_COUNT_S(CPU_ALLOC_SIZE(processors), mask);
        CPU_FREE(mask);
    }
    return count > 0 ? count : 1;
}

int machine_spins(int threads)
{
    return threads > machine_processors() ? 0 : WAIT_SPINS;
}

int machine_default_threads(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    long wanted = text != NULL ? strtol(text, NULL, 10) : 0;
    int processors = machine_processors();
    double quota = cgroup_processors();

    if (wanted >= 1 && wanted <= 1024)
        return (int)wanted;
    if (quota > 0 && quota < processors)
        processors = (int)quota + (quota > (int)quota);
    return processors < 1024 ? processors : 1024;
}

int64_t machine_memory_bytes(void)
{
    int64_t physical = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t limit = cgroup_memory_bytes();

    return limit > 0 && limit < physical ? limit : physical;
}

/* MemAvailable of /proc/meminfo: free pages and those that the kernel would give up. */
static int64_t available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    long long kib = 0;

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL && sscanf(line, "MemAvailable: %lld", &kib) != 1)
        ;
    fclose(file);
    return kib * 1024;
}

int64_t machine_memory_free_bytes(void)
{
    int64_t available = available_bytes();
    int64_t limit = cgroup_memory_bytes();
    int64_t left = limit - cgroup_memory_used_bytes();

    if (limit == 0 || left > available)
        return available;
    return left > 0 ? left : 0;
}

void machine_processor_name(char *name, size_t bytes)
{
    const char *start = "processor";
#if defined(__x86_64__)
    uint32_t words[13] = {0};
    uint32_t leaf;

    for (leaf = 0; leaf < 3; leaf++) {
        uint32_t *w = words + 4 * leaf;

        __get_cpuid(0x80000002u + leaf, &w[0], &w[1], &w[2], &w[3]);
    }
    start = (const char *)words;
    start += strspn(start, " ");
#endif
    snprintf(name, bytes, "%s", start);
}

const char *machine_architecture(void)
{
#if defined(__x86_64__)
    static const char *const levels[CPU_ISAS] = {"x86-64", "x86-64-v3", "x86-64-v4"};

    return levels[cpu_isa_best()];
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "unknown";
#endif
}

/* Signals belong to the host's threads, but for those that the thread itself may cause: blocked, they would kill the
 * process where the host has a handler that tells why. */
int machine_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all, before;
    int failure;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        sigdelset(&all, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0)
        pthread_setname_np(*thread, name);
    return failure;
}
