/* How transformers calls the parameters of a family, and in which form it stores them. */
#ifndef LLMRUN_HUGGINGFACE_NAMES_H
#define LLMRUN_HUGGINGFACE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/family.h"
#include "tensor/shape.h"

#define HF_NAME_BYTES 128

/* Where one of our parameters, [out, in] or [out], stands: rows part x out to (part + 1) x out of a tensor
 * [parts x out, in], which is stored as its transpose [in, parts x out] where `transposed`. */
struct hf_place {
    char name[HF_NAME_BYTES]; /* with the family's prefix, as transformers saves it */
    int part, parts;
    bool transposed;
};

void hf_place_of(const struct model_family *family, const char *parameter, struct hf_place *place);

/* The shape of the tensor in which a parameter of shape `form` stands. Rows that pad the vocabulary are not stored. */
struct shape hf_stored_shape(const struct model_config *config, const char *parameter, const struct shape *form,
                             const struct hf_place *place);

/* Whether a parameter has a row for each token of the vocabulary: wte, embed_tokens, an untied head. */
bool hf_is_vocabulary(const struct model_family *family, const char *parameter);

/* Tensors that carry no parameter: buffers of old versions, and the head where it is the embedding (weights.h
 * compares them). */
bool hf_tensor_ignored(const struct model_config *config, const char *name);

#endif
