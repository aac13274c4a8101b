/* layernorm and its gradient (Ba, Kiros, Hinton 2016), and bias_grad, which is the gradient's sum over tokens alone. */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"
#include "cpu_ref/token_rows.h"

/* x (+ residual) as it is stored: rounded to the compute type, in which everything after it starts. */
static float row_value(const struct kernel_call *call, int64_t i)
{
    float sum = reference_read(call, LLMRUN_LAYERNORM_X, i);

    if (reference_has(call, LLMRUN_LAYERNORM_RESIDUAL))
        sum = sum + reference_read(call, LLMRUN_LAYERNORM_RESIDUAL, i);
    return operand_is_bf16(call->op, LLMRUN_LAYERNORM_X) ? reference_widen(reference_narrow(sum)) : sum;
}

static void layernorm_exact(const struct kernel_call *call)
{
    const struct llmrun_layernorm_attributes *attributes = call->op->attributes;
    int64_t channels = reference_extent(call, LLMRUN_LAYERNORM_X, 1);

    for (int64_t token = 0; token < reference_extent(call, LLMRUN_LAYERNORM_X, 0); token++) {
        int64_t row = token * channels;
        float sums[EXACT_LANES] = {0}, squares[EXACT_LANES] = {0}, mean, rstd;

        for (int64_t c = 0; c < channels; c++)
            sums[c % EXACT_LANES] += row_value(call, row + c);
        mean = exact_tree(sums) / (float)channels;
        for (int64_t c = 0; c < channels; c++) {
            float d = row_value(call, row + c) - mean;

            squares[c % EXACT_LANES] = fmaf(d, d, squares[c % EXACT_LANES]);
        }
        rstd = 1.0f / sqrtf(exact_tree(squares) / (float)channels + attributes->epsilon);
        for (int64_t c = 0; c < channels; c++) {
            float value = row_value(call, row + c);
            float xhat = (value - mean) * rstd;
            float gain = reference_read(call, LLMRUN_LAYERNORM_GAIN, c);
            float y = reference_has(call, LLMRUN_LAYERNORM_BIAS)
                          ? fmaf(xhat, gain, reference_read(call, LLMRUN_LAYERNORM_BIAS, c))
                          : xhat * gain;

            reference_write(call, LLMRUN_LAYERNORM_Y, row + c, y);
            if (reference_has(call, LLMRUN_LAYERNORM_SUM))
                reference_write(call, LLMRUN_LAYERNORM_SUM, row + c, value);
        }
        reference_write(call, LLMRUN_LAYERNORM_MEAN, token, mean);
        reference_write(call, LLMRUN_LAYERNORM_RSTD, token, rstd);
    }
}

static void layernorm_double(const struct kernel_call *call)
{
    const struct llmrun_layernorm_attributes *attributes = call->op->attributes;
    int64_t channels = reference_extent(call, LLMRUN_LAYERNORM_X, 1);

    for (int64_t token = 0; token < reference_extent(call, LLMRUN_LAYERNORM_X, 0); token++) {
        int64_t row = token * channels;
        double mean = 0, variance = 0, rstd;

        for (int64_t c = 0; c < channels; c++)
            mean += row_value(call, row + c);
        mean /= (double)channels;
        for (int64_t c = 0; c < channels; c++)
            variance += (row_value(call, row + c) - mean) * (row_value(call, row + c) - mean);
        variance /= (double)channels;
        rstd = 1 / sqrt(variance + attributes->epsilon);
        for (int64_t c = 0; c < channels; c++) {
            double y = (row_value(call, row + c) - mean) * rstd * reference_read_double(call, LLMRUN_LAYERNORM_GAIN, c);

            if (reference_has(call, LLMRUN_LAYERNORM_BIAS))
                y += reference_read_double(call, LLMRUN_LAYERNORM_BIAS, c);
            reference_write(call, LLMRUN_LAYERNORM_Y, row + c, y);
            if (reference_has(call, LLMRUN_LAYERNORM_SUM))
                reference_write(call, LLMRUN_LAYERNORM_SUM, row + c, row_value(call, row + c));
        }
        reference_write(call, LLMRUN_LAYERNORM_MEAN, token, mean);
        reference_write(call, LLMRUN_LAYERNORM_RSTD, token, rstd);
    }
}

