/* Trying a plugin where a crash, an exit or a hang of its code does no harm: in a child process. */
#ifndef LLMRUN_PLUGIN_PROBE_H
#define LLMRUN_PLUGIN_PROBE_H

#include <sys/types.h>

#include "plugin/registry.h"

#define PROBE_DEVICES    16
#define PROBE_TIMEOUT_NS INT64_C(20000000000)
/* With a limit on the address space (RLIMIT_AS) libraries are known to try for ever. */
#define PROBE_TIMEOUT_LIMITED_NS INT64_C(5000000000)

/* What a plugin said of itself. */
struct plugin_probe {
    char vendor[64];
    uint32_t priority;
    uint32_t has_kernel;
    uint32_t has_program;
    uint32_t has_capture;
    uint32_t mode;        /* of a collective, which has no devices; 0 for a backend */
    int32_t domain_count; /* that it reaches */
    char domains[LLMRUN_COLLECTIVE_DOMAINS][COLLECTIVE_DOMAIN_BYTES];
    int32_t device_count; /* 0 is no failure */
    int32_t info_count;   /* of the devices described: at most PROBE_DEVICES */
    struct llmrun_device_info infos[PROBE_DEVICES];
};

/* A child process that has loaded a plugin. All zero: none. */
struct probe_child {
    pid_t process;
    int end;    /* of the socket between the two */
    char *call; /* GUARD_CALL_BYTES that both processes see: what of the plugin runs */
    int64_t timeout_ns;
    int64_t deadline_ns; /* of the answer that is awaited */
};

/* Starts the child and asks it for the plugin's devices or domains; does not wait for the answer, so that several can
 * be asked at once. The child writes nothing to the terminal. `timeout_ns`: PROBE_TIMEOUT_NS. */
int probe_start(const struct candidate *candidate, int64_t timeout_ns, struct probe_child *child, struct error *error);
/* The answer: STATUS_BACKEND, or STATUS_MEMORY, says that the plugin refused, crashed, ended its process or did not
 * answer in time, and where; the sentence goes on after the path of the file. *fatal: it did not refuse, but one of the
 * rest. */
int probe_devices(struct probe_child *child, struct plugin_probe *probe, bool *fatal, struct error *error);
/* Makes the child open device 0 and what a run makes of it first (device_trial). Where it is not fatal, a failure is
 * the plugin's own sentence. */
int probe_trial(struct probe_child *child, bool *fatal, struct error *error);
/* Ends the child, and what it started. */
void probe_end(struct probe_child *child);

/* All of it but the trial. A plugin that this process has loaded is asked here instead. A failure makes the candidate
 * refused. */
int plugin_probe(struct candidate *candidate, int64_t timeout_ns, struct plugin_probe *probe, struct error *error);

#endif
