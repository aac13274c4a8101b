/* linear_cross_entropy in chunks of tokens, so that never more logits exist than one chunk has. Three products of
 * gemm.h a chunk; between them each token's row of logits is turned into its loss and the gradient of the logits, in
 * place. A chunk parts no trace in the bits: tokens do not meet but in dw, whose chain goes on from chunk to chunk.
 *
 * With several batch parts dw is a tree of one sum each. Either one chunk holds all tokens, and their product makes
 * that tree; or a chunk is a piece of a batch part, whose sums wait in the workspace for others to be added to. The way
 * is taken that needs less memory. */
#include <stdio.h>
#include <string.h>

#include "kernels/loss_row.h"
#include "matmul/gemm.h"

#define CHUNK_BYTES  ((int64_t)128 << 20) /* of logits, about: fewer chunks read w and dw less often */
#define CHUNK_TOKENS 64                   /* a chunk has at least as many; even, so that no bf16 pair is cut */

struct loss {
    const struct kernel_call *call;
    int bf16;
    int64_t tokens;
    int64_t sequence;
    int64_t width;
    int64_t rows;             /* of w */
    int64_t vocabulary;       /* rows of w that are tokens */
    int64_t feature_parts;    /* of width */
    int64_t vocabulary_parts; /* of rows */
    int64_t batch_parts;      /* of tokens */
    int64_t chunk;            /* tokens; all of them, or no more than a batch part has */
    int64_t first;            /* token of the chunk at hand */
    double *losses;           /* [tokens] */
    float *logits;            /* [chunk, rows]; then their gradients, in bf16 in the first half of each row */
    void *gemm;               /* workspace of the products */
    float *pending;           /* [log2(batch parts) + 1, rows, width] where chunks are parts of them: their sums */
};

static int64_t round_up(int64_t x, int64_t multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

/* Sums of batch parts that wait, with the one that is being made. */
static int64_t pending_sums(const struct loss *loss)
{
    return __builtin_ctzll((unsigned long long)loss->batch_parts) + 1;
}

static struct loss loss_of_op(const struct llmrun_op *op)
{
    const struct llmrun_linear_cross_entropy_attributes *attributes = op->attributes;
    const struct llmrun_tensor *x = &op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X];
    struct loss loss = {
        .bf16 = x->dtype == LLMRUN_BF16,
        .tokens = x->shape[0],
        .sequence = attributes->seq_len,
        .width = x->shape[1],
        .rows = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_W].shape[0],
        .vocabulary = attributes->vocabulary,
        .feature_parts = attributes->feature_parts,
        .vocabulary_parts = attributes->vocabulary_parts,
        .batch_parts = attributes->batch_parts,
    };
    int64_t together =
        loss.batch_parts > 1 ? loss.tokens / loss.batch_parts : loss.tokens; /* that chunks do not reach beyond */
    int64_t most = CHUNK_BYTES / 4 / loss.rows / CHUNK_TOKENS * CHUNK_TOKENS, chunks;

    if (most < CHUNK_TOKENS)
        most = CHUNK_TOKENS;
    chunks = (together + most - 1) / most;
    loss.chunk = round_up((together + chunks - 1) / chunks, 16);
    if (loss.batch_parts > 1 && loss.tokens <= loss.chunk + pending_sums(&loss) * loss.width)
        loss.chunk = loss.tokens;
    return loss;
}

static void *operand(const struct loss *loss, int index)
{
    return loss->call == NULL ? NULL : loss->call->operands[index];
}

/* Row `row` of an operand whose rows have `columns` elements. */
static void *row_of(const struct loss *loss, int index, int64_t row, int64_t columns)
{
    char *data = operand(loss, index);

    return data == NULL ? NULL : data + row * columns * (loss->bf16 ? 2 : 4);
}

static int64_t gradient_row(const struct loss *loss)
{
    return loss->bf16 ? 2 * loss->rows : loss->rows;
}

