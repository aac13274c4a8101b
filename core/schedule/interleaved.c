/* Interleaved 1F1B (Narayanan et al., arXiv 2104.04473, section 2.2.2): 1F1B over the runs of all chunks of a rank. F
 * takes `ranks` microbatches through chunk 0, then through chunk 1, ..., then the next `ranks` microbatches; B does the
 * same from the last chunk. Rank r begins with 2 (p - 1 - r) + (v - 1) p F, as in Megatron. The bubble is that of
 * (p - 1) / v microbatches. */
#include "schedule/build.h"

int pipeline_interleaved(const struct pipeline_shape *shape, struct pipeline *pipeline, struct error *error)
{
    int32_t ranks = shape->ranks, chunks = shape->chunks;
    int status = pipeline_begin(shape, "interleaved", 2, PIPELINE_CHUNKS_MAX, false, pipeline, error);

    if (status == STATUS_OK && shape->microbatches % ranks != 0) {
        pipeline_finish(pipeline);
        return error_set(error, STATUS_USAGE,
                         "schedule interleaved: %d microbatches on %d ranks, wanted a multiple of %d; or take 1f1b",
                         shape->microbatches, ranks, ranks);
    }
    for (int32_t rank = 0; status == STATUS_OK && rank < ranks; rank++) {
        int64_t runs = (int64_t)shape->microbatches * chunks;
        int64_t warmup = 2 * (int64_t)(ranks - 1 - rank) + (chunks - 1) * (int64_t)ranks;
        struct pipeline_builder builder;

        pipeline_builder_init(&builder, pipeline, rank);
        for (int64_t i = 0; i < runs + warmup; i++) {
            if (i < runs)
                pipeline_add(&builder, PIPELINE_F, (int32_t)(i / ranks % chunks));
            if (i >= warmup)
                pipeline_add(&builder, PIPELINE_BW, chunks - 1 - (int32_t)((i - warmup) / ranks % chunks));
        }
    }
    return status;
}
