#include "compile/values.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"

#define FULL_NAME_BYTES 32 /* of a prefix and a name */
#define PREFILL_ROWS    64 /* fewer would read the weights more often, more would be in vain for short prompts */

static int32_t input(struct builder *builder, const char *prefix, const char *name, uint32_t flags, uint32_t dtype,
                     int64_t count)
{
    char full[FULL_NAME_BYTES];

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

void values_none(struct io_values *io)
{
    memset(io, 0xff, sizeof *io); /* NO_VALUE is -1, and all members are int32_t */
}

void values_renumber(struct io_values *io, const int32_t *new_ids)
{
    int32_t ids[sizeof *io / sizeof(int32_t)];

    memcpy(ids, io, sizeof *io);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ids[i] = ids[i] != NO_VALUE ? new_ids[ids[i]] : NO_VALUE;
    memcpy(io, ids, sizeof *io);
}

/* Inputs with targets, of training and of evaluation. */
static struct model_batch batch_inputs(struct builder *builder, const struct compile_request *request,
                                       const char *prefix, uint32_t flags, int64_t sequences, int64_t sequence,
                                       struct batch_values *values)
{
    const int64_t rows = sequences * sequence;

    *values = (struct batch_values){
        .tokens = input(builder, prefix, "tokens", flags, LLMRUN_I32, rows),
        .positions = input(builder, prefix, "positions", flags, LLMRUN_I32, rows),
        .segment_starts = input(builder, prefix, "segment_starts", flags, LLMRUN_I32, rows),
        .targets = input(builder, prefix, "targets", flags, LLMRUN_I32, rows),
        .weights = input(builder, prefix, "weights", flags, LLMRUN_F32, rows),
    };
    return (struct model_batch){
        .sequences = sequences,
        .sequence = sequence,
        .context = context(request),
        .tokens = values->tokens,
        .positions = values->positions,
        .segment_starts = values->segment_starts,
        .random = NO_VALUE,
    };
}

static int32_t inverse_tokens(struct builder *builder)
{
    const int64_t one = 1;

    return build_value(builder, "inverse_tokens", VALUE_INPUT, 0, LLMRUN_F32, 1, &one);
}

static void build_loss(struct builder *builder, const struct compile_request *request, int32_t hidden,
                       const struct batch_values *values, int32_t scale, int32_t losses, int64_t sequence)
{
    build_linear_cross_entropy(builder, hidden, model_build_head(builder, &request->model), values->targets,
                               values->weights, scale, losses, sequence, request->model.vocab_size);
}

void values_build_train(struct builder *builder, const struct compile_request *request, struct io_values *io)
{
    const uint32_t flags = VALUE_PER_MICROBATCH;
    struct model_batch batch;
    int32_t hidden;

    builder_section(builder, SECTION_FORWARD);
    batch = batch_inputs(builder, request, "", flags, request->micro_batch, request->sequence, &io->train);
    io->inverse_tokens = inverse_tokens(builder);
    batch.dropout = request->dropout;
    if (request->dropout > 0)
        batch.random = io->random = build_random(builder, flags);

    /* A microbatch writes its part of the losses of the step. */
    io->losses = build_value(builder, "losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &request->global_batch);
    io->microbatch_losses =
        build_value(builder, "losses.microbatch", VALUE_SCRATCH, 0, LLMRUN_F64, 1, &request->micro_batch);
    if (builder->status != STATUS_OK)
        return;
    builder->program->values[io->microbatch_losses].source = io->losses;

    hidden = model_build_hidden(builder, &request->model, &batch);
    builder_section(builder, SECTION_BACKWARD);
    builder->layer = (int16_t)request->model.n_layer;
    builder->role = ROLE_BACKWARD_INPUT;
    build_loss(builder, request, hidden, &io->train, io->inverse_tokens, io->microbatch_losses, request->sequence);
    builder->role = ROLE_FORWARD;
}

void values_fill_random(uint32_t *rows, int64_t draws, uint64_t seed, int64_t step, int64_t first_sequence)
{
    for (int64_t i = 0; i < draws; i++) {
        const uint32_t words[RANDOM_WORDS] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)step,
                                              (uint32_t)first_sequence, (uint32_t)(i + 1)};

        memcpy(rows + i * RANDOM_ROW, words, sizeof words);
    }
}