/* logits [tokens, vocabulary] = x w^T */
static struct gemm_problem logits_problem(const struct loss *loss, int64_t tokens)
{
    return (struct gemm_problem){
        .m = tokens,
        .n = loss->vocabulary,
        .dtype = loss->bf16 ? LLMRUN_BF16 : LLMRUN_F32,
        .c_dtype = LLMRUN_F32,
        .segments = 1,
        .parts = (int32_t)loss->feature_parts,
        .segment = {{loss->width, row_of(loss, LLMRUN_LINEAR_CROSS_ENTROPY_X, loss->first, loss->width), loss->width, 1,
                     operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_W), 1, loss->width}},
        .c = loss->logits,
        .c_row = loss->rows,
    };
}

/* dx [tokens, width] = gradients w */
static struct gemm_problem dx_problem(const struct loss *loss, int64_t tokens)
{
    return (struct gemm_problem){
        .m = tokens,
        .n = loss->width,
        .dtype = loss->bf16 ? LLMRUN_BF16 : LLMRUN_F32,
        .c_dtype = loss->bf16 ? LLMRUN_BF16 : LLMRUN_F32,
        .segments = 1,
        .parts = (int32_t)loss->vocabulary_parts,
        .segment = {{loss->rows, loss->logits, gradient_row(loss), 1, operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_W),
                     loss->width, 1}},
        .c = row_of(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DX, loss->first, loss->width),
        .c_row = loss->width,
    };
}

/* dw [rows, width] = or += gradients^T x, as a tree over all batch parts where a chunk holds them */
static struct gemm_problem dw_problem(const struct loss *loss, int64_t tokens, int accumulate)
{
    return (struct gemm_problem){
        .m = loss->rows,
        .n = loss->width,
        .dtype = loss->bf16 ? LLMRUN_BF16 : LLMRUN_F32,
        .c_dtype = LLMRUN_F32,
        .segments = 1,
        .parts = loss->chunk == loss->tokens ? (int32_t)loss->batch_parts : 1,
        .accumulate = accumulate,
        .segment = {{tokens, loss->logits, 1, gradient_row(loss),
                     row_of(loss, LLMRUN_LINEAR_CROSS_ENTROPY_X, loss->first, loss->width), loss->width, 1}},
        .c = operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW),
        .c_row = loss->width,
    };
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The most that the products of a chunk of `tokens` need. */
static int64_t gemm_bytes(const struct loss *loss, int64_t tokens, int threads)
{
    struct gemm_problem logits = logits_problem(loss, tokens), dx = dx_problem(loss, tokens);
    struct gemm_problem dw = dw_problem(loss, tokens, 0), dw_more = dw_problem(loss, tokens, 1);

    return larger(
        larger(gemm_workspace_bytes(&logits, VEC_ISA, threads), gemm_workspace_bytes(&dx, VEC_ISA, threads)),
        larger(gemm_workspace_bytes(&dw, VEC_ISA, threads), gemm_workspace_bytes(&dw_more, VEC_ISA, threads)));
}

/* ---- one token -----------------------------------------------------------------------------------------------------
 */

/* In bf16 the results lie in the first half of the row: each step writes below what the next ones read. */
LANES_INLINE void scale_row(float *row, struct lanes_range range, float factor, int bf16)
{
    for (int64_t v = range.begin; v < range.end; v += VEC_LANES) {
        int lanes = vec_lanes_left(range.end, v);

        lanes_store(row, bf16, v, vec_mul(vec_load_part(row + v, lanes, 0.0f), vec_set(factor)), lanes);
    }
}

