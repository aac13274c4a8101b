/* GPipe (Huang et al., arXiv 1811.06965): all F, then all B. The paper runs B in descending order; here it ascends, for
 * the order of sums (exact numerics, rule 3), with the same bubble of p - 1 microbatches. All microbatches are in
 * flight. */
#include "schedule/build.h"

int pipeline_gpipe(const struct pipeline_shape *shape, struct pipeline *pipeline, struct error *error)
{
    int status = pipeline_begin(shape, "gpipe", 1, 1, false, pipeline, error);

    for (int32_t rank = 0; status == STATUS_OK && rank < shape->ranks; rank++) {
        struct pipeline_builder builder;

        pipeline_builder_init(&builder, pipeline, rank);
        for (int32_t i = 0; i < shape->microbatches; i++)
            pipeline_add(&builder, PIPELINE_F, 0);
        for (int32_t i = 0; i < shape->microbatches; i++)
            pipeline_add(&builder, PIPELINE_BW, 0);
    }
    return status;
}
