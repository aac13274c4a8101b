/* layernorm (Ba, Kiros, Hinton 2016), rmsnorm (Zhang, Sennrich 2019), which is layernorm without mean and bias, their
 * gradients, and bias_grad, which is the gradient's sum over tokens alone. */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"
#include "cpu_ref/token_rows.h"

#define NONE (-1) /* an operand that rmsnorm does not have */

/* Operands. */
struct norm {
    int x, residual, weight, bias, y, sum, mean, rstd;
};

static const struct norm layernorm = {LLMRUN_LAYERNORM_X,    LLMRUN_LAYERNORM_RESIDUAL, LLMRUN_LAYERNORM_WEIGHT,
                                      LLMRUN_LAYERNORM_BIAS, LLMRUN_LAYERNORM_Y,        LLMRUN_LAYERNORM_RESIDUAL_OUT,
                                      LLMRUN_LAYERNORM_MEAN, LLMRUN_LAYERNORM_RSTD};
static const struct norm rmsnorm = {LLMRUN_RMSNORM_X,
                                    LLMRUN_RMSNORM_RESIDUAL,
                                    LLMRUN_RMSNORM_WEIGHT,
                                    NONE,
                                    LLMRUN_RMSNORM_Y,
                                    LLMRUN_RMSNORM_RESIDUAL_OUT,
                                    NONE,
                                    LLMRUN_RMSNORM_RSTD};

struct norm_grad {
    int dy, sum, weight, mean, rstd, dsum, dx, dweight, dbias;
};

static const struct norm_grad layernorm_grad = {
    LLMRUN_LAYERNORM_GRAD_DY,   LLMRUN_LAYERNORM_GRAD_RESIDUAL_OUT, LLMRUN_LAYERNORM_GRAD_WEIGHT,
    LLMRUN_LAYERNORM_GRAD_MEAN, LLMRUN_LAYERNORM_GRAD_RSTD,         LLMRUN_LAYERNORM_GRAD_DRESIDUAL_OUT,
    LLMRUN_LAYERNORM_GRAD_DX,   LLMRUN_LAYERNORM_GRAD_DWEIGHT,      LLMRUN_LAYERNORM_GRAD_DBIAS};
static const struct norm_grad rmsnorm_grad = {LLMRUN_RMSNORM_GRAD_DY,
                                              LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT,
                                              LLMRUN_RMSNORM_GRAD_WEIGHT,
                                              NONE,
                                              LLMRUN_RMSNORM_GRAD_RSTD,
                                              LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT,
                                              LLMRUN_RMSNORM_GRAD_DX,
                                              LLMRUN_RMSNORM_GRAD_DWEIGHT,
                                              NONE};

static int has(const struct kernel_call *call, int operand)
{
    return operand != NONE && reference_has(call, operand);
}

/* x (+ residual) as it is stored: rounded to the compute type, in which everything after it starts. */
static float row_value(const struct kernel_call *call, const struct norm *norm, int64_t i)
{
    float sum = reference_read(call, norm->x, i);

    if (has(call, norm->residual))
        sum = sum + reference_read(call, norm->residual, i);
    return operand_is_bf16(call->op, norm->x) ? reference_widen(reference_narrow(sum)) : sum;
}

static void norm_exact(const struct kernel_call *call, const struct norm *norm, float epsilon)
{
    int64_t channels = reference_extent(call, norm->weight, 0);
    int64_t heads = reference_extent(call, norm->x, 1) / channels;

    /* A head of a token is a row, as a token with one head is. */
    for (int64_t token = 0; token < reference_extent(call, norm->x, 0) * heads; token++) {
        int64_t row = token * channels;
        float sums[EXACT_LANES] = {0}, squares[EXACT_LANES] = {0}, mean = 0, rstd;

        for (int64_t c = 0; c < channels; c++)
            sums[c % EXACT_LANES] += row_value(call, norm, row + c);
        if (norm->mean != NONE)
            mean = exact_tree(sums) / (float)channels;
        for (int64_t c = 0; c < channels; c++) {
            float d = row_value(call, norm, row + c) - mean;

            squares[c % EXACT_LANES] = fmaf(d, d, squares[c % EXACT_LANES]);
        }
        rstd = 1.0f / sqrtf(exact_tree(squares) / (float)channels + epsilon);
        for (int64_t c = 0; c < channels; c++) {
            float value = row_value(call, norm, row + c);
            float xhat = (value - mean) * rstd;
            float weight = reference_read(call, norm->weight, c);
            float y = has(call, norm->bias) ? fmaf(xhat, weight, reference_read(call, norm->bias, c)) : xhat * weight;

            reference_write(call, norm->y, row + c, y);
            if (has(call, norm->sum))
                reference_write(call, norm->sum, row + c, value);
        }
        if (norm->mean != NONE)
            reference_write(call, norm->mean, token, mean);
        reference_write(call, norm->rstd, token, rstd);
    }
}

