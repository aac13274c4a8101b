/* The choice of `backend: auto`. */
#ifndef LLMRUN_PLUGIN_AUTO_H
#define LLMRUN_PLUGIN_AUTO_H

#include "plugin/registry.h"

/* Of the backends of priority above 0 that have a device the one of highest priority, the first of equals, tried out in
 * a child process unless it is loaded. One that crashes, hangs, ends its process or whose device does not open is
 * refused, and a warning says so. NULL: there is none; *status is STATUS_MEMORY where want of memory may be why, else
 * STATUS_BACKEND. */
struct candidate *auto_choose(struct registry *registry, int *status);

#endif
