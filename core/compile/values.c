#include "compile/values.h"

#include <stdio.h>

#include "base/checked.h"

#define PREFILL_ROWS 64 /* fewer would read the weights more often, more would be in vain for short prompts */

static int32_t input(struct builder *builder, const char *prefix, const char *name, uint32_t flags, uint32_t dtype,
                     int64_t count)
{
    char full[VALUE_FULL_NAME_BYTES];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    return build_value(builder, full, VALUE_INPUT, flags, dtype, 1, &count);
}

int64_t compile_eval_sequence(const struct compile_request *request)
{
    return request->eval_sequence > 0 ? request->eval_sequence : request->sequence;
}

/* Where every position of every section lies below. */
static int64_t context(const struct compile_request *request)
{
    const int64_t eval = request->eval_batch > 0 ? compile_eval_sequence(request) : 0;
    const int64_t others = request->train || request->generate ? request->sequence : 0;

    return eval > others ? eval : others;
}

static struct model_batch batch_values(struct builder *builder, const struct compile_request *request,
                                       const char *prefix, uint32_t flags, int64_t sequences, int64_t sequence)
{
    const int64_t rows = sequences * sequence;

    return (struct model_batch){
        .sequences = sequences,
        .sequence = sequence,
        .context = context(request),
        .tokens = input(builder, prefix, VALUE_TOKENS, flags, LLMRUN_I32, rows),
        .positions = input(builder, prefix, VALUE_POSITIONS, flags, LLMRUN_I32, rows),
        .segment_starts = input(builder, prefix, VALUE_SEGMENT_STARTS, flags, LLMRUN_I32, rows),
        .random = NO_VALUE,
    };
}

void values_build_train(struct builder *builder, const struct compile_request *request)
{
    const uint32_t flags = VALUE_PER_MICROBATCH;
    const int64_t rows = request->micro_batch * request->sequence, one = 1;
    struct model_batch batch;
    int32_t targets, weights, scale, all_losses, losses, hidden;

    builder_section(builder, SECTION_FORWARD);
    batch = batch_values(builder, request, "", flags, request->micro_batch, request->sequence);
    targets = input(builder, "", VALUE_TARGETS, flags, LLMRUN_I32, rows);
    weights = input(builder, "", VALUE_WEIGHTS, flags, LLMRUN_F32, rows);
    scale = build_value(builder, VALUE_INVERSE_TOKENS, VALUE_INPUT, 0, LLMRUN_F32, 1, &one);
    batch.dropout = request->dropout;
    if (request->dropout > 0)
        batch.random = input(builder, "", VALUE_RANDOM, flags, LLMRUN_U32, 4);

    /* A microbatch writes its part of the losses of the step. */
    all_losses = build_value(builder, VALUE_LOSSES, VALUE_RESULT, 0, LLMRUN_F64, 1, &request->global_batch);
    losses = build_value(builder, "losses.microbatch", VALUE_RESULT, flags, LLMRUN_F64, 1, &request->micro_batch);
    if (builder->status != STATUS_OK)
        return;
    builder->program->values[losses].source = all_losses;

    hidden = model_build_hidden(builder, &request->model, &batch);
    build_linear_cross_entropy(builder, hidden, model_build_head(builder, &request->model), targets, weights, scale,
                               losses, request->sequence, request->model.vocab_size);
}

void values_build_evaluate(struct builder *builder, const struct compile_request *request)
{
    const int64_t sequence = compile_eval_sequence(request), rows = request->eval_batch * sequence, one = 1;
    struct model_batch batch;
    int32_t targets, weights, scale, losses, hidden;

    builder_section(builder, SECTION_EVALUATE);
    batch = batch_values(builder, request, VALUE_EVAL_PREFIX, 0, request->eval_batch, sequence);
    targets = input(builder, VALUE_EVAL_PREFIX, VALUE_TARGETS, 0, LLMRUN_I32, rows);
    weights = input(builder, VALUE_EVAL_PREFIX, VALUE_WEIGHTS, 0, LLMRUN_F32, rows);
    scale = build_value(builder, VALUE_INVERSE_TOKENS, VALUE_INPUT, 0, LLMRUN_F32, 1, &one);
    losses = build_value(builder, VALUE_EVAL_PREFIX VALUE_LOSSES, VALUE_RESULT, 0, LLMRUN_F64, 1, &request->eval_batch);
    hidden = model_build_hidden(builder, &request->model, &batch);
    build_linear_cross_entropy(builder, hidden, model_build_head(builder, &request->model), targets, weights, scale,
                               losses, sequence, request->model.vocab_size);
}

int64_t compile_prefill_rows(const struct compile_request *request)
{
    return request->sequence < PREFILL_ROWS ? request->sequence : PREFILL_ROWS;
}

/* From the hidden states of one row to logits that the host reads. */
static void build_logits(struct builder *builder, const struct compile_request *request, int32_t hidden)
{
    const int64_t shape[] = {1, model_padded_vocabulary(&request->model)};
    int32_t operands[LLMRUN_CAST_OPERANDS];

    operands[LLMRUN_CAST_Y] = build_value(builder, VALUE_LOGITS, VALUE_RESULT, 0, LLMRUN_F32, 2, shape);
    operands[LLMRUN_CAST_X] =
        build_linear(builder, hidden, model_build_head(builder, &request->model), NO_VALUE, "head");
    if (builder->status == STATUS_OK)
        builder_emit(builder, LLMRUN_OP_CAST, NULL, operands, 0, "logits");
}

void values_build_generate(struct builder *builder, const struct compile_request *request)
{
    const int64_t rows = compile_prefill_rows(request), capacity = round_up(request->sequence, rows);
    struct model_batch batch = {.sequences = 1,
                                .sequence = rows,
                                .context = context(request),
                                .segment_starts = NO_VALUE,
                                .random = NO_VALUE,
                                .cache_rows = capacity};
    int32_t row, hidden;

    builder_section(builder, SECTION_PREFILL);
    batch.tokens = input(builder, VALUE_PREFILL_PREFIX, VALUE_TOKENS, 0, LLMRUN_I32, rows);
    batch.positions = input(builder, VALUE_PREFILL_PREFIX, VALUE_POSITIONS, 0, LLMRUN_I32, rows);
    batch.cached = input(builder, VALUE_PREFILL_PREFIX, VALUE_CACHED, 0, LLMRUN_I32, 1);
    row = input(builder, VALUE_PREFILL_PREFIX, VALUE_ROW, 0, LLMRUN_I32, 1);
    hidden = model_build_hidden(builder, &request->model, &batch);
    /* A lookup in the hidden states picks the row whose next token is wanted. */
    build_logits(builder, request, build_embedding(builder, row, hidden, NO_VALUE, "last"));

    builder_section(builder, SECTION_DECODE);
    batch.sequence = 1;
    batch.tokens = input(builder, VALUE_DECODE_PREFIX, VALUE_TOKENS, 0, LLMRUN_I32, 1);
    batch.positions = input(builder, VALUE_DECODE_PREFIX, VALUE_POSITIONS, 0, LLMRUN_I32, 1);
    batch.cached = batch.positions;
    build_logits(builder, request, model_build_hidden(builder, &request->model, &batch));
}
