#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

static void gelu_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_GELU_Y); i++)
        reference_write(call, LLMRUN_GELU_Y, i, exact_gelu(reference_read(call, LLMRUN_GELU_X, i)));
}

static void gelu_grad_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_GELU_GRAD_DX); i++) {
        float dy = reference_read(call, LLMRUN_GELU_GRAD_DY, i);
        float x = reference_read(call, LLMRUN_GELU_GRAD_X, i);

        reference_write(call, LLMRUN_GELU_GRAD_DX, i, dy * exact_gelu_slope(x));
    }
}

static const double root_2_pi = 0.79788456080286535588; /* sqrt(2 / pi) */
static const double cubic = 0.044715;

static void gelu_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_GELU_Y); i++) {
        double x = reference_read_double(call, LLMRUN_GELU_X, i);
        double u = root_2_pi * (x + cubic * x * x * x);

        reference_write(call, LLMRUN_GELU_Y, i, x / 2 * (1 + tanh(u)));
    }
}

static void gelu_grad_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_GELU_GRAD_DX); i++) {
        double dy = reference_read_double(call, LLMRUN_GELU_GRAD_DY, i);
        double x = reference_read_double(call, LLMRUN_GELU_GRAD_X, i);
        double t = tanh(root_2_pi * (x + cubic * x * x * x));
        double du = root_2_pi * (1 + 3 * cubic * x * x);

        reference_write(call, LLMRUN_GELU_GRAD_DX, i, dy * ((1 + t) / 2 + x / 2 * (1 - t * t) * du));
    }
}

REFERENCE_KERNELS(gelu, 0, gelu_exact, gelu_double)
REFERENCE_KERNELS(gelu_grad, 0, gelu_grad_exact, gelu_grad_double)
