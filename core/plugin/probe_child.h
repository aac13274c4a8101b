/* The side of a probe that runs the plugin's code. */
#ifndef LLMRUN_PLUGIN_PROBE_CHILD_H
#define LLMRUN_PLUGIN_PROBE_CHILD_H

#include "plugin/probe.h"

/* What the child writes, to each order: the same program reads it, so its form is free. */
struct probe_reply {
    struct error error; /* status STATUS_OK: `probe` is filled, where that was asked for */
    struct plugin_probe probe;
};

/* In the child after fork; never returns. Loads the candidate, answers what `ask` says of it, then makes one trial a
 * byte that comes from `orders`, and ends with it. */
void probe_child_run(const struct candidate *candidate, int parent, int silence, char *call,
                     int (*ask)(const struct plugin *plugin, struct plugin_probe *probe, struct error *error))
    __attribute__((noreturn));

#endif
