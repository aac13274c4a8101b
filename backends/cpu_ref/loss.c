/* linear_cross_entropy */
#include <stdio.h>

#include "cpu_ref/chain.h"
#include "cpu_ref/loss_row.h"
#include "cpu_ref/reference.h"

struct loss {
    const struct kernel_call *call;
    int bf16;
    int64_t tokens, sequence, width;
    int64_t rows;             /* of w */
    int64_t vocabulary;       /* rows of w that are tokens */
    int64_t feature_parts;    /* equal parts of width */
    int64_t vocabulary_parts; /* of rows */
    int64_t batch_parts;      /* of tokens */
};

static struct loss loss_of(const struct kernel_call *call)
{
    const struct llmrun_linear_cross_entropy_attributes *attributes = call->op->attributes;

    return (struct loss){.call = call,
                         .bf16 = operand_is_bf16(call->op, LLMRUN_LINEAR_CROSS_ENTROPY_X),
                         .tokens = reference_extent(call, LLMRUN_LINEAR_CROSS_ENTROPY_X, 0),
                         .sequence = attributes->seq_len,
                         .width = reference_extent(call, LLMRUN_LINEAR_CROSS_ENTROPY_X, 1),
                         .rows = reference_extent(call, LLMRUN_LINEAR_CROSS_ENTROPY_W, 0),
                         .vocabulary = attributes->vocabulary,
                         .feature_parts = attributes->feature_parts,
                         .vocabulary_parts = attributes->vocabulary_parts,
                         .batch_parts = attributes->batch_parts};
}

/* A token's target, -1 where there is none in the vocabulary. */
static int64_t target_of(const struct loss *loss, int64_t token)
{
    int32_t target = ((const int32_t *)loss->call->operands[LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS])[token];

    return target >= 0 && target < loss->vocabulary ? target : -1;
}

/* The three sums, by operand pairs. */
struct terms {
    const struct loss *loss;
    const float *gradients; /* of logits [tokens, rows] */
    int64_t token, row, column;
};

static struct chain_term logit_term(const void *context, int64_t c)
{
    const struct terms *terms = context;
    int64_t width = terms->loss->width;

    return (struct chain_term){
        reference_read(terms->loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_X, terms->token * width + c),
        reference_read(terms->loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_W, terms->row * width + c)};
}

static struct chain_term dx_term(const void *context, int64_t row)
{
    const struct terms *terms = context;
    const struct loss *loss = terms->loss;

    return (struct chain_term){
        terms->gradients[terms->token * loss->rows + row],
        reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_W, row * loss->width + terms->column)};
}

static struct chain_term dw_term(const void *context, int64_t token)
{
    const struct terms *terms = context;
    const struct loss *loss = terms->loss;

    return (struct chain_term){
        terms->gradients[token * loss->rows + terms->row],
        reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_X, token * loss->width + terms->column)};
}

/* One of those sums in parts: a chain a part, the parts as a tree. */
struct parts {
    const struct terms *terms;
    chain_terms *term;
    int64_t size; /* of a part */
};

static float part_sum(const void *context, int64_t part)
{
    const struct parts *parts = context;

    return chain_sum(parts->terms->loss->bf16, parts->term, parts->terms, part * parts->size, (part + 1) * parts->size,
                     0.0f);
}

static float sum_in_parts(const struct terms *terms, chain_terms *term, int64_t count, int64_t parts)
{
    struct parts context = {terms, term, count / parts};

    return chain_tree(part_sum, &context, 0, parts);
}

/* Turns row [rows] into the gradient of the logits and returns the loss. */
static double token_exact(const struct loss *loss, int64_t token, float *row)
{
    float weight = reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS, token);
    float gradient = weight * reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, 0);
    int64_t target = target_of(loss, token), size = loss->rows / loss->vocabulary_parts;
    struct loss_parts parts = {.count = loss->vocabulary_parts};
    struct terms terms = {.loss = loss, .token = token};
    float target_logit;

    memset(row, 0, (size_t)loss->rows * sizeof(*row));
    if (weight == 0.0f)
        return 0.0;
    for (terms.row = 0; terms.row < loss->vocabulary; terms.row++)
        row[terms.row] = sum_in_parts(&terms, logit_term, loss->width, loss->feature_parts);
    target_logit = target < 0 ? NAN : row[target];
    for (int64_t i = 0; i < parts.count; i++)
        parts.part[i] = loss_part_of(row, i * size, size, loss->vocabulary);
    loss_join(&parts);
    for (int64_t v = 0; v < loss->vocabulary; v++) {
        row[v] = loss_logit_gradient(&parts, v / size, row[v], gradient, v == target);
        if (loss->bf16)
            row[v] = reference_widen(reference_narrow(row[v]));
    }
    return loss_of_token(&parts, weight, target_logit);
}

