#include "base/checked.h"
#include "model/model.h"

int64_t model_head_width(const struct model_config *config)
{
    return config->head_dim > 0 ? config->head_dim : config->n_embd / config->n_head;
}

int64_t model_kv_heads(const struct model_config *config)
{
    return config->n_kv_head > 0 ? config->n_kv_head : config->n_head;
}

int64_t model_inner(const struct model_config *config)
{
    return config->n_inner > 0 ? config->n_inner : 4 * config->n_embd;
}

int64_t model_padded_vocabulary(const struct model_config *config)
{
    return round_up(config->vocab_size, 64);
}

int64_t model_context(const struct model_config *config)
{
    return config->sliding_window > 0 && config->sliding_window < config->n_positions ? config->sliding_window
                                                                                      : config->n_positions;
}
