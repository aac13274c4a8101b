/* Ranks of small models in layouts, compiled: for tests of what is made of their commands. */
#ifndef LLMRUN_TEST_LAYOUT_RANKS_H
#define LLMRUN_TEST_LAYOUT_RANKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compile/compile.h"
#include "model/model.h"

struct layout {
    int32_t tp, pp, dp;
    enum pipeline_kind schedule;
    int32_t chunks;
    int32_t zero;
};

static const struct layout layouts[] = {
    {1, 1, 1, PIPELINE_ONE_F_ONE_B, 1, 0}, {2, 2, 2, PIPELINE_ONE_F_ONE_B, 1, 0}, {1, 4, 1, PIPELINE_GPIPE, 1, 0},
    {1, 4, 1, PIPELINE_INTERLEAVED, 2, 0}, {2, 2, 1, PIPELINE_ZERO_BUBBLE, 1, 0}, {1, 3, 1, PIPELINE_ZERO_BUBBLE, 2, 0},
    {1, 1, 4, PIPELINE_ONE_F_ONE_B, 1, 1},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

/* 8 layers, 4 microbatches of each dp replica. */
static inline void compile_of_layout(const struct layout *layout, int32_t rank, struct compiled *compiled)
{
    struct compile_request request = {.seed = 1,
                                      .sequence = 16,
                                      .global_batch = 4 * layout->dp,
                                      .micro_batch = 1,
                                      .batch_parts = layout->dp,
                                      .train = true,
                                      .schedule = layout->schedule,
                                      .chunks = layout->chunks,
                                      .sequence_parallel = layout->tp > 1,
                                      .zero = layout->zero,
                                      .compute_dtype = LLMRUN_F32,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1},
                                      .exact = true};
    struct error error;

    request.mesh = mesh_single();
    request.mesh.sizes[MESH_TP] = layout->tp;
    request.mesh.sizes[MESH_PP] = layout->pp;
    request.mesh.sizes[MESH_DP] = layout->dp;
    mesh_place(&request.mesh, rank);
    if (model_preset("gpt2-tiny", &request.model, &error) != STATUS_OK ||
        compile_step(&request, compiled, &error) != STATUS_OK)
        fail_msg("tp %d, pp %d, dp %d, rank %d: %s", layout->tp, layout->pp, layout->dp, rank, error.message);
}

#endif