static void token_task(void *context, int64_t index, int thread)
{
    const struct loss *loss = context;
    int64_t token = loss->first + index;
    int64_t target = ((const int32_t *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS))[token];
    float weight = ((const float *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS))[token];
    float gradient = weight * ((const float *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE))[0];
    float *row = loss->logits + index * loss->rows;
    int has_target = target >= 0 && target < loss->vocabulary;
    const int64_t size = loss->rows / loss->vocabulary_parts;
    struct loss_parts parts = {.count = loss->vocabulary_parts};
    float target_logit, target_exponent, factor;

    (void)thread;
    loss->losses[token] = 0.0;
    if (weight == 0.0f) {
        loss_zeros(row, loss->bf16, 0, loss->rows);
        return;
    }
    target_logit = has_target ? row[target] : NAN;
    for (int64_t i = 0; i < parts.count; i++) {
        struct lanes_range range = loss_part(size, loss->vocabulary, i);

        parts.own[i] = loss_maximum(row, range);
        parts.sum[i] = loss_exponents(row, range, parts.own[i], row);
    }
    loss_join(&parts);
    loss->losses[token] = loss_of_token(&parts, weight, target_logit);
    if (operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DX) == NULL && operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW) == NULL)
        return;
    target_exponent = has_target ? row[target] : 0.0f;
    factor = 1.0f / parts.total * gradient;
    for (int64_t i = 0; i < parts.count; i++) {
        struct lanes_range range = loss_part(size, loss->vocabulary, i);

        if (loss->bf16)
            scale_row(row, range, parts.scale[i] * factor, 1);
        else
            scale_row(row, range, parts.scale[i] * factor, 0);
    }
    if (has_target)
        lanes_store(row, loss->bf16, target,
                    vec_set(fmaf(target_exponent, parts.scale[target / size] * factor, -gradient)), 1);
    loss_zeros(row, loss->bf16, loss->vocabulary, loss->rows);
}

/* ---- the op --------------------------------------------------------------------------------------------------------
 */

/* `dw_to`: where dw goes; `accumulate`: it is added there. */
static void run_chunk(struct loss *loss, int64_t tokens, float *dw_to, int accumulate)
{
    const struct kernel_call *call = loss->call;
    struct gemm_problem logits = logits_problem(loss, tokens), dx = dx_problem(loss, tokens);
    struct gemm_problem dw = dw_problem(loss, tokens, accumulate);

    dw.c = dw_to;

    gemm_run(&logits, VEC_ISA, call->pool, loss->gemm);
    pool_run(call->pool, tokens, token_task, loss);
    if (dx.c != NULL)
        gemm_run(&dx, VEC_ISA, call->pool, loss->gemm);
    if (dw.c != NULL)
        gemm_run(&dw, VEC_ISA, call->pool, loss->gemm);
}

struct addition {
    const float *a, *b;
    float *to;
    int64_t count;
};

static void add_task(void *context, int64_t task, int thread)
{
    const struct addition *addition = context;
    struct lanes_range range = lanes_part(addition->count, LANES_PART, task);

    (void)thread;
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 sum =
            vec_add(vec_load_part(addition->a + i, count, 0.0f), vec_load_part(addition->b + i, count, 0.0f));

        vec_store_part(addition->to + i, sum, count);
    }
}

static float *pending_at(const struct loss *loss, int64_t level)
{
    return loss->pending + level * loss->rows * loss->width;
}

/* The sum of a batch part lies in the last buffer: it is added to those that wait for it, and then waits or is dw. */
static void close_part(const struct loss *loss, int64_t part, int64_t levels)
{
    struct addition addition = {.b = pending_at(loss, levels), .count = loss->rows * loss->width};
    int64_t closed = __builtin_ctzll((unsigned long long)(part + 1));

    for (int64_t level = 0; level < closed; level++) {
        addition.a = pending_at(loss, level);
        addition.to = pending_at(loss, levels);
        if (level + 1 == closed)
            addition.to = closed == levels ? operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW) : pending_at(loss, closed);
        pool_run(loss->call->pool, lanes_parts(addition.count, LANES_PART), add_task, &addition);
    }
    if (closed == 0)
        memcpy(pending_at(loss, 0), addition.b, (size_t)addition.count * sizeof(float));
}