static void gradients_exact(const struct loss *loss, const float *gradients)
{
    const struct kernel_call *call = loss->call;
    struct terms terms = {.loss = loss, .gradients = gradients};

    if (reference_has(call, LLMRUN_LINEAR_CROSS_ENTROPY_DX))
        for (terms.token = 0; terms.token < loss->tokens; terms.token++)
            for (terms.column = 0; terms.column < loss->width; terms.column++)
                reference_write(call, LLMRUN_LINEAR_CROSS_ENTROPY_DX, terms.token * loss->width + terms.column,
                                sum_in_parts(&terms, dx_term, loss->rows, loss->vocabulary_parts));
    if (reference_has(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW))
        for (terms.row = 0; terms.row < loss->rows; terms.row++)
            for (terms.column = 0; terms.column < loss->width; terms.column++) {
                int64_t at = terms.row * loss->width + terms.column;
                float start = reference_start(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW, at);

                reference_write(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW, at,
                                loss->batch_parts > 1 ? sum_in_parts(&terms, dw_term, loss->tokens, loss->batch_parts)
                                                      : chain_sum(loss->bf16, dw_term, &terms, 0, loss->tokens, start));
            }
}

static void add_losses(const struct loss *loss, const double *of_token)
{
    for (int64_t b = 0; b < loss->tokens / loss->sequence; b++) {
        double sum = 0;

        for (int64_t t = 0; t < loss->sequence; t++)
            sum += of_token[b * loss->sequence + t];
        reference_write(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, b, sum);
    }
}

static void linear_cross_entropy_exact(const struct kernel_call *call)
{
    struct loss loss = loss_of(call);
    double *of_token = call->workspace;
    float *gradients = (float *)(of_token + loss.tokens);

    for (int64_t token = 0; token < loss.tokens; token++)
        of_token[token] = token_exact(&loss, token, gradients + token * loss.rows);
    add_losses(&loss, of_token);
    gradients_exact(&loss, gradients);
}

/* The same in fp64. */

static double token_double(const struct loss *loss, int64_t token, double *row)
{
    const struct kernel_call *call = loss->call;
    double weight = reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS, token);
    double gradient = weight * reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, 0);
    double maximum = -INFINITY, sum = 0, target_logit;
    int64_t target = target_of(loss, token);

    memset(row, 0, (size_t)loss->rows * sizeof(*row));
    if (weight == 0)
        return 0;
    for (int64_t v = 0; v < loss->vocabulary; v++) {
        for (int64_t c = 0; c < loss->width; c++)
            row[v] += reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_X, token * loss->width + c) *
                      reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_W, v * loss->width + c);
        maximum = fmax(maximum, row[v]);
    }
    target_logit = target < 0 ? NAN : row[target];
    for (int64_t v = 0; v < loss->vocabulary; v++)
        sum += exp(row[v] - maximum);
    for (int64_t v = 0; v < loss->vocabulary; v++)
        row[v] = gradient * (exp(row[v] - maximum) / sum - (v == target));
    return weight * (log(sum) + maximum - target_logit);
}

static void linear_cross_entropy_double(const struct kernel_call *call)
{
    struct loss loss = loss_of(call);
    double *of_token = call->workspace, *gradients = of_token + loss.tokens;

    for (int64_t token = 0; token < loss.tokens; token++)
        of_token[token] = token_double(&loss, token, gradients + token * loss.rows);
    add_losses(&loss, of_token);
    for (int64_t at = 0; reference_has(call, LLMRUN_LINEAR_CROSS_ENTROPY_DX) && at < loss.tokens * loss.width; at++) {
        double sum = 0;

        for (int64_t v = 0; v < loss.rows; v++)
            sum += gradients[at / loss.width * loss.rows + v] *
                   reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_W, v * loss.width + at % loss.width);
        reference_write(call, LLMRUN_LINEAR_CROSS_ENTROPY_DX, at, sum);
    }
    for (int64_t at = 0; reference_has(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW) && at < loss.rows * loss.width; at++) {
        double sum = reference_start(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW, at);

        for (int64_t t = 0; t < loss.tokens; t++)
            sum += gradients[t * loss.rows + at / loss.width] *
                   reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_X, t * loss.width + at % loss.width);
        reference_write(call, LLMRUN_LINEAR_CROSS_ENTROPY_DW, at, sum);
    }
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    int64_t tokens = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X].shape[0];
    int64_t rows = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_W].shape[0];

    uint32_t parts;

    (void)threads;
    if (!operand_fit(op, 1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW, reason, reason_bytes))
        return 0;
    parts = ((const struct llmrun_linear_cross_entropy_attributes *)op->attributes)->vocabulary_parts;
    if (parts < 1 || parts > LOSS_PARTS || rows % parts != 0) {
        snprintf(reason, reason_bytes, "%u vocabulary parts of %lld rows; at most %d, all equal, are possible", parts,
                 (long long)rows, LOSS_PARTS);
        return 0;
    }
    *workspace_bytes = tokens * (rows + 1) * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel reference_linear_cross_entropy_exact, reference_linear_cross_entropy_double;
const struct kernel reference_linear_cross_entropy_exact = {"linear_cross_entropy reference exact", query,
                                                            linear_cross_entropy_exact};
const struct kernel reference_linear_cross_entropy_double = {"linear_cross_entropy reference f64", query,
                                                             linear_cross_entropy_double};
