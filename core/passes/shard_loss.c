#include "passes/shard_loss.h"

#include <stdio.h>
#include <string.h>

#include "passes/shard_op.h"
#include "program/op_table.h"

#define LOGITS_BYTES ((int64_t)8 << 20) /* of the logits of a chunk, where the caller does not say how long it is */
#define CHUNK_LEAST  64                 /* tokens: fewer make matmuls slow */

static const struct place whole = {.kind = PLACE_WHOLE}, split_rows = {PLACE_SPLIT, 0, 0},
                          split_columns = {PLACE_SPLIT, 1, 0};

struct loss {
    struct shard *shard;
    struct llmrun_linear_cross_entropy_attributes attributes; /* of all ranks */
    int32_t x, w, targets, weights, scale, losses, dx, dw;    /* in the types that are taken here; NO_VALUE */
    int32_t terms;                                            /* f32 [tokens, c], this rank's of dx */
    bool added;                                               /* dw finds a sum */
    int64_t tokens, chunk, width, rows;                       /* rows of w, of all ranks */
    uint32_t parts;                                           /* of the vocabulary, this rank's */
    uint32_t dtype;                                           /* of x */
};

/* Chunks are whole sequences or equal pieces of one, and divide a batch part. */
static bool can_be_chunk(const struct loss *loss, int64_t chunk)
{
    const int64_t sequence = loss->attributes.seq_len, part = loss->tokens / loss->attributes.batch_parts;

    if (chunk == loss->tokens)
        return true;
    return part % chunk == 0 && (chunk % sequence == 0 || sequence % chunk == 0) &&
           (loss->dtype == LLMRUN_F32 || chunk % 2 == 0); /* a pair of bf16 products lies in one chunk */
}

static void choose_chunk(struct loss *loss)
{
    struct shard *shard = loss->shard;
    const int64_t wanted = shard->form->loss_chunk, row_bytes = loss->rows / shard->ranks * 4;
    const bool trains = loss->dx != NO_VALUE || loss->dw != NO_VALUE, exactly = wanted > 0 && trains;
    const int64_t least = wanted > 0 ? 1 : CHUNK_LEAST, fitting = LOGITS_BYTES / row_bytes;
    const int64_t most = wanted > 0 ? wanted : fitting > least ? fitting : least;

    loss->chunk = most < loss->tokens ? most : loss->tokens;
    while (!exactly && loss->chunk > 0 && !can_be_chunk(loss, loss->chunk))
        loss->chunk--;
    if (!exactly && loss->chunk < least)
        for (loss->chunk = least < loss->tokens ? least : loss->tokens; !can_be_chunk(loss, loss->chunk);)
            loss->chunk++;
    if (!can_be_chunk(loss, loss->chunk) && shard->builder.status == STATUS_OK)
        shard->builder.status = error_set(
            shard->builder.error, STATUS_USAGE,
            "a chunk of the loss is %lld tokens; expected whole sequences of %lld tokens, or equal pieces of one%s, "
            "that divide the %lld tokens of a batch part",
            (long long)wanted, (long long)loss->attributes.seq_len, loss->dtype == LLMRUN_F32 ? "" : " of even length",
            (long long)(loss->tokens / loss->attributes.batch_parts));
}

/* Rows `first` on of a value: chunk `number` of it. */
static int32_t piece(struct loss *loss, int32_t value, int64_t number, int64_t first, int64_t rows)
{
    struct shard *shard = loss->shard;
    const struct value *from;
    int64_t shape[LLMRUN_MAX_RANK];
    char suffix[32];
    int32_t view;

    if (shard->builder.status != STATUS_OK || value == NO_VALUE)
        return NO_VALUE;
    from = &shard->out->values[value];
    if (from->shape[0] == rows)
        return value;
    memcpy(shape, from->shape, sizeof shape);
    shape[0] = rows;
    snprintf(suffix, sizeof suffix, "chunk%lld", (long long)number);
    view = build_view(&shard->builder, value, suffix, first * value_row_elements(from), from->rank, shape);
    if (view != NO_VALUE)
        shard->out->values[view].partial[MESH_TP] = shard->out->values[value].partial[MESH_TP];
    return view;
}

static void emit_matmul(struct loss *loss, int32_t x, int32_t logits)
{
    const struct llmrun_matmul_attributes attributes = {LLMRUN_ACTIVATION_NONE, loss->attributes.feature_parts};
    int32_t operands[LLMRUN_MATMUL_OPERANDS] = {x, loss->w, NO_VALUE, logits, NO_VALUE};

    builder_emit(&loss->shard->builder, LLMRUN_OP_MATMUL, &attributes, operands, 0, "logits");
}

/* This rank's rows of w: the first, and how many of them are tokens. */
static int64_t first_row(const struct loss *loss)
{
    return loss->shard->index * (loss->rows / loss->shard->ranks);
}

static int64_t valid_rows(const struct loss *loss)
{
    const int64_t each = loss->rows / loss->shard->ranks, left = loss->attributes.vocabulary - first_row(loss);

    return left < 0 ? 0 : left < each ? left : each;
}