static void norm_double(const struct kernel_call *call, const struct norm *norm, float epsilon)
{
    int64_t channels = reference_extent(call, norm->weight, 0);
    int64_t heads = reference_extent(call, norm->x, 1) / channels;

    /* A head of a token is a row, as a token with one head is. */
    for (int64_t token = 0; token < reference_extent(call, norm->x, 0) * heads; token++) {
        int64_t row = token * channels;
        double mean = 0, variance = 0, rstd;

        for (int64_t c = 0; c < channels && norm->mean != NONE; c++)
            mean += row_value(call, norm, row + c);
        mean /= (double)channels;
        for (int64_t c = 0; c < channels; c++)
            variance += (row_value(call, norm, row + c) - mean) * (row_value(call, norm, row + c) - mean);
        variance /= (double)channels;
        rstd = 1 / sqrt(variance + epsilon);
        for (int64_t c = 0; c < channels; c++) {
            double value = row_value(call, norm, row + c);
            double y = (value - mean) * rstd * reference_read_double(call, norm->weight, c);

            if (has(call, norm->bias))
                y += reference_read_double(call, norm->bias, c);
            reference_write(call, norm->y, row + c, y);
            if (has(call, norm->sum))
                reference_write(call, norm->sum, row + c, value);
        }
        if (norm->mean != NONE)
            reference_write(call, norm->mean, token, mean);
        reference_write(call, norm->rstd, token, rstd);
    }
}

static const struct norm_grad *grad_of(const struct kernel_call *call)
{
    return call->op->op == LLMRUN_OP_LAYERNORM_GRAD ? &layernorm_grad : &rmsnorm_grad;
}

static float normalized(const struct kernel_call *call, const struct norm_grad *grad, int64_t token, int64_t i)
{
    float mean = grad->mean != NONE ? reference_read(call, grad->mean, token) : 0.0f;

    return (reference_read(call, grad->sum, i) - mean) * reference_read(call, grad->rstd, token);
}

static double normalized_double(const struct kernel_call *call, const struct norm_grad *grad, int64_t token, int64_t i)
{
    double mean = grad->mean != NONE ? reference_read_double(call, grad->mean, token) : 0;

    return (reference_read_double(call, grad->sum, i) - mean) * reference_read_double(call, grad->rstd, token);
}

/* dy weight */
static float scaled(const struct kernel_call *call, const struct norm_grad *grad, int64_t row, int64_t c)
{
    return reference_read(call, grad->dy, row + c) * reference_read(call, grad->weight, c);
}

static double scaled_double(const struct kernel_call *call, const struct norm_grad *grad, int64_t row, int64_t c)
{
    return reference_read_double(call, grad->dy, row + c) * reference_read_double(call, grad->weight, c);
}

static void input_grad_exact(const struct kernel_call *call, const struct norm_grad *grad, int64_t token,
                             int64_t channels)
{
    float rstd = reference_read(call, grad->rstd, token);
    float sums[EXACT_LANES] = {0}, products[EXACT_LANES] = {0}, mean = 0, mean_product;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++) {
        float g = scaled(call, grad, row, c);
        int lane = (int)(c % EXACT_LANES);

        sums[lane] = sums[lane] + g;
        products[lane] = fmaf(g, normalized(call, grad, token, row + c), products[lane]);
    }
    if (grad->mean != NONE)
        mean = exact_tree(sums) / (float)channels;
    mean_product = exact_tree(products) / (float)channels;
    for (int64_t c = 0; c < channels; c++) {
        float t = fmaf(-normalized(call, grad, token, row + c), mean_product, scaled(call, grad, row, c) - mean);
        float dx = has(call, grad->dsum) ? fmaf(rstd, t, reference_read(call, grad->dsum, row + c)) : rstd * t;

        reference_write(call, grad->dx, row + c, dx);
    }
}

static void input_grad_double(const struct kernel_call *call, const struct norm_grad *grad, int64_t token,
                              int64_t channels)
{
    double rstd = reference_read_double(call, grad->rstd, token);
    double mean = 0, mean_product = 0;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++) {
        double g = scaled_double(call, grad, row, c);

        if (grad->mean != NONE)
            mean += g / (double)channels;
        mean_product += g * normalized_double(call, grad, token, row + c) / (double)channels;
    }
    for (int64_t c = 0; c < channels; c++) {
        double n = normalized_double(call, grad, token, row + c);
        double dx = rstd * (scaled_double(call, grad, row, c) - mean - n * mean_product);

        if (has(call, grad->dsum))
            dx += reference_read_double(call, grad->dsum, row + c);
        reference_write(call, grad->dx, row + c, dx);
    }
}