static float normalized(const struct kernel_call *call, int64_t token, int64_t i)
{
    float mean = reference_read(call, LLMRUN_LAYERNORM_GRAD_MEAN, token);
    float rstd = reference_read(call, LLMRUN_LAYERNORM_GRAD_RSTD, token);

    return (reference_read(call, LLMRUN_LAYERNORM_GRAD_SUM, i) - mean) * rstd;
}

static void input_grad_exact(const struct kernel_call *call, int64_t token, int64_t channels)
{
    float rstd = reference_read(call, LLMRUN_LAYERNORM_GRAD_RSTD, token);
    float sums[EXACT_LANES] = {0}, products[EXACT_LANES] = {0}, mean, mean_product;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++) {
        float dy = reference_read(call, LLMRUN_LAYERNORM_GRAD_DY, row + c);
        float g = dy * reference_read(call, LLMRUN_LAYERNORM_GRAD_GAIN, c);
        int lane = (int)(c % EXACT_LANES);

        sums[lane] = sums[lane] + g;
        products[lane] = fmaf(g, normalized(call, token, row + c), products[lane]);
    }
    mean = exact_tree(sums) / (float)channels;
    mean_product = exact_tree(products) / (float)channels;
    for (int64_t c = 0; c < channels; c++) {
        float dy = reference_read(call, LLMRUN_LAYERNORM_GRAD_DY, row + c);
        float g = dy * reference_read(call, LLMRUN_LAYERNORM_GRAD_GAIN, c);
        float t = fmaf(-normalized(call, token, row + c), mean_product, g - mean);
        float dx = reference_has(call, LLMRUN_LAYERNORM_GRAD_DSUM)
                       ? fmaf(rstd, t, reference_read(call, LLMRUN_LAYERNORM_GRAD_DSUM, row + c))
                       : rstd * t;

        reference_write(call, LLMRUN_LAYERNORM_GRAD_DX, row + c, dx);
    }
}

static struct token_rows layernorm_rows(const struct kernel_call *call)
{
    const struct llmrun_layernorm_grad_attributes *attributes = call->op->attributes;

    return (struct token_rows){reference_extent(call, LLMRUN_LAYERNORM_GRAD_DY, 0), attributes->sequence,
                               attributes->batch_parts, attributes->position_parts};
}

static float dgain_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    return fmaf(reference_read(call, LLMRUN_LAYERNORM_GRAD_DY, i), normalized(call, token, i), c);
}

static float dbias_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    (void)token;
    return c + reference_read(call, LLMRUN_LAYERNORM_GRAD_DY, i);
}

static void layernorm_grad_exact(const struct kernel_call *call)
{
    int64_t tokens = reference_extent(call, LLMRUN_LAYERNORM_GRAD_DY, 0);
    int64_t channels = reference_extent(call, LLMRUN_LAYERNORM_GRAD_DY, 1);
    const struct token_rows rows = layernorm_rows(call);

    for (int64_t token = 0; token < tokens; token++)
        input_grad_exact(call, token, channels);
    if (reference_has(call, LLMRUN_LAYERNORM_GRAD_DGAIN))
        token_rows_chains(call, &rows, LLMRUN_LAYERNORM_GRAD_DGAIN, dgain_step);
    if (reference_has(call, LLMRUN_LAYERNORM_GRAD_DBIAS))
        token_rows_chains(call, &rows, LLMRUN_LAYERNORM_GRAD_DBIAS, dbias_step);
}

static double normalized_double(const struct kernel_call *call, int64_t token, int64_t i)
{
    double mean = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_MEAN, token);
    double rstd = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_RSTD, token);

    return (reference_read_double(call, LLMRUN_LAYERNORM_GRAD_SUM, i) - mean) * rstd;
}

