/* GPT-2 (Radford et al. 2019), as Hugging Face transformers names and computes it: pre-norm blocks, learned positions,
 * GELU in its tanh form, the head tied to the token embedding or its own. Q, K and V are separate tensors; weights are
 * [out, in]. */
#include <math.h>

#include "model/family.h"

struct gpt2_layer {
    int32_t ln_1_weight, ln_1_bias;                   /* [c] */
    int32_t q_weight, q_bias, k_weight, k_bias;       /* [c, c], [c] */
    int32_t v_weight, v_bias, proj_weight, proj_bias; /* [c, c], [c] */
    int32_t ln_2_weight, ln_2_bias;                   /* [c] */
    int32_t fc_weight, fc_bias;                       /* [4c, c], [4c] */
    int32_t out_weight, out_bias;                     /* [c, 4c], [c] */
};

struct gpt2 {
    int32_t wte;                    /* [v, c] */
    int32_t wpe;                    /* [n_positions, c] */
    int32_t ln_f_weight, ln_f_bias; /* [c] */
};

static const struct initial zero = {0, 0}, one = {1, 0};

/* Weights are normal with the standard deviation initializer_range; what is added to the residual stream is scaled by
 * 1/sqrt(2 layers) (section 2.3 of the paper). Biases are 0, norms 1. */
static struct initial normal(const struct model_config *config)
{
    return (struct initial){0, (float)config->initializer_range};
}

static struct initial residual(const struct model_config *config)
{
    return (struct initial){0, (float)(config->initializer_range / sqrt(2.0 * (double)config->n_layer))};
}

static struct gpt2 outer(const struct parameters *p)
{
    const struct model_config *config = p->config;
    const int64_t c = config->n_embd;
    struct gpt2 model;

    model.wte = parameter(p, -1, "wte.weight", model_padded_vocabulary(config), c, normal(config));
    model.wpe = parameter(p, -1, "wpe.weight", config->n_positions, c, normal(config));
    model.ln_f_weight = parameter(p, -1, "ln_f.weight", c, 0, one);
    model.ln_f_bias = parameter(p, -1, "ln_f.bias", c, 0, zero);
    return model;
}

static struct gpt2_layer layer(const struct parameters *p, int i)
{
    const struct initial usual = normal(p->config), scaled = residual(p->config);
    const int64_t c = p->config->n_embd, n = model_inner(p->config);
    struct gpt2_layer l;

    l.ln_1_weight = parameter(p, i, "ln_1.weight", c, 0, one);
    l.ln_1_bias = parameter(p, i, "ln_1.bias", c, 0, zero);
    l.q_weight = parameter(p, i, "attn.q_proj.weight", c, c, usual);
    l.q_bias = parameter(p, i, "attn.q_proj.bias", c, 0, zero);
    l.k_weight = parameter(p, i, "attn.k_proj.weight", c, c, usual);
    l.k_bias = parameter(p, i, "attn.k_proj.bias", c, 0, zero);
    l.v_weight = parameter(p, i, "attn.v_proj.weight", c, c, usual);
    l.v_bias = parameter(p, i, "attn.v_proj.bias", c, 0, zero);
    l.proj_weight = parameter(p, i, "attn.c_proj.weight", c, c, scaled);
    l.proj_bias = parameter(p, i, "attn.c_proj.bias", c, 0, zero);
    l.ln_2_weight = parameter(p, i, "ln_2.weight", c, 0, one);
    l.ln_2_bias = parameter(p, i, "ln_2.bias", c, 0, zero);
    l.fc_weight = parameter(p, i, "mlp.c_fc.weight", n, c, usual);
    l.fc_bias = parameter(p, i, "mlp.c_fc.bias", n, 0, zero);
    l.out_weight = parameter(p, i, "mlp.c_proj.weight", c, n, scaled);
    l.out_bias = parameter(p, i, "mlp.c_proj.bias", c, 0, zero);
    return l;
}

static void declare_outer(const struct parameters *p)
{
    outer(p);
}

static void declare_layer(const struct parameters *p, int i)
{
    layer(p, i);
}

