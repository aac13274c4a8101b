/* A model family is one value: all that the program knows of it stands in one file, core/model/<family>.c. */
#ifndef LLMRUN_MODEL_FAMILY_H
#define LLMRUN_MODEL_FAMILY_H

#include "model/keys.h"
#include "model/parameter.h"

/* Where a parameter of a layer, [out, in] or [out], stands in a Hugging Face file when it is not there under its own
 * name in the same form: rows part x out to (part + 1) x out of a tensor [parts x out, in], stored as its transpose
 * where `transposed`. Names are those within the layer. */
struct stored_form {
    const char *ours, *theirs;
    int part, parts;
    bool transposed;
};

struct field_alias {
    const char *theirs, *ours; /* a field of config.json that transformers takes for another name of a key */
};

struct model_family {
    const char *name;         /* "LLaMA" */
    const char *type;         /* model_type of config.json */
    const char *architecture; /* the class of transformers with a head, "LlamaForCausalLM" */

    const struct key *keys;       /* of config.json; ends with a NULL name */
    struct model_config defaults; /* what transformers takes for keys that are not there; `family` is NULL */
    /* What these dimensions must keep beside what model_check holds for all families; NULL: nothing. STATUS_USAGE. */
    int (*check)(const struct model_config *config, struct error *error);

    /* The parameters outside the layers but the head, and those of a layer, each with its initial values. */
    void (*declare_outer)(const struct parameters *parameters);
    void (*declare_layer)(const struct parameters *parameters, int layer);
    /* The forward pass up to the final norm; returns the hidden states [rows, n_embd]. */
    int32_t (*build_hidden)(struct builder *builder, const struct model_config *config,
                            const struct model_batch *batch);
    /* Where families that share a builder differ: */
    bool qkv_bias; /* the projections of queries, keys and values have biases */
    bool qk_norm;  /* each head of queries and of keys is normalized before it is rotated */

    const char *layers;    /* "h.": what stands before the number of a layer in names of parameters */
    const char *embedding; /* the parameter that embeds tokens */

    /* How transformers stores the parameters. */
    const char *prefix; /* before all names but the head; missing in files of the model without its head */
    bool prefixed;      /* names of parameters have it here too */
    const struct stored_form *stored; /* ends with a NULL name; NULL: all stand under their own name */
    const char *const *buffers;       /* ends of the names of tensors that carry no parameter; ends with NULL */

    /* config.json beside the keys. */
    const struct field_alias *aliases; /* ends with a NULL name; NULL: there are none */
    const char *const *dropouts;       /* fields of dropout, one a place; ends with NULL */
    double dropout;                    /* what transformers takes for one that is not there */
};

extern const struct model_family family_gpt2, family_llama, family_mistral, family_qwen2, family_qwen3;

/* The i-th, NULL after the last. */
const struct model_family *model_family_at(int i);

/* By model_type; NULL where none has it. */
const struct model_family *model_family_of_type(const char *type);

#endif
