/* rmsnorm and its gradient (Zhang, Sennrich 2019). */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"
#include "cpu_ref/token_rows.h"

/* x (+ residual) as it is stored: rounded to the compute type, in which everything after it starts. */
static float row_value(const struct kernel_call *call, int64_t i)
{
    float sum = reference_read(call, LLMRUN_RMSNORM_X, i);

    if (reference_has(call, LLMRUN_RMSNORM_RESIDUAL))
        sum = sum + reference_read(call, LLMRUN_RMSNORM_RESIDUAL, i);
    return operand_is_bf16(call->op, LLMRUN_RMSNORM_X) ? reference_widen(reference_narrow(sum)) : sum;
}

static void rmsnorm_exact(const struct kernel_call *call)
{
    const struct llmrun_rmsnorm_attributes *attributes = call->op->attributes;
    int64_t channels = reference_extent(call, LLMRUN_RMSNORM_X, 1);

    for (int64_t token = 0; token < reference_extent(call, LLMRUN_RMSNORM_X, 0); token++) {
        int64_t row = token * channels;
        float squares[EXACT_LANES] = {0}, rstd;

        for (int64_t c = 0; c < channels; c++) {
            float value = row_value(call, row + c);

            squares[c % EXACT_LANES] = fmaf(value, value, squares[c % EXACT_LANES]);
        }
        rstd = 1.0f / sqrtf(exact_tree(squares) / (float)channels + attributes->epsilon);
        for (int64_t c = 0; c < channels; c++) {
            float value = row_value(call, row + c);
            float h = value * rstd;

            reference_write(call, LLMRUN_RMSNORM_Y, row + c, h * reference_read(call, LLMRUN_RMSNORM_GAIN, c));
            if (reference_has(call, LLMRUN_RMSNORM_SUM))
                reference_write(call, LLMRUN_RMSNORM_SUM, row + c, value);
        }
        reference_write(call, LLMRUN_RMSNORM_RSTD, token, rstd);
    }
}

static void rmsnorm_double(const struct kernel_call *call)
{
    const struct llmrun_rmsnorm_attributes *attributes = call->op->attributes;
    int64_t channels = reference_extent(call, LLMRUN_RMSNORM_X, 1);

    for (int64_t token = 0; token < reference_extent(call, LLMRUN_RMSNORM_X, 0); token++) {
        int64_t row = token * channels;
        double squares = 0, rstd;

        for (int64_t c = 0; c < channels; c++)
            squares += (double)row_value(call, row + c) * row_value(call, row + c);
        rstd = 1 / sqrt(squares / (double)channels + attributes->epsilon);
        for (int64_t c = 0; c < channels; c++) {
            double value = row_value(call, row + c);

            reference_write(call, LLMRUN_RMSNORM_Y, row + c,
                            value * rstd * reference_read_double(call, LLMRUN_RMSNORM_GAIN, c));
            if (reference_has(call, LLMRUN_RMSNORM_SUM))
                reference_write(call, LLMRUN_RMSNORM_SUM, row + c, value);
        }
        reference_write(call, LLMRUN_RMSNORM_RSTD, token, rstd);
    }
}

static float normalized(const struct kernel_call *call, int64_t token, int64_t i)
{
    return reference_read(call, LLMRUN_RMSNORM_GRAD_SUM, i) * reference_read(call, LLMRUN_RMSNORM_GRAD_RSTD, token);
}

/* dy gain */
static float scaled(const struct kernel_call *call, int64_t row, int64_t c)
{
    return reference_read(call, LLMRUN_RMSNORM_GRAD_DY, row + c) * reference_read(call, LLMRUN_RMSNORM_GRAD_GAIN, c);
}

static void input_grad_exact(const struct kernel_call *call, int64_t token, int64_t channels)
{
    float rstd = reference_read(call, LLMRUN_RMSNORM_GRAD_RSTD, token);
    float products[EXACT_LANES] = {0}, mean_product;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++) {
        float *lane = &products[c % EXACT_LANES];

        *lane = fmaf(scaled(call, row, c), normalized(call, token, row + c), *lane);
    }
    mean_product = exact_tree(products) / (float)channels;
    for (int64_t c = 0; c < channels; c++) {
        float t = fmaf(-normalized(call, token, row + c), mean_product, scaled(call, row, c));
        float dx = reference_has(call, LLMRUN_RMSNORM_GRAD_DSUM)
                       ? fmaf(rstd, t, reference_read(call, LLMRUN_RMSNORM_GRAD_DSUM, row + c))
                       : rstd * t;

        reference_write(call, LLMRUN_RMSNORM_GRAD_DX, row + c, dx);
    }
}