static void input_grad_double(const struct kernel_call *call, int64_t token, int64_t channels)
{
    double rstd = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_RSTD, token);
    double mean = 0, mean_product = 0;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++) {
        double g = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_DY, row + c) *
                   reference_read_double(call, LLMRUN_LAYERNORM_GRAD_GAIN, c);

        mean += g / (double)channels;
        mean_product += g * normalized_double(call, token, row + c) / (double)channels;
    }
    for (int64_t c = 0; c < channels; c++) {
        double g = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_DY, row + c) *
                   reference_read_double(call, LLMRUN_LAYERNORM_GRAD_GAIN, c);
        double dx = rstd * (g - mean - normalized_double(call, token, row + c) * mean_product);

        if (reference_has(call, LLMRUN_LAYERNORM_GRAD_DSUM))
            dx += reference_read_double(call, LLMRUN_LAYERNORM_GRAD_DSUM, row + c);
        reference_write(call, LLMRUN_LAYERNORM_GRAD_DX, row + c, dx);
    }
}

static void layernorm_grad_double(const struct kernel_call *call)
{
    int64_t tokens = reference_extent(call, LLMRUN_LAYERNORM_GRAD_DY, 0);
    int64_t channels = reference_extent(call, LLMRUN_LAYERNORM_GRAD_DY, 1);
    const struct token_rows rows = layernorm_rows(call);

    for (int64_t token = 0; token < tokens; token++)
        input_grad_double(call, token, channels);
    for (int64_t i = 0; i < token_rows_count(&rows) * channels; i++) {
        double dgain = 0, dbias = 0;

        for (int64_t token = 0, c = i % channels; token < tokens; token++) {
            double dy = reference_read_double(call, LLMRUN_LAYERNORM_GRAD_DY, token * channels + c);

            if (token_row(&rows, token) != i / channels)
                continue;
            dgain += dy * normalized_double(call, token, token * channels + c);
            dbias += dy;
        }
        if (reference_has(call, LLMRUN_LAYERNORM_GRAD_DGAIN))
            reference_write(call, LLMRUN_LAYERNORM_GRAD_DGAIN, i,
                            reference_start(call, LLMRUN_LAYERNORM_GRAD_DGAIN, i) + dgain);
        if (reference_has(call, LLMRUN_LAYERNORM_GRAD_DBIAS))
            reference_write(call, LLMRUN_LAYERNORM_GRAD_DBIAS, i,
                            reference_start(call, LLMRUN_LAYERNORM_GRAD_DBIAS, i) + dbias);
    }
}

static struct token_rows bias_rows(const struct kernel_call *call)
{
    const struct llmrun_bias_grad_attributes *attributes = call->op->attributes;

    return (struct token_rows){reference_extent(call, LLMRUN_BIAS_GRAD_DY, 0), attributes->sequence,
                               attributes->batch_parts, attributes->position_parts};
}

static float bias_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    (void)token;
    return c + reference_read(call, LLMRUN_BIAS_GRAD_DY, i);
}

static void bias_grad_exact(const struct kernel_call *call)
{
    const struct token_rows rows = bias_rows(call);

    token_rows_chains(call, &rows, LLMRUN_BIAS_GRAD_DBIAS, bias_step);
}

static void bias_grad_double(const struct kernel_call *call)
{
    int64_t channels = reference_extent(call, LLMRUN_BIAS_GRAD_DY, 1);
    const struct token_rows rows = bias_rows(call);

    for (int64_t i = 0; i < token_rows_count(&rows) * channels; i++) {
        double sum = reference_start(call, LLMRUN_BIAS_GRAD_DBIAS, i);

        for (int64_t token = 0; token < rows.tokens; token++)
            if (token_row(&rows, token) == i / channels)
                sum += reference_read_double(call, LLMRUN_BIAS_GRAD_DY, token * channels + i % channels);
        reference_write(call, LLMRUN_BIAS_GRAD_DBIAS, i, sum);
    }
}

REFERENCE_KERNELS(layernorm, "ccffccff", 0, layernorm_exact, layernorm_double)
REFERENCE_KERNELS(layernorm_grad, "ccfffccff", 1u << LLMRUN_LAYERNORM_GRAD_DGAIN | 1u << LLMRUN_LAYERNORM_GRAD_DBIAS,
                  layernorm_grad_exact, layernorm_grad_double)
REFERENCE_KERNELS(bias_grad, "cf", 1u << LLMRUN_BIAS_GRAD_DBIAS, bias_grad_exact, bias_grad_double)