static int64_t piece_sequence(const struct loss *loss)
{
    return loss->chunk < loss->attributes.seq_len ? loss->chunk : loss->attributes.seq_len;
}

/* Returns the statistics of all ranks. */
static int32_t emit_statistics(struct loss *loss, int32_t logits, int32_t targets)
{
    struct shard *shard = loss->shard;
    const struct llmrun_loss_statistics_attributes attributes = {
        piece_sequence(loss), first_row(loss), valid_rows(loss), loss->attributes.vocabulary, loss->parts, 0};
    const int64_t shape[] = {(int64_t)loss->parts * shard->ranks, 3, loss->chunk};
    const int32_t own = shard_new(shard, "loss_statistics", LLMRUN_F32, 3, shape, split_rows);
    const int32_t all = shard_new(shard, "loss_statistics.gathered", LLMRUN_F32, 3, shape, whole);
    int32_t operands[LLMRUN_LOSS_STATISTICS_OPERANDS] = {logits, targets, own};

    builder_emit(&shard->builder, LLMRUN_OP_LOSS_STATISTICS, &attributes, operands, 0, "loss_statistics");
    shard_communicate(shard, OP_ALL_GATHER, own, all);
    return all;
}

/* The losses of sequences that lie in the chunk, or of the one that it is a piece of, which are then added to. */
static void emit_gradient(struct loss *loss, int64_t number, int32_t logits, int32_t statistics, int32_t targets,
                          int32_t dlogits)
{
    struct shard *shard = loss->shard;
    const int64_t sequence = loss->attributes.seq_len, first = number * loss->chunk;
    const int64_t sequences = loss->chunk < sequence ? 1 : loss->chunk / sequence;
    const struct llmrun_loss_gradient_attributes attributes = {piece_sequence(loss), first_row(loss), valid_rows(loss),
                                                               loss->parts, 0};
    int32_t operands[LLMRUN_LOSS_GRADIENT_OPERANDS];

    operands[LLMRUN_LOSS_GRADIENT_LOGITS] = logits;
    operands[LLMRUN_LOSS_GRADIENT_STATISTICS] = statistics;
    operands[LLMRUN_LOSS_GRADIENT_TARGETS] = targets;
    operands[LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS] = piece(loss, loss->weights, number, first, loss->chunk);
    operands[LLMRUN_LOSS_GRADIENT_SCALE] = loss->scale;
    operands[LLMRUN_LOSS_GRADIENT_LOSSES] =
        piece(loss, loss->losses, first / sequence / sequences, first / sequence, sequences);
    operands[LLMRUN_LOSS_GRADIENT_DLOGITS] = dlogits;
    builder_emit(&shard->builder, LLMRUN_OP_LOSS_GRADIENT, &attributes, operands,
                 first % sequence != 0 ? 1u << LLMRUN_LOSS_GRADIENT_LOSSES : 0, "loss_gradient");
}

static void emit_input_grad(struct loss *loss, int64_t number, int32_t dlogits)
{
    const struct llmrun_matmul_input_grad_attributes attributes = {loss->parts, 0};
    int32_t operands[LLMRUN_MATMUL_INPUT_GRAD_OPERANDS] = {
        dlogits,
        loss->w,
        NO_VALUE,
        NO_VALUE,
        NO_VALUE,
        NO_VALUE,
        piece(loss, loss->terms, number, number * loss->chunk, loss->chunk)};

    builder_emit(&loss->shard->builder, LLMRUN_OP_MATMUL_INPUT_GRAD, &attributes, operands, 0, "dx");
}

static int32_t pending(struct loss *loss, int level)
{
    const struct value *dw = &loss->shard->out->values[loss->dw];
    char suffix[24];

    snprintf(suffix, sizeof suffix, "pending%d", level);
    return build_part(&loss->shard->builder, loss->dw, suffix, VALUE_SCRATCH, LLMRUN_F32, dw->rank, dw->shape);
}

/* Batch part `part` is in dw, or, where it is the left one of two, on level 0 of the counter. */
static void join_parts(struct loss *loss, int64_t part)
{
    const bool last = part + 1 == loss->attributes.batch_parts;

    for (int level = 0; (part >> level) & 1; level++) {
        const bool top = !((part >> (level + 1)) & 1);
        int32_t operands[LLMRUN_REDUCE_OPERANDS] = {pending(loss, level), loss->dw,
                                                    top && !last ? pending(loss, level + 1) : loss->dw};

        builder_emit(&loss->shard->builder, LLMRUN_OP_REDUCE, NULL, operands, 0, "reduce");
    }
}

