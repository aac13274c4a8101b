/* The tensors of a model as transformers stores them, made out of ours: the way back of weights.h. */
#ifndef LLMRUN_HUGGINGFACE_STORED_LIST_H
#define LLMRUN_HUGGINGFACE_STORED_LIST_H

#include "checkpoint/safetensors.h"
#include "huggingface/names.h"

#define HF_MOST_PARTS 3

struct hf_stored {
    char name[HF_NAME_BYTES];
    uint32_t dtype; /* first that of the parameters; the caller may set another before hf_stored_list_order */
    struct shape shape;
    int parts;
    bool transposed;
    int64_t parameters[HF_MOST_PARTS]; /* indices of the forms */
};

struct hf_stored_list {
    struct hf_stored *tensors;
    int64_t count;
};

/* Of all parameters of the model. STATUS_BUG when a part of a tensor is not among the forms. Freed with
 * hf_stored_list_finish. */
int hf_stored_list_make(const struct model_config *config, const struct safetensors_form *forms, int64_t count,
                        struct hf_stored_list *list, struct error *error);
void hf_stored_list_finish(struct hf_stored_list *list);

/* The order of files: larger elements first, so that all stand on a multiple of their size, then by name. */
void hf_stored_list_order(struct hf_stored_list *list);

/* Puts one parameter [out, in] or [out] in its place in the memory of the whole tensor; `part` counts from 0. Rows that
 * pad the vocabulary are left out. */
void hf_stored_place(const struct hf_stored *tensor, int part, const float *parameter, float *memory);

#endif