static void run_parts(struct loss *loss)
{
    int64_t size = loss->tokens / loss->batch_parts, levels = pending_sums(loss) - 1;
    float *to = operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW) == NULL ? NULL : pending_at(loss, levels);

    for (int64_t part = 0; part < loss->batch_parts; part++) {
        for (loss->first = part * size; loss->first < (part + 1) * size; loss->first += loss->chunk) {
            int64_t left = (part + 1) * size - loss->first;

            run_chunk(loss, left < loss->chunk ? left : loss->chunk, to, loss->first > part * size);
        }
        if (to != NULL)
            close_part(loss, part, levels);
    }
}

/* Where the parts of the workspace begin; the products' part comes last. */
static int64_t logits_at(const struct loss *loss)
{
    return round_up(loss->tokens * (int64_t)sizeof(double), 64);
}

static int64_t pending_begin(const struct loss *loss)
{
    return logits_at(loss) + round_up(loss->chunk * loss->rows * 4, 64);
}

static int64_t gemm_at(const struct loss *loss)
{
    if (loss->batch_parts == 1 || loss->chunk == loss->tokens)
        return pending_begin(loss);
    return pending_begin(loss) + round_up(pending_sums(loss) * loss->rows * loss->width * 4, 64);
}

static void run(const struct kernel_call *call)
{
    struct loss loss = loss_of_op(call->op);
    char *workspace = call->workspace;

    loss.call = call;
    loss.losses = call->workspace;
    loss.logits = (float *)(void *)(workspace + logits_at(&loss));
    loss.pending = (float *)(void *)(workspace + pending_begin(&loss));
    loss.gemm = workspace + gemm_at(&loss);
    if (loss.batch_parts > 1 && loss.chunk < loss.tokens)
        run_parts(&loss);
    for (; loss.first < loss.tokens; loss.first += loss.chunk)
        run_chunk(&loss, loss.tokens - loss.first < loss.chunk ? loss.tokens - loss.first : loss.chunk,
                  operand(&loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW),
                  loss.first > 0 || operand_accumulates(call->op, LLMRUN_LINEAR_CROSS_ENTROPY_DW));
    loss_add(call, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, loss.losses, loss.tokens, loss.sequence);
}

static int is_power_of_two(int64_t number)
{
    return number > 0 && number <= GEMM_PARTS && (number & (number - 1)) == 0;
}

static int parts_fit(const struct llmrun_op *op, char *reason, size_t reason_bytes)
{
    const struct llmrun_linear_cross_entropy_attributes *attributes = op->attributes;
    int64_t tokens = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X].shape[0];
    int64_t width = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X].shape[1];
    int64_t rows = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_W].shape[0];
    int added = op->accumulate != 0;

    if (is_power_of_two(attributes->feature_parts) && is_power_of_two(attributes->vocabulary_parts) &&
        is_power_of_two(attributes->batch_parts) && width % attributes->feature_parts == 0 &&
        rows % attributes->vocabulary_parts == 0 && tokens % attributes->batch_parts == 0 &&
        !(added && attributes->batch_parts > 1))
        return 1;
    snprintf(
        reason, reason_bytes,
        "%u feature parts of a width of %lld, %u vocabulary parts of %lld rows, or %u batch parts of %lld tokens%s",
        attributes->feature_parts, (long long)width, attributes->vocabulary_parts, (long long)rows,
        attributes->batch_parts, (long long)tokens, added ? " that are added" : "");
    return 0;
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct loss loss;
    int64_t last;

    if (!operand_fit(op, 1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW, reason, reason_bytes) ||
        !parts_fit(op, reason, reason_bytes))
        return 0;
    loss = loss_of_op(op);
    last = loss.batch_parts > 1 ? loss.tokens / loss.batch_parts : loss.tokens;
    last = loss.chunk == loss.tokens ? loss.tokens : last - (last - 1) / loss.chunk * loss.chunk;
    *workspace_bytes =
        gemm_at(&loss) + larger(gemm_bytes(&loss, loss.chunk, threads), gemm_bytes(&loss, last, threads));
    return 1;
}

extern const struct kernel KERNEL_NAME(linear_cross_entropy);
const struct kernel KERNEL_NAME(linear_cross_entropy) = {
    .name = "linear_cross_entropy " KERNEL_ISA_TEXT, .query = query, .run = run};