static float dweight_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    const struct norm_grad *grad = grad_of(call);

    return fmaf(reference_read(call, grad->dy, i), normalized(call, grad, token, i), c);
}

static double dweight_term(const struct kernel_call *call, int64_t token, int64_t i)
{
    const struct norm_grad *grad = grad_of(call);

    return reference_read_double(call, grad->dy, i) * normalized_double(call, grad, token, i);
}

/* dy is operand 0 of every op that has a dbias. */
_Static_assert(LLMRUN_LAYERNORM_GRAD_DY == 0 && LLMRUN_BIAS_GRAD_DY == 0, "dbias is summed from operand 0");

static float dbias_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    (void)token;
    return c + reference_read(call, 0, i);
}

static double dbias_term(const struct kernel_call *call, int64_t token, int64_t i)
{
    (void)token;
    return reference_read_double(call, 0, i);
}

static void norm_grad_exact(const struct kernel_call *call, const struct token_rows *rows)
{
    const struct norm_grad *grad = grad_of(call);
    const int64_t channels = reference_extent(call, grad->weight, 0);
    const int64_t heads = reference_extent(call, grad->dy, 1) / channels;

    for (int64_t token = 0; token < rows->tokens * heads; token++)
        input_grad_exact(call, grad, token, channels);
    if (has(call, grad->dweight))
        token_rows_chains(call, rows, grad->dweight, dweight_step);
    if (has(call, grad->dbias))
        token_rows_chains(call, rows, grad->dbias, dbias_step);
}

static void norm_grad_double(const struct kernel_call *call, const struct token_rows *rows)
{
    const struct norm_grad *grad = grad_of(call);
    const int64_t channels = reference_extent(call, grad->weight, 0);
    const int64_t heads = reference_extent(call, grad->dy, 1) / channels;

    for (int64_t token = 0; token < rows->tokens * heads; token++)
        input_grad_double(call, grad, token, channels);
    if (has(call, grad->dweight))
        token_rows_sums(call, rows, grad->dweight, dweight_term);
    if (has(call, grad->dbias))
        token_rows_sums(call, rows, grad->dbias, dbias_term);
}

/* The two kernels of a norm, and those of a gradient. */
#define NORM_KERNELS(name)                                                                                             \
    static void name##_exact(const struct kernel_call *call)                                                           \
    {                                                                                                                  \
        norm_exact(call, &name, ((const struct llmrun_##name##_attributes *)call->op->attributes)->epsilon);           \
    }                                                                                                                  \
    static void name##_double(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        norm_double(call, &name, ((const struct llmrun_##name##_attributes *)call->op->attributes)->epsilon);          \
    }                                                                                                                  \
    REFERENCE_KERNELS(name, 0, name##_exact, name##_double)
NORM_KERNELS(layernorm)
NORM_KERNELS(rmsnorm)

#define ROWS_KERNELS(name, accumulate, exact, precise, heads)                                                          \
    static struct token_rows name##_rows(const struct kernel_call *call)                                               \
    {                                                                                                                  \
        const struct llmrun_##name##_attributes *attributes = call->op->attributes;                                    \
                                                                                                                       \
        return (struct token_rows){reference_extent(call, 0, 0), attributes->seq_len, attributes->batch_parts,         \
                                   attributes->position_parts, heads};                                                 \
    }                                                                                                                  \
    static void name##_exact(const struct kernel_call *call)                                                           \
    {                                                                                                                  \
        const struct token_rows rows = name##_rows(call);                                                              \
                                                                                                                       \
        exact(call, &rows);                                                                                            \
    }                                                                                                                  \
    static void name##_double(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        const struct token_rows rows = name##_rows(call);                                                              \
                                                                                                                       \
        precise(call, &rows);                                                                                          \
    }                                                                                                                  \
    REFERENCE_KERNELS(name, accumulate, name##_exact, name##_double)

static void rows_exact(const struct kernel_call *call, const struct token_rows *rows)
{
    token_rows_chains(call, rows, LLMRUN_BIAS_GRAD_DBIAS, dbias_step);
}

static void rows_double(const struct kernel_call *call, const struct token_rows *rows)
{
    token_rows_sums(call, rows, LLMRUN_BIAS_GRAD_DBIAS, dbias_term);
}

ROWS_KERNELS(layernorm_grad, 1u << LLMRUN_LAYERNORM_GRAD_DWEIGHT | 1u << LLMRUN_LAYERNORM_GRAD_DBIAS, norm_grad_exact,
             norm_grad_double, 1)
ROWS_KERNELS(rmsnorm_grad, 1u << LLMRUN_RMSNORM_GRAD_DWEIGHT, norm_grad_exact, norm_grad_double, attributes->head_parts)
ROWS_KERNELS(bias_grad, 1u << LLMRUN_BIAS_GRAD_DBIAS, rows_exact, rows_double, 1)
