/* 1F1B (PipeDream-Flush; Narayanan et al., arXiv 2104.04473, section 2.2.1): rank r runs p - 1 - r F until the first
 * gradient can come back, then one F and one B in turn, then the B that are left. The bubble is GPipe's; at most p - r
 * microbatches are in flight. */
#include "schedule/build.h"

int pipeline_one_f_one_b(const struct pipeline_shape *shape, struct pipeline *pipeline, struct error *error)
{
    int status = pipeline_begin(shape, "1f1b", 1, 1, false, pipeline, error);

    for (int32_t rank = 0; status == STATUS_OK && rank < shape->ranks; rank++) {
        struct pipeline_builder builder;

        pipeline_builder_init(&builder, pipeline, rank);
        for (int32_t i = 0; i < shape->ranks - 1 - rank; i++)
            pipeline_add(&builder, PIPELINE_F, 0);
        for (int32_t i = 0; i < shape->microbatches; i++) {
            pipeline_add(&builder, PIPELINE_F, 0);
            pipeline_add(&builder, PIPELINE_BW, 0);
        }
    }
    return status;
}
