#include "model/decoder.h"

#include <math.h>

#include "model/rope.h"

/* c: width, d: width of a head, h and g: heads of queries and of keys and values, n: width inside the MLP */
struct layer {
    int32_t input_norm;             /* [c] */
    int32_t q_proj;                 /* [h d, c] */
    int32_t k_proj, v_proj;         /* [g d, c] */
    int32_t q_bias, k_bias, v_bias; /* [h d], [g d], [g d], or NO_VALUE */
    int32_t q_norm, k_norm;         /* [d], or NO_VALUE */
    int32_t o_proj;                 /* [c, h d] */
    int32_t post_norm;              /* [c] */
    int32_t gate_proj, up_proj;     /* [n, c] */
    int32_t down_proj;              /* [c, n] */
};

struct outer {
    int32_t embed_tokens; /* [v, c] */
    int32_t norm;         /* [c] */
};

const char *const decoder_buffers[] = {".rotary_emb.inv_freq", NULL}, *const decoder_dropouts[] = {"attention_dropout",
                                                                                                   NULL};

static const struct initial zero = {0, 0}, one = {1, 0};

/* All matrices are normal with the standard deviation initializer_range, norms are 1, biases 0: LlamaPreTrainedModel
 * and the like of transformers. */
static struct initial normal(const struct model_config *config)
{
    return (struct initial){0, (float)config->initializer_range};
}

static struct outer outer_of(const struct parameters *p)
{
    const int64_t c = p->config->n_embd, v = model_padded_vocabulary(p->config);
    struct outer outer;

    outer.embed_tokens = parameter(p, -1, "model.embed_tokens.weight", v, c, normal(p->config));
    outer.norm = parameter(p, -1, "model.norm.weight", c, 0, one);
    return outer;
}

static struct layer layer_of(const struct parameters *p, int i)
{
    const struct model_config *config = p->config;
    const int64_t c = config->n_embd, n = model_inner(config), d = model_head_width(config);
    const int64_t q = config->n_head * d, kv = model_kv_heads(config) * d;
    const struct initial usual = normal(config);
    const bool biases = config->family->qkv_bias, norms = config->family->qk_norm;
    struct layer l;

    l.input_norm = parameter(p, i, "input_layernorm.weight", c, 0, one);
    l.q_proj = parameter(p, i, "self_attn.q_proj.weight", q, c, usual);
    l.k_proj = parameter(p, i, "self_attn.k_proj.weight", kv, c, usual);
    l.v_proj = parameter(p, i, "self_attn.v_proj.weight", kv, c, usual);
    l.q_bias = biases ? parameter(p, i, "self_attn.q_proj.bias", q, 0, zero) : NO_VALUE;
    l.k_bias = biases ? parameter(p, i, "self_attn.k_proj.bias", kv, 0, zero) : NO_VALUE;
    l.v_bias = biases ? parameter(p, i, "self_attn.v_proj.bias", kv, 0, zero) : NO_VALUE;
    l.q_norm = norms ? parameter(p, i, "self_attn.q_norm.weight", d, 0, one) : NO_VALUE;
    l.k_norm = norms ? parameter(p, i, "self_attn.k_norm.weight", d, 0, one) : NO_VALUE;
    l.o_proj = parameter(p, i, "self_attn.o_proj.weight", c, q, usual);
    l.post_norm = parameter(p, i, "post_attention_layernorm.weight", c, 0, one);
    l.gate_proj = parameter(p, i, "mlp.gate_proj.weight", n, c, usual);
    l.up_proj = parameter(p, i, "mlp.up_proj.weight", n, c, usual);
    l.down_proj = parameter(p, i, "mlp.down_proj.weight", c, n, usual);
    return l;
}

void decoder_declare_outer(const struct parameters *parameters)
{
    outer_of(parameters);
}

void decoder_declare_layer(const struct parameters *parameters, int layer)
{
    layer_of(parameters, layer);
}

int decoder_check(const struct model_config *config, struct error *error)
{
    if (config->n_head % model_kv_heads(config) != 0)
        return error_set(error, STATUS_USAGE, "model: %s %lld is not a multiple of num_key_value_heads %lld",
                         keys_name(config->family, offsetof(struct model_config, n_head)), (long long)config->n_head,
                         (long long)config->n_kv_head);
    if (model_head_width(config) % 2 != 0)
        return error_set(error, STATUS_USAGE, "model: a head is %lld wide; rotary positions need an even width",
                         (long long)model_head_width(config));
    if (!(config->rope_theta > 1))
        return error_set(error, STATUS_USAGE, "model: rope_theta is %g; a number above 1 is needed",
                         config->rope_theta);
    return STATUS_OK;
}

/* Rows for the positions of any section of the program. */
static int32_t rope_table(struct builder *b, const struct model_config *config, const struct model_batch *batch,
                          const char *name)
{
    const int64_t shape[] = {batch->context, model_head_width(config) / 2};

    return build_value(b, name, VALUE_CONSTANT, 0, LLMRUN_F32, 2, shape);
}

int32_t decoder_build_hidden(struct builder *b, const struct model_config *config, const struct model_batch *batch)
{
    const struct attention_form form = {
        .sequence = batch->sequence,
        .heads = (uint32_t)config->n_head,
        .kv_heads = (uint32_t)model_kv_heads(config),
        .scale = 1.0f / sqrtf((float)model_head_width(config)),
        .dropout = batch->dropout,
    };
    const struct parameters parameters = {.builder = b, .config = config};
    const float epsilon = (float)config->layer_norm_epsilon;
    const int32_t cosines = rope_table(b, config, batch, ROPE_COSINES); /* [context, d / 2] */
    const int32_t sines = rope_table(b, config, batch, ROPE_SINES);
    const struct outer outer = outer_of(&parameters);
    int32_t x = NO_VALUE, branch, h;

    branch = build_embedding(b, batch->tokens, outer.embed_tokens, NO_VALUE, "embed"); /* [rows, c] */

    for (int i = 0; i < config->n_layer; i++) {
        struct layer l;
        int32_t q, k, v, gate, up;

        b->layer = (int16_t)i;
        l = layer_of(&parameters, i);

        /* The residual stream x is summed inside the norms: x = x + branch. */
        h = build_rmsnorm(b, branch, x, l.input_norm, epsilon, &x, "input_norm");
        q = build_linear(b, h, l.q_proj, l.q_bias, "q"); /* [rows, (h d)] */
        k = build_linear(b, h, l.k_proj, l.k_bias, "k"); /* [rows, (g d)] */
        v = build_linear(b, h, l.v_proj, l.v_bias, "v");
        if (config->family->qk_norm) {
            q = build_rmsnorm(b, q, NO_VALUE, l.q_norm, epsilon, NULL, "q.norm"); /* over d, for each head */
            k = build_rmsnorm(b, k, NO_VALUE, l.k_norm, epsilon, NULL, "k.norm");
        }
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
    return build_rmsnorm(b, branch, x, outer.norm, epsilon, NULL, "norm");
}
