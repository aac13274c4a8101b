/* config.json of a Hugging Face directory from any bytes: what is read can be a model of ours, and printed it reads
 * back as the same. The same bytes as generation_config.json: the tokens that end a text are tokens.
 *
 * Input: a byte for the mode, then the text. In odd modes {"model_type":"gpt2", or "llama", stands before it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "huggingface/config.h"
#include "huggingface/dropout.h"
#include "huggingface/stop_ids.h"
#include "model/family.h"
#include "model/rope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Extents that the file leaves out are written as what they stand for. */
static void normalise(struct model_config *config)
{
    for (const struct key *key = config->family->keys; key->name != NULL; key++) {
        int64_t *at = (int64_t *)((char *)config + key->offset);

        if (key->kind == KEY_OPTIONAL && key->standard != NULL && *at == 0)
            *at = key->standard(config);
    }
    if (config->rope_scaling != ROPE_LLAMA3) {
        config->rope_low_freq_factor = config->rope_high_freq_factor = 0;
        config->rope_original_positions = 0;
    }
    if (config->rope_scaling == ROPE_UNSCALED)
        config->rope_factor = 0;
}

static bool equal(const struct model_config *a, const struct model_config *b)
{
    return a->family == b->family && a->n_layer == b->n_layer && a->n_embd == b->n_embd && a->n_head == b->n_head &&
           a->n_kv_head == b->n_kv_head && a->head_dim == b->head_dim && a->n_inner == b->n_inner &&
           a->n_positions == b->n_positions && a->vocab_size == b->vocab_size &&
           a->layer_norm_epsilon == b->layer_norm_epsilon && a->initializer_range == b->initializer_range &&
           a->tie_word_embeddings == b->tie_word_embeddings && a->sliding_window == b->sliding_window &&
           a->rope_theta == b->rope_theta && a->rope_scaling == b->rope_scaling && a->rope_factor == b->rope_factor &&
           a->rope_low_freq_factor == b->rope_low_freq_factor && a->rope_high_freq_factor == b->rope_high_freq_factor &&
           a->rope_original_positions == b->rope_original_positions;
}

static void read_and_print(const char *text, int64_t bytes)
{
    struct hf_config_form form = {.dtype = LLMRUN_F32, .end_of_text = 1};
    struct model_config config, back;
    struct error error = {0};
    char *copy, *printed = NULL;

    if (hf_config_parse(text, bytes, "fuzz", NULL, &config, &error) != STATUS_OK) {
        if (error.message[0] == '\0' || error.status != STATUS_INPUT)
            abort();
        return;
    }
    if (model_check(&config, &error) != STATUS_OK || model_parameters(&config) < 1)
        abort();
    if (config.rope_theta > 0)
        for (int64_t i = 0; i < model_head_width(&config) / 2 && i < 8; i++)
            if (!isfinite(rope_frequency(&config, i)))
                abort();
    copy = strndup(text, (size_t)bytes);
    normalise(&config);
    for (int with = 0; with < 2; with++) {
        form.original = with ? copy : NULL;
        if (hf_config_print(&config, &form, &printed, &error) != STATUS_OK ||
            hf_config_parse(printed, (int64_t)strlen(printed), "printed", NULL, &back, &error) != STATUS_OK)
            abort();
        normalise(&back);
        if (!equal(&config, &back))
            abort();
        free(printed);
    }
    free(copy);
}

static void read_dropout(const char *text, int64_t bytes)
{
    struct hf_dropout dropout;
    struct error error = {0};
    json_t *root;

    if (strict_json_parse(text, bytes, "fuzz", &root, &error) != STATUS_OK)
        return;
    for (int i = 0; model_family_at(i) != NULL; i++)
        if (hf_dropout_parse(root, model_family_at(i), "fuzz", &dropout, &error) == STATUS_OK)
            for (int i = 0; i < dropout.count; i++)
                if (!(dropout.values[i] >= 0 && dropout.values[i] < 1))
                    abort();
    json_decref(root);
}

static void read_stops(const char *text, int64_t bytes)
{
    struct hf_stop_ids ids;
    struct error error = {0};
    bool named;
    int status = hf_stop_ids_parse(text, bytes, "fuzz", 1000, &ids, &named, &error);

    if (status != STATUS_OK && (error.message[0] == '\0' || error.status != STATUS_INPUT || ids.count != 0))
        abort();
    for (int64_t i = 0; i < ids.count; i++)
        if (!named || ids.ids[i] < 0 || ids.ids[i] >= 1000)
            abort();
    hf_stop_ids_finish(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"{\"model_type\":\"gpt2\",", "{\"model_type\":\"llama\","};
    const char *type;
    char *joined;

    if (size == 0)
        return 0;
    if (data[0] % 2 == 0) {
        read_and_print((const char *)data + 1, (int64_t)size - 1);
        read_stops((const char *)data + 1, (int64_t)size - 1);
        read_dropout((const char *)data + 1, (int64_t)size - 1);
        return 0;
    }
    type = types[data[0] / 2 % 2];
    joined = malloc(strlen(type) + size);
    memcpy(joined, type, strlen(type));
    memcpy(joined + strlen(type), data + 1, size - 1);
    read_and_print(joined, (int64_t)(strlen(type) + size - 1));
    read_dropout(joined, (int64_t)(strlen(type) + size - 1));
    free(joined);
    return 0;
}
