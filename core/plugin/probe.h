/* Asking a plugin for its devices where a crash, an exit or a hang of its code does no harm: in a child process. */
#ifndef LLMRUN_PLUGIN_PROBE_H
#define LLMRUN_PLUGIN_PROBE_H

#include "plugin/registry.h"

#define PROBE_DEVICES    16
#define PROBE_TIMEOUT_NS INT64_C(20000000000)

/* What a plugin said of itself. */
struct plugin_probe {
    char vendor[64];
    uint32_t rank;
    uint32_t has_kernel;
    uint32_t has_program;
    uint32_t has_capture;
    int32_t device_count; /* 0 is no failure */
    int32_t info_count;   /* of the devices described: at most PROBE_DEVICES */
    struct llmrun_device_info infos[PROBE_DEVICES];
};

/* Forks, loads the candidate in the child, counts its devices, and makes the child end. A backend that this process has
 * loaded is asked here instead. A failure (STATUS_BACKEND) makes the candidate refused: the sentence says whether it
 * refused, crashed, ended or did not answer within `timeout_ns`. Blocks at most about that long. The child writes
 * nothing to the terminal. */
int plugin_probe(struct candidate *candidate, int64_t timeout_ns, struct plugin_probe *probe, struct error *error);

#endif
