#include "tensor/dtype.h"

#include <stddef.h>
#include <string.h>

/* Sources: IEEE 754-2019 (f64, f32, f16); OCP 8-bit Floating Point Specification 1.0 (e4m3fn, e5m2); Noune et al.,
 * arXiv:2206.02915 (the FNUZ pair); Gaudi's E4M3 keeps IEEE infinities, so its largest number is 240. */
static const struct dtype_facts facts[LLMRUN_DTYPES] = {
    [LLMRUN_NONE] = {"none", NULL, 0, DTYPE_NO_KIND, 0, 0, 0, 0, 0},
    [LLMRUN_F64] = {"f64", "F64", 8, DTYPE_FLOAT, DTYPE_IEEE, 11, 52, 1023, 0x1.fffffffffffffp1023},
    [LLMRUN_F32] = {"f32", "F32", 4, DTYPE_FLOAT, DTYPE_IEEE, 8, 23, 127, 0x1.fffffep127},
    [LLMRUN_BF16] = {"bf16", "BF16", 2, DTYPE_FLOAT, DTYPE_IEEE, 8, 7, 127, 0x1.fep127},
    [LLMRUN_F16] = {"f16", "F16", 2, DTYPE_FLOAT, DTYPE_IEEE, 5, 10, 15, 65504},
    [LLMRUN_I32] = {"i32", "I32", 4, DTYPE_SIGNED, 0, 0, 0, 0, 0},
    [LLMRUN_U32] = {"u32", "U32", 4, DTYPE_UNSIGNED, 0, 0, 0, 0, 0},
    [LLMRUN_U8] = {"u8", "U8", 1, DTYPE_UNSIGNED, 0, 0, 0, 0, 0},
    [LLMRUN_E4M3FN] = {"e4m3fn", "F8_E4M3", 1, DTYPE_FLOAT, DTYPE_FN, 4, 3, 7, 448},
    [LLMRUN_E5M2] = {"e5m2", "F8_E5M2", 1, DTYPE_FLOAT, DTYPE_IEEE, 5, 2, 15, 57344},
    [LLMRUN_E4M3FNUZ] = {"e4m3fnuz", "F8_E4M3FNUZ", 1, DTYPE_FLOAT, DTYPE_FNUZ, 4, 3, 8, 240},
    [LLMRUN_E5M2FNUZ] = {"e5m2fnuz", "F8_E5M2FNUZ", 1, DTYPE_FLOAT, DTYPE_FNUZ, 5, 2, 16, 57344},
    [LLMRUN_E4M3_IEEE] = {"e4m3_ieee", NULL, 1, DTYPE_FLOAT, DTYPE_IEEE, 4, 3, 7, 240},
};

const struct dtype_facts *dtype_facts(uint32_t dtype)
{
    return &facts[dtype < LLMRUN_DTYPES ? dtype : LLMRUN_NONE];
}

const char *dtype_name(uint32_t dtype)
{
    return dtype_facts(dtype)->name;
}

int64_t dtype_bytes(uint32_t dtype)
{
    return dtype_facts(dtype)->bytes;
}

uint32_t dtype_from_name(const char *name)
{
    for (uint32_t dtype = LLMRUN_NONE + 1; dtype < LLMRUN_DTYPES; dtype++)
        if (strcmp(name, facts[dtype].name) == 0)
            return dtype;
    return LLMRUN_NONE;
}

uint32_t dtype_from_safetensors_name(const char *name)
{
    for (uint32_t dtype = LLMRUN_NONE + 1; dtype < LLMRUN_DTYPES; dtype++)
        if (facts[dtype].safetensors_name != NULL && strcmp(name, facts[dtype].safetensors_name) == 0)
            return dtype;
    return LLMRUN_NONE;
}
