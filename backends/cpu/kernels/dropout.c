#include <llmrun/random.h>

#include "kernels/lanes.h"
#include "kernels/philox.h"

struct dropout {
    const struct kernel_call *call;
    const uint32_t *random;
    /* Elements of x that follow each other in the whole tensor too: all, those of a sequence, or a row. */
    int64_t run;
    int64_t positions, channels; /* of the whole tensor */
    uint32_t threshold;
    float scale; /* of what is kept */
};

/* Elements begin to end - 1, whose numbers are words[0] on. */
LANES_INLINE void dropout_range(const struct dropout *dropout, const uint32_t *words, int64_t begin, int64_t end,
                                int bf16)
{
    const void *x = dropout->call->operands[LLMRUN_DROPOUT_X];
    void *y = dropout->call->operands[LLMRUN_DROPOUT_Y];
    struct i32x16 threshold = vec_int_set(dropout->threshold);

    for (int64_t i = begin; i < end; i += VEC_LANES) {
        int count = vec_lanes_left(end, i);
        struct mask16 dropped = vec_int_below(vec_int_load(words + (i - begin)), threshold);
        struct f32x16 scaled = vec_mul(lanes_load(x, bf16, i, count), vec_set(dropout->scale));

        lanes_store(y, bf16, i, vec_select(dropped, vec_zero(), scaled), count);
    }
}

/* The number of an element in the step's global batch. */
static uint64_t number_of(const struct dropout *dropout, int64_t i)
{
    const struct llmrun_dropout_attributes *attributes = dropout->call->op->attributes;
    int64_t columns = dropout->call->op->operands[LLMRUN_DROPOUT_X].shape[1], row = i / columns;
    uint64_t sequence = dropout->random[3] + (uint64_t)(row / attributes->seq_len);
    uint64_t token =
        sequence * (uint64_t)dropout->positions + (uint64_t)(attributes->position_first + row % attributes->seq_len);

    return token * (uint64_t)dropout->channels + (uint64_t)(attributes->channel_first + i % columns);
}

static void dropout_task(void *context, int64_t task, int thread)
{
    const struct dropout *dropout = context;
    const struct llmrun_op *op = dropout->call->op;
    struct lanes_range range = lanes_part(operand_elements(&op->operands[LLMRUN_DROPOUT_X]), LANES_PART, task);
    uint32_t words[PHILOX_BATCH + VEC_LANES] = {0}; /* the last vector may reach beyond the batch */
    int64_t next;

    (void)thread;
    for (int64_t i = range.begin; i < range.end; i = next) {
        uint64_t number = number_of(dropout, i);
        int64_t skipped = (int64_t)(number % PHILOX_BATCH);

        philox_batch(dropout->random, dropout->random[4], number - (uint64_t)skipped, words);
        next = i + PHILOX_BATCH - skipped;
        if (next > (i / dropout->run + 1) * dropout->run)
            next = (i / dropout->run + 1) * dropout->run;
        if (next > range.end)
            next = range.end;
        if (operand_is_bf16(op, LLMRUN_DROPOUT_X))
            dropout_range(dropout, words + skipped, i, next, 1);
        else
            dropout_range(dropout, words + skipped, i, next, 0);
    }
}

static void dropout_run(const struct kernel_call *call)
{
    const struct llmrun_dropout_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_DROPOUT_X];
    struct dropout dropout = {.call = call,
                              .random = call->operands[LLMRUN_DROPOUT_RNG_STATE],
                              .threshold = llmrun_dropout_threshold(attributes->probability),
                              .scale = 1.0f / (1.0f - attributes->probability)};

    dropout.positions = attributes->positions_full > 0 ? attributes->positions_full : attributes->seq_len;
    dropout.channels = attributes->channels_full > 0 ? attributes->channels_full : x->shape[1];
    dropout.run = dropout.channels != x->shape[1]            ? x->shape[1]
                  : dropout.positions != attributes->seq_len ? attributes->seq_len * x->shape[1]
                                                             : operand_elements(x);
    pool_run(call->pool, lanes_parts(operand_elements(x), LANES_PART), dropout_task, &dropout);
}

LANES_KERNEL(dropout, 0, dropout_run)