static void emit_weight_grad(struct loss *loss, int64_t number, int32_t dlogits, int32_t x)
{
    const bool all = loss->chunk == loss->tokens;
    const int64_t chunks = all ? 1 : loss->tokens / loss->attributes.batch_parts / loss->chunk; /* of a batch part */
    const int64_t part = number / chunks;
    const bool counted = !all && loss->attributes.batch_parts > 1;
    const struct llmrun_matmul_weight_grad_attributes attributes = {all ? loss->attributes.batch_parts : 1, 0};
    const bool added = number % chunks != 0 || (loss->added && part == 0);
    int32_t operands[LLMRUN_MATMUL_WEIGHT_GRAD_OPERANDS] = {dlogits, x,
                                                            counted && part % 2 == 0 ? pending(loss, 0) : loss->dw};

    builder_emit(&loss->shard->builder, LLMRUN_OP_MATMUL_WEIGHT_GRAD, &attributes, operands,
                 added ? 1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW : 0, "dw");
    if (counted && (number + 1) % chunks == 0)
        join_parts(loss, part);
}

static void emit_chunk(struct loss *loss, int64_t number)
{
    struct shard *shard = loss->shard;
    const int64_t shape[] = {loss->chunk, loss->rows}, first = number * loss->chunk;
    const int32_t x = piece(loss, loss->x, number, first, loss->chunk);
    const int32_t targets = piece(loss, loss->targets, number, first, loss->chunk);
    const int32_t logits = shard_new(shard, "logits", LLMRUN_F32, 2, shape, split_columns);
    int32_t statistics, dlogits = NO_VALUE;

    emit_matmul(loss, x, logits);
    statistics = emit_statistics(loss, logits, targets);
    if (loss->terms != NO_VALUE || loss->dw != NO_VALUE)
        dlogits = shard_new(shard, "dlogits", loss->dtype, 2, shape, split_columns);
    emit_gradient(loss, number, logits, statistics, targets, dlogits);
    if (loss->terms != NO_VALUE)
        emit_input_grad(loss, number, dlogits);
    if (loss->dw != NO_VALUE)
        emit_weight_grad(loss, number, dlogits, x);
}

/* Parts of the vocabulary on this rank: whole, aligned ones, or one, of a sum in no defined order. */
static void set_parts(struct loss *loss)
{
    struct shard *shard = loss->shard;
    const uint32_t parts = loss->attributes.vocabulary_parts, ranks = (uint32_t)shard->ranks;
    const char *name = shard->program->values[loss->w].name;

    loss->parts = parts % ranks == 0 ? parts / ranks : 1;
    if (loss->rows % ranks != 0)
        shard_refuse(shard, name, loss->rows, "rows of the vocabulary");
    else if (parts % ranks != 0 && (shard->form->sums->exact || parts != 1))
        shard_refuse(shard, name, parts, "parts of the vocabulary in exact sums");
}

static void begin(struct loss *loss, struct shard *shard, const struct op *op)
{
    const int32_t *at = program_operands(shard->program, op);

    memset(loss, 0, sizeof *loss);
    loss->shard = shard;
    memcpy(&loss->attributes, program_attributes(shard->program, op), sizeof loss->attributes);
    loss->w = at[LLMRUN_LINEAR_CROSS_ENTROPY_W];
    loss->targets = at[LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS];
    loss->weights = at[LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS];
    loss->scale = at[LLMRUN_LINEAR_CROSS_ENTROPY_SCALE];
    loss->losses = at[LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES];
    loss->dx = at[LLMRUN_LINEAR_CROSS_ENTROPY_DX];
    loss->dw = at[LLMRUN_LINEAR_CROSS_ENTROPY_DW];
    loss->terms = NO_VALUE;
    loss->added = op->accumulate >> LLMRUN_LINEAR_CROSS_ENTROPY_DW & 1;
    loss->rows = shard->program->values[loss->w].full[0];
    loss->dtype = shard->program->values[at[LLMRUN_LINEAR_CROSS_ENTROPY_X]].dtype;
    loss->tokens = shard->program->values[at[LLMRUN_LINEAR_CROSS_ENTROPY_X]].shape[0];
    set_parts(loss);
    if (shard->builder.status == STATUS_OK)
        choose_chunk(loss);
    shard->builder.layer = op->layer;
    shard->builder.role = (enum op_role)op->role;
    if (shard->builder.status != STATUS_OK)
        return;
    loss->x = shard_convert(shard, at[LLMRUN_LINEAR_CROSS_ENTROPY_X], whole);
    loss->w = shard_convert(shard, loss->w, split_rows);
}

void shard_loss(struct shard *shard, int32_t op)
{
    struct loss loss;

    begin(&loss, shard, &shard->program->ops[op]);
    if (loss.dx != NO_VALUE && shard->builder.status == STATUS_OK) {
        loss.terms = shard_add(shard, loss.dx, "partial", LLMRUN_F32, whole);
        if (loss.terms != NO_VALUE)
            shard->out->values[loss.terms].partial[MESH_TP] =
                (struct partial){REDUCTION_SUM, shard->index * (int32_t)loss.parts, (int32_t)loss.parts};
    }
    for (int64_t number = 0; number < loss.tokens / loss.chunk && shard->builder.status == STATUS_OK; number++)
        emit_chunk(&loss, number);
    if (loss.terms != NO_VALUE)
        shard_finish(shard, loss.terms, &(struct shard_root){loss.dx, NO_VALUE, NO_VALUE, NO_VALUE, 0});
}