static int32_t build_hidden(struct builder *b, const struct model_config *config, const struct model_batch *batch)
{
    const struct attention_form form = {
        .sequence = batch->sequence,
        .heads = (uint32_t)config->n_head,
        .kv_heads = (uint32_t)config->n_head,
        .scale = 1.0f / sqrtf((float)(config->n_embd / config->n_head)),
        .dropout = batch->dropout,
    };
    const struct parameters parameters = {.builder = b, .config = config};
    const float epsilon = (float)config->layer_norm_epsilon, p = batch->dropout;
    const struct gpt2 model = outer(&parameters);
    int32_t x, branch, h;

    branch = build_embedding(b, batch->tokens, model.wte, NO_VALUE, "wte.y");  /* [rows, c] */
    branch = build_embedding(b, batch->positions, model.wpe, branch, "wpe.y"); /* [rows, c] */
    branch = build_dropout(b, branch, batch->random, batch->sequence, p, "embedding.drop");
    x = NO_VALUE;

    for (int i = 0; i < config->n_layer; i++) {
        struct gpt2_layer l;
        int32_t q, k, v;

        b->layer = (int16_t)i;
        l = layer(&parameters, i);

        /* The residual stream x is summed inside the norms: x = x + branch. */
        h = build_layernorm(b, branch, x, l.ln_1_weight, l.ln_1_bias, epsilon, &x, "ln_1");
        q = build_linear(b, h, l.q_weight, l.q_bias, "q"); /* [rows, c] = [rows, (heads width)] */
        k = build_linear(b, h, l.k_weight, l.k_bias, "k");
        v = build_linear(b, h, l.v_weight, l.v_bias, "v");
        h = model_build_attention(b, batch, q, k, v, &form, "attention");
        branch = build_linear(b, h, l.proj_weight, l.proj_bias, "attention.proj");
        branch = build_dropout(b, branch, batch->random, batch->sequence, p, "attention.drop");

        h = build_layernorm(b, branch, x, l.ln_2_weight, l.ln_2_bias, epsilon, &x, "ln_2");
        h = build_linear(b, h, l.fc_weight, l.fc_bias, "fc"); /* [rows, 4c] */
        h = build_gelu(b, h, "gelu");
        branch = build_linear(b, h, l.out_weight, l.out_bias, "mlp.proj"); /* [rows, c] */
        branch = build_dropout(b, branch, batch->random, batch->sequence, p, "mlp.drop");
    }
    b->layer = (int16_t)config->n_layer;
    return build_layernorm(b, branch, x, model.ln_f_weight, model.ln_f_bias, epsilon, NULL, "ln_f");
}

static const struct key keys[] = {
    {"n_layer", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_layer)},
    {"n_embd", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_embd)},
    {"n_head", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_head)},
    {"n_inner", KEY_OPTIONAL, KEY_WRITTEN, KEY_AT(n_inner)},
    {"n_positions", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_positions)},
    {"n_ctx", KEY_EXTENT, KEY_LEFT, KEY_AT(n_positions)},
    {"vocab_size", KEY_EXTENT, KEY_WRITTEN, KEY_AT(vocab_size)},
    {"layer_norm_epsilon", KEY_FRACTION, KEY_WRITTEN, KEY_AT(layer_norm_epsilon)},
    {"initializer_range", KEY_FRACTION, KEY_WRITTEN, KEY_AT(initializer_range)},
    {"activation_function", KEY_NAME, KEY_WRITTEN, KEY_ALLOWS("gelu_new|gelu_pytorch_tanh|gelu_fast")},
    {"tie_word_embeddings", KEY_SWITCH, KEY_WRITTEN, KEY_AT(tie_word_embeddings)},
    {"scale_attn_weights", KEY_FIXED, KEY_LEFT, KEY_ALLOWS("true")},
    {"scale_attn_by_inverse_layer_idx", KEY_FIXED, KEY_LEFT, KEY_ALLOWS("false")},
    {"add_cross_attention", KEY_FIXED, KEY_LEFT, KEY_ALLOWS("false")},
    {NULL, KEY_FIXED, KEY_LEFT, KEY_NOWHERE},
};

/* transformers' Conv1D keeps matrices as [in, out], and Q, K and V are one: transformers/pytorch_utils.py,
 * models/gpt2/modeling_gpt2.py. */
static const struct stored_form stored[] = {
    {"attn.q_proj.weight", "attn.c_attn.weight", 0, 3, true}, {"attn.k_proj.weight", "attn.c_attn.weight", 1, 3, true},
    {"attn.v_proj.weight", "attn.c_attn.weight", 2, 3, true}, {"attn.q_proj.bias", "attn.c_attn.bias", 0, 3, false},
    {"attn.k_proj.bias", "attn.c_attn.bias", 1, 3, false},    {"attn.v_proj.bias", "attn.c_attn.bias", 2, 3, false},
    {"attn.c_proj.weight", "attn.c_proj.weight", 0, 1, true}, {"mlp.c_fc.weight", "mlp.c_fc.weight", 0, 1, true},
    {"mlp.c_proj.weight", "mlp.c_proj.weight", 0, 1, true},   {NULL, NULL, 0, 0, false},
};

/* attribute_map of GPT2Config. */
static const struct field_alias aliases[] = {{"hidden_size", "n_embd"},
                                             {"max_position_embeddings", "n_positions"},
                                             {"num_attention_heads", "n_head"},
                                             {"num_hidden_layers", "n_layer"},
                                             {NULL, NULL}};

static const char *const dropouts[] = {"attn_pdrop", "embd_pdrop", "resid_pdrop", NULL};
static const char *const buffers[] = {".attn.bias", ".attn.masked_bias", NULL};

/* Defaults of GPT2Config. */
const struct model_family family_gpt2 = {
    .name = "GPT-2",
    .type = "gpt2",
    .architecture = "GPT2LMHeadModel",
    .keys = keys,
    .defaults = {.n_layer = 12,
                 .n_embd = 768,
                 .n_head = 12,
                 .n_positions = 1024,
                 .vocab_size = 50257,
                 .layer_norm_epsilon = 1e-5,
                 .initializer_range = 0.02,
                 .tie_word_embeddings = true},
    .declare_outer = declare_outer,
    .declare_layer = declare_layer,
    .build_hidden = build_hidden,
    .layers = "h.",
    .embedding = "wte.weight",
    .prefix = "transformer.",
    .stored = stored,
    .buffers = buffers,
    .aliases = aliases,
    .dropouts = dropouts,
    .dropout = 0.1,
};
