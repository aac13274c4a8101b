/* linear_cross_entropy */
#include <float.h>
#include <stdio.h>

#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

#define VOCABULARY_PARTS 256 /* at most */

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
                         .sequence = attributes->sequence,
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

/* A part of the vocabulary: elements begin to end - 1, of which padding has none. */
struct vocabulary_part {
    int64_t begin, end;
    float maximum;
    float sum;   /* of exp(x - maximum), in sixteen lanes from the first element on */
    float scale; /* exp(maximum - the largest maximum) */
};

/* Turns the part's logits into exponents. */
static struct vocabulary_part part_of(const struct loss *loss, int64_t index, float *row)
{
    int64_t size = loss->rows / loss->vocabulary_parts;
    struct vocabulary_part part = {.begin = index * size, .end = (index + 1) * size, .maximum = -FLT_MAX};
    float lanes[EXACT_LANES] = {0};

    part.end = part.end < loss->vocabulary ? part.end : loss->vocabulary;
    for (int64_t v = part.begin; v < part.end; v++)
        part.maximum = fmaxf(part.maximum, row[v]);
    for (int64_t v = part.begin; v < part.end; v++) {
        row[v] = exact_exp(row[v] - part.maximum);
        lanes[(v - part.begin) % EXACT_LANES] += row[v];
    }
    part.sum = exact_tree(lanes);
    return part;
}

static float scaled_sum(const void *context, int64_t index)
{
    const struct vocabulary_part *part = (const struct vocabulary_part *)context + index;

    return part->sum * part->scale;
}

/* Steps 2 to 5 of the definition: turns row [rows] from logits into their gradient and returns log-sum-exp. */
static double row_exact(const struct loss *loss, int64_t target, float gradient, float *row)
{
    struct vocabulary_part parts[VOCABULARY_PARTS];
    float maximum = -FLT_MAX, sum, factor;

    for (int64_t i = 0; i < loss->vocabulary_parts; i++) {
        parts[i] = part_of(loss, i, row);
        maximum = fmaxf(maximum, parts[i].maximum);
    }
    for (int64_t i = 0; i < loss->vocabulary_parts; i++)
        parts[i].scale = exact_exp(parts[i].maximum - maximum);
    sum = chain_tree(scaled_sum, parts, 0, loss->vocabulary_parts);
    factor = 1.0f / sum * gradient;
    for (int64_t i = 0; i < loss->vocabulary_parts; i++)
        for (int64_t v = parts[i].begin; v < parts[i].end; v++) {
            float scale = parts[i].scale * factor;

            row[v] = v == target ? fmaf(row[v], scale, -gradient) : row[v] * scale;
            if (loss->bf16)
                row[v] = reference_widen(reference_narrow(row[v]));
        }
    return (double)exact_log(sum) + (double)maximum;
}

/* Turns row [rows] into the gradient of the logits and returns the loss. */
static double token_exact(const struct loss *loss, int64_t token, float *row)
{
    float weight = reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_WEIGHTS, token);
    float gradient = weight * reference_read(loss->call, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, 0);
    int64_t target = target_of(loss, token);
    struct terms terms = {.loss = loss, .token = token};
    float target_logit;

    memset(row, 0, (size_t)loss->rows * sizeof(*row));
    if (weight == 0.0f)
        return 0.0;
    for (terms.row = 0; terms.row < loss->vocabulary; terms.row++)
        row[terms.row] = sum_in_parts(&terms, logit_term, loss->width, loss->feature_parts);
    target_logit = target < 0 ? NAN : row[target];
    return (double)weight * (row_exact(loss, target, gradient, row) - (double)target_logit);
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
    double weight = reference_read_double(call, LLMRUN_LINEAR_CROSS_ENTROPY_WEIGHTS, token);
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
    if (parts < 1 || parts > VOCABULARY_PARTS || rows % parts != 0) {
        snprintf(reason, reason_bytes, "%u vocabulary parts of %lld rows; at most %d, all equal, are possible", parts,
                 (long long)rows, VOCABULARY_PARTS);
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