void values_build_evaluate(struct builder *builder, const struct compile_request *request, struct io_values *io)
{
    const int64_t sequence = compile_eval_sequence(request);
    const int64_t dp = request->mesh.sizes[0] > 0 ? request->mesh.sizes[MESH_DP] : 1;
    const int64_t sequences = request->eval_batch / dp; /* of this rank */
    struct model_batch batch;

    builder_section(builder, SECTION_EVALUATE);
    batch = batch_inputs(builder, request, "eval.", 0, sequences, sequence, &io->evaluate);
    io->inverse_tokens = inverse_tokens(builder);
    io->evaluate_losses = build_value(builder, "eval.losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &sequences);
    build_loss(builder, request, model_build_hidden(builder, &request->model, &batch), &io->evaluate,
               io->inverse_tokens, io->evaluate_losses, sequence);
}

int64_t compile_prefill_rows(const struct compile_request *request)
{
    return request->sequence < PREFILL_ROWS ? request->sequence : PREFILL_ROWS;
}

/* From the hidden states of one row to logits that the host reads. */
static void build_logits(struct builder *builder, const struct compile_request *request, int32_t hidden,
                         struct io_values *io)
{
    const int64_t shape[] = {1, model_padded_vocabulary(&request->model)};
    int32_t operands[LLMRUN_CAST_OPERANDS];

    operands[LLMRUN_CAST_Y] = io->logits = build_value(builder, "logits", VALUE_RESULT, 0, LLMRUN_F32, 2, shape);
    operands[LLMRUN_CAST_X] =
        build_linear(builder, hidden, model_build_head(builder, &request->model), NO_VALUE, "head");
    if (builder->status == STATUS_OK)
        builder_emit(builder, LLMRUN_OP_CAST, NULL, operands, 0, "logits");
}

void values_build_generate(struct builder *builder, const struct compile_request *request, struct io_values *io)
{
    const int64_t rows = compile_prefill_rows(request), capacity = round_up(request->sequence, rows);
    struct model_batch batch = {.sequences = 1,
                                .sequence = rows,
                                .context = context(request),
                                .segment_starts = NO_VALUE,
                                .random = NO_VALUE,
                                .cache_rows = capacity};
    int32_t hidden;

    builder_section(builder, SECTION_PREFILL);
    batch.tokens = io->prefill.tokens = input(builder, "prefill.", "tokens", 0, LLMRUN_I32, rows);
    batch.positions = io->prefill.positions = input(builder, "prefill.", "positions", 0, LLMRUN_I32, rows);
    batch.cached = io->prefill_cached = input(builder, "prefill.", "cached", 0, LLMRUN_I32, 1);
    io->prefill_row = input(builder, "prefill.", "row", 0, LLMRUN_I32, 1);
    hidden = model_build_hidden(builder, &request->model, &batch);
    /* A lookup in the hidden states picks the row whose next token is wanted. */
    build_logits(builder, request, build_embedding(builder, io->prefill_row, hidden, NO_VALUE, "last"), io);

    builder_section(builder, SECTION_DECODE);
    batch.sequence = 1;
    batch.tokens = io->decode.tokens = input(builder, "decode.", "tokens", 0, LLMRUN_I32, 1);
    batch.positions = io->decode.positions = input(builder, "decode.", "positions", 0, LLMRUN_I32, 1);
    batch.cached = batch.positions;
    build_logits(builder, request, model_build_hidden(builder, &request->model, &batch), io);
}
