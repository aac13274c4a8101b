#include "huggingface/fields.h"

#include <stdlib.h>
#include <string.h>

/* Names, versions, token ids, types of storage, dropout, settings of generation, of attention kernels and of heads that
 * are not there: what transformers 2 to 5, Unsloth, nanotron and transformers.js write beside the fields that the
 * models read. reorder_and_upcast_attn only rounds differently; n_ctx and the other lengths are not read; auto_map
 * names code that is not run. In order. */
static const char *const harmless[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "_num_labels",
    "_pre_quantization_dtype",
    "architectures",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_implementation",
    "attn_pdrop",
    "author",
    "auto_map",
    "bad_words_ids",
    "base_model_ep_plan",
    "base_model_pp_plan",
    "base_model_tp_plan",
    "begin_suppress_tokens",
    "bos_token",
    "bos_token_id",
    "bos_token_ids",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "created_date",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "embed_dropout",
    "encoder_no_repeat_ngram_size",
    "eos_token",
    "eos_token_id",
    "eos_token_ids",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "flash_attention",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "license",
    "line_by_line",
    "logits_to_keep",
    "loss_type",
    "mask_token_id",
    "max_length",
    "max_new_tokens",
    "max_seq_len",
    "max_seq_length",
    "max_sequence_length",
    "max_window_layers",
    "min_length",
    "model_max_length",
    "model_type",
    "n_ctx",
    "name_or_path",
    "neftune_noise_alpha",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_logits_to_keep",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_past",
    "output_scores",
    "pad_token",
    "pad_token_id",
    "pad_token_ids",
    "predict_special_tokens",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "reorder_and_upcast_attn",
    "repetition_penalty",
    "resid_dropout",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "seq_length",
    "summary_activation",
    "summary_first_dropout",
    "summary_last_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention",
    "use_flash_attention_2",
    "use_flash_attn",
    "use_flash_attn_2",
    "use_return_dict",
    "xla_device",
};

/* Those that change nothing with one value, which is how models of GPT-2 and LLaMA have them. */
static const struct {
    const char *name, *value; /* JSON */
} harmless_as[] = {
    {"add_cross_attention", "false"},
    {"is_encoder_decoder", "false"},
    {"tie_encoder_decoder", "false"},
    {"rope_interleaved", "false"},
    {"use_sliding_window", "false"},
    {"qkv_bias", "false"},
    {"use_qk_norm", "false"},
    {"is_llama_config", "true"},
    {"is_causal", "true"},
    {"partial_rotary_factor", "1.0"},
    {"pruned_heads", "{}"},
    {"n_special", "0"},
    {"bias", "true"},
    {"use_parallel_residual", "false"},
    {"logit_scale", "1.0"},
    {"activation", "\"swiglu\""},
};

static int compare(const void *name, const void *row)
{
    return strcmp(name, *(const char *const *)row);
}

/* 1 and 1.0 are the same number. */
static bool is_value(const json_t *value, const char *text)
{
    json_t *wanted = json_loads(text, JSON_DECODE_ANY, NULL);
    bool same = json_is_number(wanted) && json_is_number(value) ? json_number_value(value) == json_number_value(wanted)
                                                                : json_equal(wanted, value) == 1;

    json_decref(wanted);
    return same;
}

/* The kind of attention of each layer, which of these families all have one. */
static bool is_full_attention(const json_t *value)
{
    size_t i;
    const json_t *layer;

    json_array_foreach((json_t *)value, i, layer)
    {
        if (!json_is_string(layer) || strcmp(json_string_value(layer), "full_attention") != 0)
            return false;
    }
    return json_is_array(value);
}

bool hf_field_changes_nothing(const char *name, const json_t *value)
{
    if (json_is_null(value) ||
        bsearch(name, harmless, sizeof harmless / sizeof harmless[0], sizeof harmless[0], compare))
        return true;
    for (size_t i = 0; i < sizeof harmless_as / sizeof harmless_as[0]; i++)
        if (strcmp(harmless_as[i].name, name) == 0)
            return is_value(value, harmless_as[i].value);
    return strcmp(name, "layer_types") == 0 && is_full_attention(value);
}
