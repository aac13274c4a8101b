/* swiglu and its gradient (Shazeer 2020, "GLU Variants Improve Transformer"). */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

static void swiglu_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_SWIGLU_Y); i++) {
        float x = reference_read(call, LLMRUN_SWIGLU_GATE, i);
        float e = exact_exp(-fabsf(x));
        float silu = x * ((x < 0 ? e : 1.0f) / (1.0f + e));

        reference_write(call, LLMRUN_SWIGLU_Y, i, silu * reference_read(call, LLMRUN_SWIGLU_UP, i));
    }
}

static void swiglu_grad_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_SWIGLU_GRAD_DY); i++) {
        float dy = reference_read(call, LLMRUN_SWIGLU_GRAD_DY, i);
        float x = reference_read(call, LLMRUN_SWIGLU_GRAD_GATE, i);
        float dsilu = dy * reference_read(call, LLMRUN_SWIGLU_GRAD_UP, i);
        float e = exact_exp(-fabsf(x));
        float r = 1.0f / (1.0f + e), k = e * r, s = x < 0 ? k : r;
        float slope = fmaf(x, k * r, s), silu = x * s;

        reference_write(call, LLMRUN_SWIGLU_GRAD_DGATE, i, dsilu * slope);
        reference_write(call, LLMRUN_SWIGLU_GRAD_DUP, i, dy * silu);
    }
}

static void swiglu_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_SWIGLU_Y); i++) {
        double x = reference_read_double(call, LLMRUN_SWIGLU_GATE, i);

        reference_write(call, LLMRUN_SWIGLU_Y, i, x / (1 + exp(-x)) * reference_read_double(call, LLMRUN_SWIGLU_UP, i));
    }
}

static void swiglu_grad_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_SWIGLU_GRAD_DY); i++) {
        double dy = reference_read_double(call, LLMRUN_SWIGLU_GRAD_DY, i);
        double x = reference_read_double(call, LLMRUN_SWIGLU_GRAD_GATE, i);
        double up = reference_read_double(call, LLMRUN_SWIGLU_GRAD_UP, i);
        double s = 1 / (1 + exp(-x));

        reference_write(call, LLMRUN_SWIGLU_GRAD_DGATE, i, dy * up * s * (1 + x * (1 - s)));
        reference_write(call, LLMRUN_SWIGLU_GRAD_DUP, i, dy * x * s);
    }
}

REFERENCE_KERNELS(swiglu, 0, swiglu_exact, swiglu_double)
REFERENCE_KERNELS(swiglu_grad, 0, swiglu_grad_exact, swiglu_grad_double)
