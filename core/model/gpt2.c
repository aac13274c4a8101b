#include "model/gpt2.h"

#include <math.h>

#include "model/parameter.h"

static int32_t parameter(struct builder *b, int layer, const char *name, int64_t out, int64_t in)
{
    return parameter_build(b, "h.", layer, name, out, in);
}

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

static void outer_parameters(struct builder *b, const struct model_config *config, struct gpt2 *p)
{
    const int64_t c = config->n_embd;

    p->wte = parameter(b, -1, "wte.weight", model_padded_vocabulary(config), c);
    p->wpe = parameter(b, -1, "wpe.weight", config->n_positions, c);
    p->ln_f_weight = parameter(b, -1, "ln_f.weight", c, 0);
    p->ln_f_bias = parameter(b, -1, "ln_f.bias", c, 0);
}

static void layer_parameters(struct builder *b, const struct model_config *config, int layer, struct gpt2_layer *p)
{
    const int64_t c = config->n_embd, n = model_inner(config);

    p->ln_1_weight = parameter(b, layer, "ln_1.weight", c, 0);
    p->ln_1_bias = parameter(b, layer, "ln_1.bias", c, 0);
    p->q_weight = parameter(b, layer, "attn.q_proj.weight", c, c);
    p->q_bias = parameter(b, layer, "attn.q_proj.bias", c, 0);
    p->k_weight = parameter(b, layer, "attn.k_proj.weight", c, c);
    p->k_bias = parameter(b, layer, "attn.k_proj.bias", c, 0);
    p->v_weight = parameter(b, layer, "attn.v_proj.weight", c, c);
    p->v_bias = parameter(b, layer, "attn.v_proj.bias", c, 0);
    p->proj_weight = parameter(b, layer, "attn.c_proj.weight", c, c);
    p->proj_bias = parameter(b, layer, "attn.c_proj.bias", c, 0);
    p->ln_2_weight = parameter(b, layer, "ln_2.weight", c, 0);
    p->ln_2_bias = parameter(b, layer, "ln_2.bias", c, 0);
    p->fc_weight = parameter(b, layer, "mlp.c_fc.weight", n, c);
    p->fc_bias = parameter(b, layer, "mlp.c_fc.bias", n, 0);
    p->out_weight = parameter(b, layer, "mlp.c_proj.weight", c, n);
    p->out_bias = parameter(b, layer, "mlp.c_proj.bias", c, 0);
}

int32_t gpt2_build_hidden(struct builder *b, const struct model_config *config, const struct model_batch *batch)
{
    const struct attention_form form = {
        .sequence = batch->sequence,
        .heads = (uint32_t)config->n_head,
        .kv_heads = (uint32_t)config->n_head,
        .scale = 1.0f / sqrtf((float)(config->n_embd / config->n_head)),
        .dropout = batch->dropout,
    };
    const float epsilon = (float)config->layer_norm_epsilon, p = batch->dropout;
    struct gpt2 model;
    int32_t x, branch, h;

    outer_parameters(b, config, &model);

    branch = build_embedding(b, batch->tokens, model.wte, NO_VALUE, "wte.y");  /* [rows, c] */
    branch = build_embedding(b, batch->positions, model.wpe, branch, "wpe.y"); /* [rows, c] */
    branch = build_dropout(b, branch, batch->random, batch->sequence, p, "embedding.drop");
    x = NO_VALUE;

    for (int i = 0; i < config->n_layer; i++) {
        struct gpt2_layer l;
        int32_t q, k, v;

        b->layer = (int16_t)i;
        layer_parameters(b, config, i, &l);

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

int32_t gpt2_build_head(struct builder *b, const struct model_config *config)
{
    return parameter(b, -1, config->tie_word_embeddings ? "wte.weight" : MODEL_HEAD_NAME,
                     model_padded_vocabulary(config), config->n_embd);
}

/* Weights are normal with std initializer_range; what is added to the residual stream is scaled by 1/sqrt(2
 * layers) (section 2.3 of the paper). Biases are 0, norms 1. */
void gpt2_build_init(struct builder *b, const struct model_config *config, uint64_t seed)
{
    const float std = (float)config->initializer_range;
    const float residual = (float)(config->initializer_range / sqrt(2.0 * (double)config->n_layer));
    struct gpt2 model;

    outer_parameters(b, config, &model);
    parameter_init(b, seed, model.wte, 0, std);
    parameter_init(b, seed, model.wpe, 0, std);
    parameter_init(b, seed, model.ln_f_weight, 1, 0);
    parameter_init(b, seed, model.ln_f_bias, 0, 0);
    if (!config->tie_word_embeddings)
        parameter_init(b, seed, gpt2_build_head(b, config), 0, std);
    for (int i = 0; i < config->n_layer; i++) {
        struct gpt2_layer l;

        layer_parameters(b, config, i, &l);
        parameter_init(b, seed, l.ln_1_weight, 1, 0);
        parameter_init(b, seed, l.ln_1_bias, 0, 0);
        parameter_init(b, seed, l.q_weight, 0, std);
        parameter_init(b, seed, l.q_bias, 0, 0);
        parameter_init(b, seed, l.k_weight, 0, std);
        parameter_init(b, seed, l.k_bias, 0, 0);
        parameter_init(b, seed, l.v_weight, 0, std);
        parameter_init(b, seed, l.v_bias, 0, 0);
        parameter_init(b, seed, l.proj_weight, 0, residual);
        parameter_init(b, seed, l.proj_bias, 0, 0);
        parameter_init(b, seed, l.ln_2_weight, 1, 0);
        parameter_init(b, seed, l.ln_2_bias, 0, 0);
        parameter_init(b, seed, l.fc_weight, 0, std);
        parameter_init(b, seed, l.fc_bias, 0, 0);
        parameter_init(b, seed, l.out_weight, 0, residual);
        parameter_init(b, seed, l.out_bias, 0, 0);
    }
}
