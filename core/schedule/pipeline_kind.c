#include "schedule/pipeline.h"

int pipeline_of_kind(enum pipeline_kind kind, const struct pipeline_shape *shape, struct pipeline *pipeline,
                     struct error *error)
{
    static pipeline_make *const makers[] = {[PIPELINE_GPIPE] = pipeline_gpipe,
                                            [PIPELINE_ONE_F_ONE_B] = pipeline_one_f_one_b,
                                            [PIPELINE_INTERLEAVED] = pipeline_interleaved,
                                            [PIPELINE_ZERO_BUBBLE] = pipeline_zero_bubble};

    return makers[kind](shape, pipeline, error);
}

const char *pipeline_kind_name(enum pipeline_kind kind)
{
    static const char *const names[] = {[PIPELINE_GPIPE] = "gpipe",
                                        [PIPELINE_ONE_F_ONE_B] = "1f1b",
                                        [PIPELINE_INTERLEAVED] = "interleaved",
                                        [PIPELINE_ZERO_BUBBLE] = "zero-bubble"};

    return names[kind];
}

bool pipeline_splits(enum pipeline_kind kind)
{
    return kind == PIPELINE_ZERO_BUBBLE;
}