static struct token_rows rmsnorm_rows(const struct kernel_call *call)
{
    const struct llmrun_rmsnorm_grad_attributes *attributes = call->op->attributes;

    return (struct token_rows){reference_extent(call, LLMRUN_RMSNORM_GRAD_DY, 0), attributes->sequence,
                               attributes->batch_parts, attributes->position_parts};
}

static float dgain_step(const struct kernel_call *call, int64_t token, int64_t i, float c)
{
    return fmaf(reference_read(call, LLMRUN_RMSNORM_GRAD_DY, i), normalized(call, token, i), c);
}

static void rmsnorm_grad_exact(const struct kernel_call *call)
{
    const struct token_rows rows = rmsnorm_rows(call);
    int64_t tokens = reference_extent(call, LLMRUN_RMSNORM_GRAD_DY, 0);
    int64_t channels = reference_extent(call, LLMRUN_RMSNORM_GRAD_DY, 1);

    for (int64_t token = 0; token < tokens; token++)
        input_grad_exact(call, token, channels);
    if (reference_has(call, LLMRUN_RMSNORM_GRAD_DGAIN))
        token_rows_chains(call, &rows, LLMRUN_RMSNORM_GRAD_DGAIN, dgain_step);
}

static double normalized_double(const struct kernel_call *call, int64_t token, int64_t i)
{
    return reference_read_double(call, LLMRUN_RMSNORM_GRAD_SUM, i) *
           reference_read_double(call, LLMRUN_RMSNORM_GRAD_RSTD, token);
}

static double scaled_double(const struct kernel_call *call, int64_t row, int64_t c)
{
    return reference_read_double(call, LLMRUN_RMSNORM_GRAD_DY, row + c) *
           reference_read_double(call, LLMRUN_RMSNORM_GRAD_GAIN, c);
}

static void input_grad_double(const struct kernel_call *call, int64_t token, int64_t channels)
{
    double rstd = reference_read_double(call, LLMRUN_RMSNORM_GRAD_RSTD, token), mean_product = 0;
    int64_t row = token * channels;

    for (int64_t c = 0; c < channels; c++)
        mean_product += scaled_double(call, row, c) * normalized_double(call, token, row + c) / (double)channels;
    for (int64_t c = 0; c < channels; c++) {
        double dx = rstd * (scaled_double(call, row, c) - normalized_double(call, token, row + c) * mean_product);

        if (reference_has(call, LLMRUN_RMSNORM_GRAD_DSUM))
            dx += reference_read_double(call, LLMRUN_RMSNORM_GRAD_DSUM, row + c);
        reference_write(call, LLMRUN_RMSNORM_GRAD_DX, row + c, dx);
    }
}

static void rmsnorm_grad_double(const struct kernel_call *call)
{
    const struct token_rows rows = rmsnorm_rows(call);
    int64_t tokens = reference_extent(call, LLMRUN_RMSNORM_GRAD_DY, 0);
    int64_t channels = reference_extent(call, LLMRUN_RMSNORM_GRAD_DY, 1);

    for (int64_t token = 0; token < tokens; token++)
        input_grad_double(call, token, channels);
    for (int64_t i = 0; i < token_rows_count(&rows) * channels && reference_has(call, LLMRUN_RMSNORM_GRAD_DGAIN); i++) {
        double sum = reference_start(call, LLMRUN_RMSNORM_GRAD_DGAIN, i);

        for (int64_t token = 0, c = i % channels; token < tokens; token++)
            if (token_row(&rows, token) == i / channels)
                sum += reference_read_double(call, LLMRUN_RMSNORM_GRAD_DY, token * channels + c) *
                       normalized_double(call, token, token * channels + c);
        reference_write(call, LLMRUN_RMSNORM_GRAD_DGAIN, i, sum);
    }
}

REFERENCE_KERNELS(rmsnorm, "ccfccf", 0, rmsnorm_exact, rmsnorm_double)
REFERENCE_KERNELS(rmsnorm_grad, "ccffccf", 1u << LLMRUN_RMSNORM_GRAD_DGAIN, rmsnorm_grad_exact, rmsnorm_grad_double)
