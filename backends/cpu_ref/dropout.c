#include <llmrun/random.h>

#include "cpu_ref/reference.h"

/* Is element `i` of x kept? Its number counts from the first sequence of the step's global batch. */
static int keeps(const struct kernel_call *call, int64_t i)
{
    const struct llmrun_dropout_attributes *attributes = call->op->attributes;
    const uint32_t *random = call->operands[LLMRUN_DROPOUT_RNG_STATE];
    int64_t columns = reference_extent(call, LLMRUN_DROPOUT_X, 1), row = i / columns;
    int64_t positions = attributes->positions_full > 0 ? attributes->positions_full : attributes->seq_len;
    int64_t channels = attributes->channels_full > 0 ? attributes->channels_full : columns;
    int64_t token =
        (random[3] + row / attributes->seq_len) * positions + attributes->position_first + row % attributes->seq_len;
    uint64_t element = (uint64_t)(token * channels + attributes->channel_first + i % columns);

    return llmrun_random_word(random, random[4], element) >= llmrun_dropout_threshold(attributes->probability);
}

static void dropout_exact(const struct kernel_call *call)
{
    const struct llmrun_dropout_attributes *attributes = call->op->attributes;
    float scale = 1.0f / (1.0f - attributes->probability);

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_DROPOUT_X); i++)
        reference_write(call, LLMRUN_DROPOUT_Y, i,
                        keeps(call, i) ? reference_read(call, LLMRUN_DROPOUT_X, i) * scale : 0.0f);
}

static void dropout_double(const struct kernel_call *call)
{
    const struct llmrun_dropout_attributes *attributes = call->op->attributes;

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_DROPOUT_X); i++)
        reference_write(call, LLMRUN_DROPOUT_Y, i,
                        keeps(call, i)
                            ? reference_read_double(call, LLMRUN_DROPOUT_X, i) / (1 - (double)attributes->probability)
                            : 0);
}

REFERENCE_KERNELS(dropout, 0, dropout_exact, dropout_double)
