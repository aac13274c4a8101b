#include "math_probe.h"

#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/normal.h"
#include "kernels/philox.h"

#define PROBE(name, expression)                                                                                        \
    static void probe_##name(const float *x, float *y, int64_t count)                                                  \
    {                                                                                                                  \
        for (int64_t i = 0; i < count; i += VEC_LANES) {                                                               \
            struct f32x16 v = vec_load(x + i);                                                                         \
                                                                                                                       \
            vec_store(y + i, expression);                                                                              \
        }                                                                                                              \
    }
PROBE(exp, math_exp(v))
PROBE(log, math_log(v))
PROBE(gelu, math_gelu(v))
PROBE(gelu_slope, math_gelu_slope(v))
PROBE(normal, normal_quantile(vec_to_bits(v)))
PROBE(round_bf16, vec_round_bf16(v))

static void probe_store_bf16(const float *x, float *y, int64_t count)
{
    uint16_t stored[VEC_LANES];

    for (int64_t i = 0; i < count; i += VEC_LANES) {
        vec_store_bf16(stored, vec_load(x + i));
        vec_store(y + i, vec_load_bf16(stored));
    }
}

static float probe_sum(const float x[16])
{
    return vec_sum(vec_load(x));
}

static float probe_maximum(const float x[16])
{
    return vec_maximum(vec_load(x));
}

const struct math_probe KERNEL_NAME(math_probe) = {
    .isa = KERNEL_ISA_TEXT,
    .exp = probe_exp,
    .log = probe_log,
    .gelu = probe_gelu,
    .gelu_slope = probe_gelu_slope,
    .normal = probe_normal,
    .round_bf16 = probe_round_bf16,
    .store_bf16 = probe_store_bf16,
    .sum = probe_sum,
    .maximum = probe_maximum,
    .philox = philox_batch,
};
