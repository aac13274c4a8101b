/* Random bytes of the system, for secrets and nonces. Random numbers of a model are those of llmrun/random.h. */
#ifndef LLMRUN_BASE_RANDOM_BYTES_H
#define LLMRUN_BASE_RANDOM_BYTES_H

#include <stddef.h>

#include "base/status.h"

/* STATUS_STORAGE where the system gives none. Any thread. */
int random_bytes(void *data, size_t bytes, struct error *error);

#endif
