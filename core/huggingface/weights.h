/* Parameters out of a Hugging Face directory: fp32, in our form. */
#ifndef LLMRUN_HUGGINGFACE_WEIGHTS_H
#define LLMRUN_HUGGINGFACE_WEIGHTS_H

#include "huggingface/directory.h"
#include "huggingface/names.h"

/* STATUS_INPUT unless every layer of the model can be there: a cheap look at the number of tensors, before anything of
 * the size that config.json claims is made. */
int hf_weights_check_layers(const struct hf_directory *directory, const struct model_config *config,
                            struct error *error);

/* Compares what the directory holds with all parameters of the model ([out, in] or [out], fp32): STATUS_INPUT names the
 * first tensor that is missing, has another shape or a type other than F32, F16 and BF16, or that the model does not
 * have. */
int hf_weights_check(const struct hf_directory *directory, const struct model_config *config,
                     const struct safetensors_form *forms, int64_t count, struct error *error);

/* The type in which a parameter that passed the check is stored. */
uint32_t hf_weights_dtype(const struct hf_directory *directory, const struct model_config *config,
                          const char *parameter);

/* Fills the fp32 memory of a parameter that passed the check. Each byte is read once, straight into place where the
 * forms agree; rows of the vocabulary that pad it are zeros. Blocks. STATUS_INPUT when a file gives fewer bytes than it
 * had. */
int hf_weights_read(const struct hf_directory *directory, const struct model_config *config,
                    const struct safetensors_form *form, float *memory, struct error *error);

/* Whether there is a head beside the token embedding that is not the same numbers, in fp32: then transformers
 * (modeling_utils.py, tie_weights) computes with both, whatever tie_word_embeddings says. A head of another shape or of
 * a type that is not read is one too, for the check to refuse. Reads both, once, up to the first difference. */
int hf_weights_own_head(const struct hf_directory *directory, const struct model_config *config, bool *own,
                        struct error *error);

#endif
