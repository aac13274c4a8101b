#include "model/llama.h"

#include <math.h>

#include "model/parameter.h"
#include "model/rope.h"

/* c: width, d: width of a head, h and g: heads of queries and of keys and values, n: width inside the MLP */
struct llama_layer {
    int32_t input_norm;         /* [c] */
    int32_t q_proj;             /* [h d, c] */
    int32_t k_proj, v_proj;     /* [g d, c] */
    int32_t o_proj;             /* [c, h d] */
    int32_t post_norm;          /* [c] */
    int32_t gate_proj, up_proj; /* [n, c] */
    int32_t down_proj;          /* [c, n] */
};

struct llama {
    int32_t embed_tokens; /* [v, c] */
    int32_t norm;         /* [c] */
};

static int32_t parameter(struct builder *b, int layer, const char *name, int64_t out, int64_t in)
{
    return parameter_build(b, "model.layers.", layer, name, out, in);
}

static void outer_parameters(struct builder *b, const struct model_config *config, struct llama *p)
{
    p->embed_tokens = parameter(b, -1, "model.embed_tokens.weight", model_padded_vocabulary(config), config->n_embd);
    p->norm = parameter(b, -1, "model.norm.weight", config->n_embd, 0);
}

static void layer_parameters(struct builder *b, const struct model_config *config, int layer, struct llama_layer *p)
{
    const int64_t c = config->n_embd, n = model_inner(config), d = model_head_width(config);
    const int64_t q = config->n_head * d, kv = model_kv_heads(config) * d;

    p->input_norm = parameter(b, layer, "input_layernorm.weight", c, 0);
    p->q_proj = parameter(b, layer, "self_attn.q_proj.weight", q, c);
    p->k_proj = parameter(b, layer, "self_attn.k_proj.weight", kv, c);
    p->v_proj = parameter(b, layer, "self_attn.v_proj.weight", kv, c);
    p->o_proj = parameter(b, layer, "self_attn.o_proj.weight", c, q);
    p->post_norm = parameter(b, layer, "post_attention_layernorm.weight", c, 0);
    p->gate_proj = parameter(b, layer, "mlp.gate_proj.weight", n, c);
    p->up_proj = parameter(b, layer, "mlp.up_proj.weight", n, c);
    p->down_proj = parameter(b, layer, "mlp.down_proj.weight", c, n);
}

/* Rows for the positions of any section of the program. */
static int32_t rope_table(struct builder *b, const struct model_config *config, const struct model_batch *batch,
                          const char *name)
{
    const int64_t shape[] = {batch->context, model_head_width(config) / 2};

    return build_value(b, name, VALUE_CONSTANT, 0, LLMRUN_F32, 2, shape);
}

int32_t llama_build_hidden(struct builder *b, const struct model_config *config, const struct model_batch *batch)
{
    const struct attention_form form = {
        .sequence = batch->sequence,
        .heads = (uint32_t)config->n_head,
        .kv_heads = (uint32_t)model_kv_heads(config),
        .scale = 1.0f / sqrtf((float)model_head_width(config)),
        .dropout = batch->dropout,
    };
    const float epsilon = (float)config->layer_norm_epsilon;
    const int32_t cosines = rope_table(b, config, batch, ROPE_COSINES); /* [context, d / 2] */
    const int32_t sines = rope_table(b, config, batch, ROPE_SINES);
    struct llama model;
    int32_t x = NO_VALUE, branch, h;

    outer_parameters(b, config, &model);
    branch = build_embedding(b, batch->tokens, model.embed_tokens, NO_VALUE, "embed"); /* [rows, c] */

    for (int i = 0; i < config->n_layer; i++) {
        struct llama_layer l;
        int32_t q, k, v, gate, up;

        b->layer = (int16_t)i;
        layer_parameters(b, config, i, &l);

        /* The residual stream x is summed inside the norms: x = x + branch. */
        h = build_rmsnorm(b, branch, x, l.input_norm, epsilon, &x, "input_norm");
        q = build_linear(b, h, l.q_proj, NO_VALUE, "q"); /* [rows, (h d)] */
        k = build_linear(b, h, l.k_proj, NO_VALUE, "k"); /* [rows, (g d)] */
        v = build_linear(b, h, l.v_proj, NO_VALUE, "v");
        q = build_rope(b, q, batch->positions, cosines, sines, form.heads, "q.rope");
        k = build_rope(b, k, batch->positions, cosines, sines, form.kv_heads, "k.rope");
        h = model_build_attention(b, batch, q, k, v, &form, "attention");
        branch = build_linear(b, h, l.o_proj, NO_VALUE, "attention.proj"); /* [rows, c] */

        h = build_rmsnorm(b, branch, x, l.post_norm, epsilon, &x, "post_norm");
        gate = build_linear(b, h, l.gate_proj, NO_VALUE, "gate"); /* [rows, n] */
        up = build_linear(b, h, l.up_proj, NO_VALUE, "up");
        h = build_swiglu(b, gate, up, "swiglu");
        branch = build_linear(b, h, l.down_proj, NO_VALUE, "mlp.proj"); /* [rows, c] */
    }
    b->layer = (int16_t)config->n_layer;
    return build_rmsnorm(b, branch, x, model.norm, epsilon, NULL, "norm");
}

int32_t llama_build_head(struct builder *b, const struct model_config *config)
{
    return parameter(b, -1, config->tie_word_embeddings ? "model.embed_tokens.weight" : MODEL_HEAD_NAME,
                     model_padded_vocabulary(config), config->n_embd);
}

/* All matrices are normal with std initializer_range, norms are 1: LlamaPreTrainedModel of transformers. */
void llama_build_init(struct builder *b, const struct model_config *config, uint64_t seed)
{
    const float std = (float)config->initializer_range;
    struct llama model;

    outer_parameters(b, config, &model);
    parameter_init(b, seed, model.embed_tokens, 0, std);
    parameter_init(b, seed, model.norm, 1, 0);
    if (!config->tie_word_embeddings)
        parameter_init(b, seed, llama_build_head(b, config), 0, std);
    for (int i = 0; i < config->n_layer; i++) {
        struct llama_layer l;

        layer_parameters(b, config, i, &l);
        parameter_init(b, seed, l.input_norm, 1, 0);
        parameter_init(b, seed, l.q_proj, 0, std);
        parameter_init(b, seed, l.k_proj, 0, std);
        parameter_init(b, seed, l.v_proj, 0, std);
        parameter_init(b, seed, l.o_proj, 0, std);
        parameter_init(b, seed, l.post_norm, 1, 0);
        parameter_init(b, seed, l.gate_proj, 0, std);
        parameter_init(b, seed, l.up_proj, 0, std);
        parameter_init(b, seed, l.down_proj, 0, std);
    }
}
