/* What all ranks of a job must have alike before the first step: each key is a hash that they compare, and one that
 * differs is named with its ranks. Nothing that may differ is among them: with exact numerics ranks may have different
 * processors, and the program that a rank runs is its own. */
#ifndef LLMRUN_ENGINE_AGREEMENT_H
#define LLMRUN_ENGINE_AGREEMENT_H

#include "engine/engine.h"

/* All ranks call it, with what their engines were compiled for. STATUS_USAGE names the key. */
int agreement_reach(struct ranks *ranks, const struct engine *engine, const struct config *config,
                    const struct work_hashes *hashes, struct error *error);

#endif
