/* linear_cross_entropy in chunks of tokens, so that never more logits exist than one chunk has. Three products of
 * gemm.h a chunk; between them each token's row of logits is turned into its loss and the gradient of the logits, in
 * place. A chunk leaves no trace in the bits: tokens do not meet but in dw, whose chain goes on from chunk to chunk. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/lanes.h"
#include "kernels/math.h"
#include "matmul/gemm.h"

#define CHUNK_BYTES  ((int64_t)128 << 20) /* of logits, about: fewer chunks read w and dw less often */
#define CHUNK_TOKENS 64                   /* a chunk has at least as many; even, so that no bf16 pair is cut */

struct loss {
    const struct kernel_call *call;
    int bf16;
    int64_t tokens;
    int64_t sequence;
    int64_t width;
    int64_t rows;       /* of w */
    int64_t vocabulary; /* rows of w that are tokens */
    int64_t chunk;      /* tokens */
    int64_t first;      /* token of the chunk at hand */
    double *losses;     /* [tokens] */
    float *logits;      /* [chunk, rows]; then their gradients, in bf16 in the first half of each row */
    void *gemm;         /* workspace of the products */
};

static int64_t round_up(int64_t x, int64_t multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

static struct loss loss_of_op(const struct llmrun_op *op)
{
    const struct llmrun_linear_cross_entropy_attributes *attributes = op->attributes;
    const struct llmrun_tensor *x = &op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X];
    struct loss loss = {
        .bf16 = x->dtype == LLMRUN_BF16,
        .tokens = x->shape[0],
        .sequence = attributes->sequence,
        .width = x->shape[1],
        .rows = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_W].shape[0],
        .vocabulary = attributes->vocabulary,
    };
    int64_t most = CHUNK_BYTES / 4 / loss.rows / CHUNK_TOKENS * CHUNK_TOKENS, chunks;

    if (most < CHUNK_TOKENS)
        most = CHUNK_TOKENS;
    chunks = (loss.tokens + most - 1) / most;
    loss.chunk = round_up((loss.tokens + chunks - 1) / chunks, 16);
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
        .segment = {{loss->rows, loss->logits, gradient_row(loss), 1, operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_W),
                     loss->width, 1}},
        .c = row_of(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DX, loss->first, loss->width),
        .c_row = loss->width,
    };
}

/* dw [rows, width] = or += gradients^T x */
static struct gemm_problem dw_problem(const struct loss *loss, int64_t tokens, int accumulate)
{
    return (struct gemm_problem){
        .m = loss->rows,
        .n = loss->width,
        .dtype = loss->bf16 ? LLMRUN_BF16 : LLMRUN_F32,
        .c_dtype = LLMRUN_F32,
        .segments = 1,
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

static float row_maximum(const float *row, int64_t count)
{
    struct f32x16 lowest = vec_set(-FLT_MAX), maximum[4] = {lowest, lowest, lowest, lowest};
    int64_t v = 0;

    for (; v + 4 * VEC_LANES <= count; v += 4 * VEC_LANES)
        for (int i = 0; i < 4; i++)
            maximum[i] = vec_max(maximum[i], vec_load(row + v + i * VEC_LANES));
    for (; v < count; v += VEC_LANES)
        maximum[0] = vec_max(maximum[0], vec_load_part(row + v, vec_lanes_left(count, v), -FLT_MAX));
    return vec_maximum(vec_max(vec_max(maximum[0], maximum[1]), vec_max(maximum[2], maximum[3])));
}

/* row[v] = exp(row[v] - maximum); returns their sum. */
static float row_exponents(float *row, int64_t count, float maximum)
{
    struct f32x16 sum = vec_zero();

    for (int64_t v = 0; v < count; v += VEC_LANES) {
        int lanes = vec_lanes_left(count, v);
        struct f32x16 e = math_exp(vec_sub(vec_load_part(row + v, lanes, -INFINITY), vec_set(maximum)));

        vec_store_part(row + v, e, lanes);
        sum = vec_add(sum, e);
    }
    return vec_sum(sum);
}

/* Element `at` of a row of gradients, and those from there to the end of the row. */
static void put_gradient(const struct loss *loss, float *row, int64_t at, float gradient)
{
    lanes_store(row, loss->bf16, at, vec_set(gradient), 1);
}

static void put_zeros(const struct loss *loss, float *row, int64_t at)
{
    for (int64_t v = at; v < loss->rows; v += VEC_LANES)
        lanes_store(row, loss->bf16, v, vec_zero(), vec_lanes_left(loss->rows, v));
}

/* In bf16 the results lie in the first half of the row: each step writes below what the next ones read. */
LANES_INLINE void scale_row(float *row, int64_t count, float factor, int bf16)
{
    for (int64_t v = 0; v < count; v += VEC_LANES) {
        int lanes = vec_lanes_left(count, v);

        lanes_store(row, bf16, v, vec_mul(vec_load_part(row + v, lanes, 0.0f), vec_set(factor)), lanes);
    }
}

static float log_of(float x)
{
    float lanes[VEC_LANES];

    vec_store(lanes, math_log(vec_set(x)));
    return lanes[0];
}

static void token_task(void *context, int64_t index, int thread)
{
    const struct loss *loss = context;
    int64_t token = loss->first + index;
    int64_t target = ((const int32_t *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS))[token];
    float weight = ((const float *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_WEIGHTS))[token];
    float gradient = weight * ((const float *)operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE))[0];
    float *row = loss->logits + index * loss->rows;
    int has_target = target >= 0 && target < loss->vocabulary;
    float maximum, sum, target_logit, target_exponent, factor;

    (void)thread;
    loss->losses[token] = 0.0;
    if (weight == 0.0f) {
        put_zeros(loss, row, 0);
        return;
    }
    maximum = row_maximum(row, loss->vocabulary);
    target_logit = has_target ? row[target] : NAN;
    sum = row_exponents(row, loss->vocabulary, maximum);
    loss->losses[token] = (double)weight * ((double)log_of(sum) + (double)maximum - (double)target_logit);
    if (operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DX) == NULL && operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_DW) == NULL)
        return;
    target_exponent = has_target ? row[target] : 0.0f;
    factor = 1.0f / sum * gradient;
    if (loss->bf16)
        scale_row(row, loss->vocabulary, factor, 1);
    else
        scale_row(row, loss->vocabulary, factor, 0);
    if (has_target)
        put_gradient(loss, row, target, fmaf(target_exponent, factor, -gradient));
    put_zeros(loss, row, loss->vocabulary);
}

