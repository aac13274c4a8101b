/* Receives that read the memory of the rank that sends, in slices, so that nobody waits for the engine's mutex long. */
#ifndef LLMRUN_HOST_DIRECT_H
#define LLMRUN_HOST_DIRECT_H

#include "communicator.h"

/* Reads a slice of the first step of link->reading. True when it has all. Failures are noted. */
bool direct_read(struct link *link);

/* Can the memory of process `pid` be read? It has the 32 bytes `expected` at `address`. */
bool direct_works(pid_t pid, uint64_t address, const uint8_t *expected);

#endif
