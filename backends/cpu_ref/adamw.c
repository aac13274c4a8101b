/* AdamW: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2. */
#include <math.h>

#include "cpu_ref/reference.h"

static float scalar(const struct kernel_call *call, int operand, int64_t index)
{
    return ((const float *)call->operands[operand])[index];
}

static void store(const struct kernel_call *call, int64_t i, double parameter, double first, double second)
{
    reference_write(call, LLMRUN_ADAMW_PARAMETER, i, parameter);
    reference_write(call, LLMRUN_ADAMW_FIRST_MOMENT, i, first);
    reference_write(call, LLMRUN_ADAMW_SECOND_MOMENT, i, second);
    if (reference_has(call, LLMRUN_ADAMW_COPY))
        reference_write(call, LLMRUN_ADAMW_COPY, i, parameter);
}

static void adamw_exact(const struct kernel_call *call)
{
    const struct llmrun_adamw_attributes *attributes = call->op->attributes;
    float rate = scalar(call, LLMRUN_ADAMW_LEARNING_RATE, 0);
    float clip = scalar(call, LLMRUN_ADAMW_CLIP_SCALE, 0);
    float decay = rate * attributes->weight_decay;
    float step = rate / scalar(call, LLMRUN_ADAMW_BIAS_CORRECTION, 0);
    float root = 1.0f / scalar(call, LLMRUN_ADAMW_BIAS_CORRECTION, 1);
    float beta1 = attributes->beta1, beta2 = attributes->beta2;

    if (*(const uint32_t *)call->operands[LLMRUN_ADAMW_FOUND_INF] != 0)
        return;
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_ADAMW_PARAMETER); i++) {
        float p = reference_read(call, LLMRUN_ADAMW_PARAMETER, i);
        float g = reference_read(call, LLMRUN_ADAMW_GRADIENT, i) * clip;
        float m = fmaf(beta1, reference_read(call, LLMRUN_ADAMW_FIRST_MOMENT, i), (1.0f - beta1) * g);
        float v = fmaf(beta2, reference_read(call, LLMRUN_ADAMW_SECOND_MOMENT, i), (1.0f - beta2) * g * g);

        p = fmaf(-decay, p, p);
        p = fmaf(-step, m / fmaf(sqrtf(v), root, attributes->epsilon), p);
        store(call, i, p, m, v);
    }
}

static void adamw_double(const struct kernel_call *call)
{
    const struct llmrun_adamw_attributes *attributes = call->op->attributes;
    double rate = scalar(call, LLMRUN_ADAMW_LEARNING_RATE, 0);
    double clip = scalar(call, LLMRUN_ADAMW_CLIP_SCALE, 0);
    double correction1 = scalar(call, LLMRUN_ADAMW_BIAS_CORRECTION, 0);
    double correction2 = scalar(call, LLMRUN_ADAMW_BIAS_CORRECTION, 1);
    double beta1 = attributes->beta1, beta2 = attributes->beta2;

    if (*(const uint32_t *)call->operands[LLMRUN_ADAMW_FOUND_INF] != 0)
        return;
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_ADAMW_PARAMETER); i++) {
        double p = reference_read_double(call, LLMRUN_ADAMW_PARAMETER, i);
        double g = reference_read_double(call, LLMRUN_ADAMW_GRADIENT, i) * clip;
        double m = beta1 * reference_read_double(call, LLMRUN_ADAMW_FIRST_MOMENT, i) + (1 - beta1) * g;
        double v = beta2 * reference_read_double(call, LLMRUN_ADAMW_SECOND_MOMENT, i) + (1 - beta2) * g * g;

        p -= rate * attributes->weight_decay * p;
        p -= rate / correction1 * m / (sqrt(v) / correction2 + attributes->epsilon);
        store(call, i, p, m, v);
    }
}

REFERENCE_KERNELS(adamw, 0, adamw_exact, adamw_double)
