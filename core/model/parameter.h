/* The parameters of a model by name, each declared once, with its initial values. */
#ifndef LLMRUN_MODEL_PARAMETER_H
#define LLMRUN_MODEL_PARAMETER_H

#include "model/model.h"

/* Normal numbers of this mean and standard deviation; the mean itself where `std` is 0. */
struct initial {
    float mean, std;
};

/* What a declaration does. */
struct parameters {
    struct builder *builder; /* NULL: they are only counted */
    const struct model_config *config;
    bool initialize; /* emits the initial values, keyed by `seed` and name, into the last section */
    uint64_t seed;
    int64_t *count; /* elements are added, those of rows that pad the vocabulary not; may be NULL */
};

/* The trainable parameter "<layers><layer>.<name>", or "<name>" outside the layers (layer -1): a matrix [out, in],
 * which decays, or a vector [out] when `in` is 0. Returns its value, NO_VALUE where it is only counted. */
int32_t parameter(const struct parameters *parameters, int layer, const char *name, int64_t out, int64_t in,
                  struct initial initial);

#endif
