#include "cpu_ref/chain.h"
#include "cpu_ref/reference.h"

/* The row of `id` in the table. Outside of it the row is -0, which changes no sum: a part of a vocabulary can be looked
 * up alone. */
static float row_element(const struct kernel_call *call, int32_t id, int64_t channel)
{
    const struct llmrun_embedding_attributes *attributes = call->op->attributes;
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_TABLE, 1), row = id - attributes->row_first;

    if (row < 0 || row >= reference_extent(call, LLMRUN_EMBEDDING_TABLE, 0))
        return -0.0f;
    return reference_read(call, LLMRUN_EMBEDDING_TABLE, row * channels + channel);
}

static void embedding_exact(const struct kernel_call *call)
{
    const int32_t *ids = call->operands[LLMRUN_EMBEDDING_IDS];
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_Y, 1);

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_EMBEDDING_Y); i++) {
        float y = row_element(call, ids[i / channels], i % channels);

        if (reference_has(call, LLMRUN_EMBEDDING_ADDEND))
            y = y + reference_read(call, LLMRUN_EMBEDDING_ADDEND, i);
        reference_write(call, LLMRUN_EMBEDDING_Y, i, y);
    }
}

static void embedding_double(const struct kernel_call *call)
{
    const int32_t *ids = call->operands[LLMRUN_EMBEDDING_IDS];
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_Y, 1);

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_EMBEDDING_Y); i++) {
        double y = row_element(call, ids[i / channels], i % channels);

        if (reference_has(call, LLMRUN_EMBEDDING_ADDEND))
            y += reference_read_double(call, LLMRUN_EMBEDDING_ADDEND, i);
        reference_write(call, LLMRUN_EMBEDDING_Y, i, y);
    }
}

/* The row of dtable that a token adds to, -1 where there is none. */
static int64_t row_of(const struct kernel_call *call, int64_t token)
{
    const struct llmrun_embedding_grad_attributes *attributes = call->op->attributes;
    int64_t row = ((const int32_t *)call->operands[LLMRUN_EMBEDDING_GRAD_IDS])[token] - attributes->row_first;

    return row >= 0 && row < reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 0) ? row : -1;
}

/* The chain of one element over the tokens of a lane. */
struct row_chain {
    const struct kernel_call *call;
    int64_t row, channel, lanes;
};

static float lane_of_row(const void *context, int64_t lane)
{
    const struct row_chain *chain = context;
    const struct kernel_call *call = chain->call;
    int64_t part = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DY, 0) / chain->lanes;
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DY, 1);
    float sum = 0.0f;

    for (int64_t token = lane * part; token < (lane + 1) * part; token++)
        if (row_of(call, token) == chain->row)
            sum += reference_read(call, LLMRUN_EMBEDDING_GRAD_DY, token * channels + chain->channel);
    return sum;
}

static void embedding_grad_lanes(const struct kernel_call *call, int64_t lanes)
{
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 1);

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_EMBEDDING_GRAD_DTABLE); i++) {
        struct row_chain chain = {call, i / channels, i % channels, lanes};

        reference_write(call, LLMRUN_EMBEDDING_GRAD_DTABLE, i, chain_tree(lane_of_row, &chain, 0, lanes));
    }
}

static void embedding_grad_exact(const struct kernel_call *call)
{
    const struct llmrun_embedding_grad_attributes *attributes = call->op->attributes;
    int64_t tokens = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DY, 0);
    int64_t rows = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 0);
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 1);
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];

    if (attributes->batch_parts > 1) {
        embedding_grad_lanes(call, attributes->batch_parts);
        return;
    }
    for (int64_t i = 0; i < rows * channels; i++)
        dtable[i] = reference_start(call, LLMRUN_EMBEDDING_GRAD_DTABLE, i);
    for (int64_t token = 0; token < tokens; token++)
        for (int64_t c = 0; c < channels && row_of(call, token) >= 0; c++)
            dtable[row_of(call, token) * channels + c] +=
                reference_read(call, LLMRUN_EMBEDDING_GRAD_DY, token * channels + c);
}

static int seen_before(const struct kernel_call *call, int64_t token)
{
    for (int64_t i = 0; i < token; i++)
        if (row_of(call, i) == row_of(call, token))
            return 1;
    return 0;
}

/* The whole sum of each row is made at the first token that has it, so that it is rounded once. */
static void embedding_grad_double(const struct kernel_call *call)
{
    int64_t tokens = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DY, 0);
    int64_t rows = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 0);
    int64_t channels = reference_extent(call, LLMRUN_EMBEDDING_GRAD_DTABLE, 1);
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];

    for (int64_t i = 0; i < rows * channels; i++)
        dtable[i] = reference_start(call, LLMRUN_EMBEDDING_GRAD_DTABLE, i);
    for (int64_t token = 0; token < tokens; token++) {
        const int64_t row = row_of(call, token);

        if (row < 0 || seen_before(call, token))
            continue;
        for (int64_t c = 0; c < channels; c++) {
            double sum = dtable[row * channels + c];

            for (int64_t i = token; i < tokens; i++)
                if (row_of(call, i) == row)
                    sum += reference_read_double(call, LLMRUN_EMBEDDING_GRAD_DY, i * channels + c);
            dtable[row * channels + c] = (float)sum;
        }
    }
}

REFERENCE_KERNELS(embedding, 0, embedding_exact, embedding_double)
REFERENCE_KERNELS(embedding_grad, 1u << LLMRUN_EMBEDDING_GRAD_DTABLE, embedding_grad_exact, embedding_grad_double)
