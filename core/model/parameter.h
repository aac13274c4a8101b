/* What the files of all families share: their parameters by name, and their initial values. */
#ifndef LLMRUN_MODEL_PARAMETER_H
#define LLMRUN_MODEL_PARAMETER_H

#include "program/builder.h"

/* The trainable parameter "<layers><layer>.<name>", or "<name>" outside the layers (layer -1): a matrix [out, in],
 * which decays, or a vector [out] when `in` is 0. */
int32_t parameter_build(struct builder *builder, const char *layers, int layer, const char *name, int64_t out,
                        int64_t in);

/* Normal numbers of this mean and std, keyed by seed and name; the mean itself where the std is 0. */
void parameter_init(struct builder *builder, uint64_t seed, int32_t value, float mean, float std);

#endif
