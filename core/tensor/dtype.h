/* Element types of the contract (LLMRUN_F32 ...) as data: names, sizes, and the rules of each floating-point format. */
#ifndef LLMRUN_TENSOR_DTYPE_H
#define LLMRUN_TENSOR_DTYPE_H

#include <stdint.h>

#include "llmrun/types.h"

enum dtype_kind { DTYPE_NO_KIND, DTYPE_FLOAT, DTYPE_SIGNED, DTYPE_UNSIGNED };

/* How a floating-point format spells what is not a finite number.
 * IEEE: the top exponent holds infinity (mantissa 0) and NaN.
 * FN: the top exponent holds numbers; only all ones is NaN; no infinity (OCP E4M3).
 * FNUZ: the code of negative zero (sign bit alone) is the one NaN; no infinity, no negative zero. */
enum dtype_special { DTYPE_IEEE, DTYPE_FN, DTYPE_FNUZ };

struct dtype_facts {
    const char *name;             /* in the text form and in configs: "f32" */
    const char *safetensors_name; /* "F32"; NULL when that format has no name for it */
    int32_t bytes;                /* an element */
    uint8_t kind;                 /* enum dtype_kind; the rest only means something for DTYPE_FLOAT */
    uint8_t special;              /* enum dtype_special */
    uint8_t exponent_bits;
    uint8_t mantissa_bits; /* stored ones; the implicit one is not counted */
    int32_t bias;          /* value = 1.mantissa x 2^(exponent - bias); 0.mantissa x 2^(1 - bias) for exponent 0 */
    double max;            /* the largest finite number */
};

/* The row of a type. A number that is no type (LLMRUN_NONE, LLMRUN_DTYPES and above) gives a row with bytes 0. */
const struct dtype_facts *dtype_facts(uint32_t dtype);

/* The text form's name, "none" for a number that is no type. */
const char *dtype_name(uint32_t dtype);

/* Bytes of an element, 0 for a number that is no type. */
int64_t dtype_bytes(uint32_t dtype);

/* The type of that name; LLMRUN_NONE when there is none. Names match exactly. */
uint32_t dtype_from_name(const char *name);
uint32_t dtype_from_safetensors_name(const char *name);

#endif