/* ---- the op --------------------------------------------------------------------------------------------------------
 */

static void run_chunk(struct loss *loss, int64_t tokens)
{
    const struct kernel_call *call = loss->call;
    int accumulate = loss->first > 0 || operand_accumulates(call->op, LLMRUN_LINEAR_CROSS_ENTROPY_DW);
    struct gemm_problem logits = logits_problem(loss, tokens), dx = dx_problem(loss, tokens);
    struct gemm_problem dw = dw_problem(loss, tokens, accumulate);

    gemm_run(&logits, VEC_ISA, call->pool, loss->gemm);
    pool_run(call->pool, tokens, token_task, loss);
    if (dx.c != NULL)
        gemm_run(&dx, VEC_ISA, call->pool, loss->gemm);
    if (dw.c != NULL)
        gemm_run(&dw, VEC_ISA, call->pool, loss->gemm);
}

static void add_losses(const struct loss *loss)
{
    double *losses = operand(loss, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES);

    for (int64_t b = 0; b < loss->tokens / loss->sequence; b++) {
        double sum = 0.0;

        for (int64_t t = 0; t < loss->sequence; t++)
            sum += loss->losses[b * loss->sequence + t];
        losses[b] = sum;
    }
}

/* Where the parts of the workspace begin; the products' part comes last. */
static int64_t logits_at(const struct loss *loss)
{
    return round_up(loss->tokens * (int64_t)sizeof(double), 64);
}

static int64_t gemm_at(const struct loss *loss)
{
    return logits_at(loss) + round_up(loss->chunk * loss->rows * 4, 64);
}

static void run(const struct kernel_call *call)
{
    struct loss loss = loss_of_op(call->op);
    char *workspace = call->workspace;

    loss.call = call;
    loss.losses = call->workspace;
    loss.logits = (float *)(void *)(workspace + logits_at(&loss));
    loss.gemm = workspace + gemm_at(&loss);
    for (; loss.first < loss.tokens; loss.first += loss.chunk)
        run_chunk(&loss, loss.tokens - loss.first < loss.chunk ? loss.tokens - loss.first : loss.chunk);
    add_losses(&loss);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct loss loss;
    int64_t last;

    if (!operand_fit(op, "cciffdcf", 1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW, reason, reason_bytes))
        return 0;
    loss = loss_of_op(op);
    last = loss.tokens - (loss.tokens - 1) / loss.chunk * loss.chunk;
    *workspace_bytes =
        gemm_at(&loss) + larger(gemm_bytes(&loss, loss.chunk, threads), gemm_bytes(&loss, last, threads));
    return 1;
}

extern const struct kernel KERNEL_NAME(linear_cross_entropy);
const struct kernel KERNEL_NAME(linear_cross_entropy) = {
    .name = "linear_cross_entropy " KERNEL_ISA_TEXT, .query = query, .run = run};
