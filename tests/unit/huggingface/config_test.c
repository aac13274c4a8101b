/* config.json: what is read of it, what is refused by name, and what is written reads back as the same. Values and keys
 * are those that transformers 5.23.0 writes for GPT2Config and LlamaConfig, and 4.x for the older spellings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "huggingface/config.h"
#include "model/family.h"

#define GPT2  "{\"model_type\":\"gpt2\""
#define LLAMA "{\"model_type\":\"llama\""

static struct model_config read(const char *text)
{
    struct model_config config;
    struct error error = {0};

    if (hf_config_parse(text, (int64_t)strlen(text), "config.json", NULL, &config, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return config;
}

static void assert_refused(const char *text, const char *part)
{
    struct model_config config;
    struct error error = {0};

    assert_int_equal(hf_config_parse(text, (int64_t)strlen(text), "m/config.json", NULL, &config, &error),
                     STATUS_INPUT);
    assert_int_equal(error.status, STATUS_INPUT);
    if (strstr(error.message, part) == NULL || strncmp(error.message, "m/config.json", 13) != 0)
        fail_msg("'%s' has no '%s'", error.message, part);
}

static void a_gpt2_config_of_transformers_is_read(void **state)
{
    const struct model_config config =
        read(GPT2 ",\"activation_function\":\"gelu_new\",\"add_cross_attention\":false,\"architectures\":["
                  "\"GPT2LMHeadModel\"],\"attn_pdrop\":0.1,\"bos_token_id\":50256,\"dtype\":\"float32\",\"n_embd\":64,"
                  "\"n_head\":4,\"n_inner\":null,\"n_layer\":2,\"n_positions\":48,\"n_ctx\":1024,\"vocab_size\":500,"
                  "\"layer_norm_epsilon\":1e-06,\"reorder_and_upcast_attn\":false,\"scale_attn_by_inverse_layer_idx\":"
                  "false,\"scale_attn_weights\":true,\"summary_type\":\"cls_index\",\"tie_word_embeddings\":true,"
                  "\"task_specific_params\":{\"text-generation\":{\"do_sample\":true}},\"use_cache\":true}");

    (void)state;
    assert_ptr_equal(config.family, &family_gpt2);
    assert_int_equal(config.n_layer, 2);
    assert_int_equal(config.n_embd, 64);
    assert_int_equal(config.n_head, 4);
    assert_int_equal(config.n_inner, 0);
    assert_int_equal(config.n_positions, 48);
    assert_int_equal(config.vocab_size, 500);
    assert_true(config.layer_norm_epsilon == 1e-6);
}

static void absent_keys_have_the_defaults_of_transformers(void **state)
{
    const struct model_config gpt2 = read(GPT2 "}"), llama = read(LLAMA "}");

    (void)state;
    assert_int_equal(gpt2.n_layer, 12);
    assert_int_equal(gpt2.vocab_size, 50257);
    assert_true(gpt2.tie_word_embeddings);
    assert_int_equal(llama.n_layer, 32);
    assert_int_equal(llama.n_inner, 11008);
    assert_true(llama.rope_theta == 10000 && llama.layer_norm_epsilon == 1e-6);
    assert_false(llama.tie_word_embeddings);
    assert_false(read(GPT2 ",\"tie_word_embeddings\":false}").tie_word_embeddings);
}

static void both_spellings_of_rope_are_read(void **state)
{
    static const char *const texts[] = {
        LLAMA ",\"rope_theta\":500000.0,\"rope_scaling\":{\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":"
              "4.0,\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}}",
        LLAMA ",\"rope_parameters\":{\"rope_theta\":500000.0,\"factor\":8.0,\"low_freq_factor\":1.0,"
              "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}}"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct model_config config = read(texts[i]);

        assert_true(config.rope_theta == 500000 && config.rope_factor == 8);
        assert_int_equal(config.rope_scaling, ROPE_LLAMA3);
        assert_int_equal(config.rope_original_positions, 8192);
    }
    assert_int_equal(read(LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0}}").rope_scaling, ROPE_LINEAR);
    assert_int_equal(read(LLAMA ",\"rope_scaling\":null}").rope_scaling, ROPE_UNSCALED);
}

/* As a file that two versions of transformers have written. */
static void of_two_places_for_rope_none_wins_by_its_order(void **state)
{
    static const char *const linear[] = {
        LLAMA ",\"rope_scaling\":null,\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0}}",
        LLAMA ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0},\"rope_scaling\":null}",
        LLAMA ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0},\"rope_scaling\":{\"rope_type\":"
              "\"linear\",\"factor\":2.0}}"};

    (void)state;
    for (size_t i = 0; i < sizeof linear / sizeof linear[0]; i++)
        assert_int_equal(read(linear[i]).rope_scaling, ROPE_LINEAR);
    assert_refused(LLAMA
                   ",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.0},\"rope_scaling\":{\"rope_type\":"
                   "\"linear\",\"factor\":4.0}}",
                   "rope_scaling and rope_parameters are both there and differ");
    assert_refused(LLAMA ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e4},\"rope_theta\":5e5}",
                   "rope_theta and rope_parameters.rope_theta are both there and differ");
    /* transformers takes the inner one */
    assert_refused(LLAMA ",\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":1e4},\"rope_theta\":5e5}",
                   "rope_theta and rope_scaling.rope_theta are both there and differ");
    assert_true(read(LLAMA ",\"rope_theta\":5e5,\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}}")
                    .rope_theta == 5e5);
}

static void a_field_that_may_change_the_computation_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(GPT2 ",\"sliding_window\":128}", "'sliding_window' is not known for GPT-2");
    assert_refused(LLAMA ",\"quantization_config\":{}}", "'quantization_config' is not known for LLaMA");
    assert_refused(GPT2 ",\"rope_theta\":1e4}", "'rope_theta' is not known for GPT-2");
    assert_refused(GPT2 ",\"is_encoder_decoder\":true}", "is_encoder_decoder");
    assert_refused(GPT2 ",\"activation_function\":\"gelu\"}", "activation_function is 'gelu'");
    assert_refused(GPT2 ",\"scale_attn_by_inverse_layer_idx\":true}", "scale_attn_by_inverse_layer_idx is 'true'");
    assert_refused(GPT2 ",\"scale_attn_weights\":false}", "scale_attn_weights is 'false'");
    assert_refused(LLAMA ",\"hidden_act\":\"gelu\"}", "hidden_act is 'gelu'");
    assert_refused(LLAMA ",\"attention_bias\":true}", "attention_bias is 'true'");
    assert_refused(LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2.0}}", "rope_type 'yarn'");
    assert_int_equal(read(GPT2 ",\"sliding_window\":null}").n_layer, 12);
}

/* What transformers 4.44 writes of every config (to_json_string without use_diff). */
static const char everything[] =
    ",\"return_dict\":true,\"output_hidden_states\":false,\"output_attentions\":false,"
    "\"torchscript\":false,\"torch_dtype\":\"float16\",\"use_bfloat16\":false,"
    "\"tf_legacy_loss\":false,\"pruned_heads\":{},\"tie_word_embeddings\":false,"
    "\"chunk_size_feed_forward\":0,\"is_encoder_decoder\":false,\"is_decoder\":false,"
    "\"cross_attention_hidden_size\":null,\"add_cross_attention\":false,"
    "\"tie_encoder_decoder\":false,\"max_length\":20,\"min_length\":0,\"do_sample\":false,"
    "\"early_stopping\":false,\"num_beams\":1,\"num_beam_groups\":1,\"diversity_penalty\":0.0,"
    "\"temperature\":1.0,\"top_k\":50,\"top_p\":1.0,\"typical_p\":1.0,\"repetition_penalty\":1.0,"
    "\"length_penalty\":1.0,\"no_repeat_ngram_size\":0,\"encoder_no_repeat_ngram_size\":0,"
    "\"bad_words_ids\":null,\"num_return_sequences\":1,\"output_scores\":false,"
    "\"return_dict_in_generate\":false,\"forced_bos_token_id\":null,\"forced_eos_token_id\":null,"
    "\"remove_invalid_values\":false,\"exponential_decay_length_penalty\":null,"
    "\"suppress_tokens\":null,\"begin_suppress_tokens\":null,\"finetuning_task\":null,"
    "\"id2label\":{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"},\"label2id\":{\"LABEL_0\":0,\"LABEL_1\":1},"
    "\"tokenizer_class\":null,\"prefix\":null,\"bos_token_id\":1,\"pad_token_id\":0,"
    "\"eos_token_id\":2,\"sep_token_id\":null,\"decoder_start_token_id\":null,"
    "\"task_specific_params\":null,\"problem_type\":null,\"_name_or_path\":\"x\","
    "\"_attn_implementation_autoset\":true,\"xla_device\":null,\"quantization_config\":null";

static struct model_config read_with(const char *family, const char *fields)
{
    char text[4096];

    snprintf(text, sizeof text, "%s%s}", family, fields);
    return read(text);
}

/* Fields of public models, by their config.json: SmolLM2, Unsloth's copies, Llama-2, Falcon3, distilgpt2, KoGPT2. */
static void fields_that_change_nothing_are_read(void **state)
{
    static const char *const llamas[] = {
        ",\"is_llama_config\":true,\"rope_interleaved\":false,"
        "\"transformers.js_config\":{\"dtype\":\"q4\"}",
        ",\"unsloth_fixed\":true,\"unsloth_version\":\"2025.1.1\",\"pretraining_tp\":2,"
        "\"_pre_quantization_dtype\":\"bfloat16\"",
        ",\"auto_map\":{\"AutoModelForCausalLM\":\"m.C\"},\"hidden_dropout\":0.1,"
        "\"max_sequence_length\":2048,\"partial_rotary_factor\":1",
        ",\"layer_types\":[\"full_attention\",\"full_attention\"],\"max_window_layers\":28,\"loss_type\":"
        "\"ForCausalLM\","
        "\"base_model_tp_plan\":{\"layers.*.self_attn.q_proj\":\"colwise\"},\"neftune_noise_alpha\":5",
        ",\"pretraining_tp\":null,\"use_sliding_window\":false,\"is_causal\":true,\"qkv_bias\":false",
    };

    (void)state;
    assert_int_equal(read_with(LLAMA, ",\"activation\":\"swiglu\"").n_layer, 32);
    assert_false(read_with(LLAMA, everything).tie_word_embeddings);
    for (size_t i = 0; i < sizeof llamas / sizeof llamas[0]; i++)
        assert_int_equal(read_with(LLAMA, llamas[i]).n_layer, 32);
    assert_int_equal(read_with(GPT2, ",\"_num_labels\":1,\"predict_special_tokens\":true,\"eos_token_ids\":[1],"
                                     "\"output_past\":true,\"pruned_heads\":{},\"is_decoder\":true,"
                                     "\"num_labels\":2,\"n_special\":0,\"author\":\"x\",\"created_date\":\"x\","
                                     "\"license\":\"x\",\"gradient_checkpointing\":false")
                         .n_layer,
                     12);
    assert_int_equal(read_with(LLAMA, ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e4,"
                                      "\"partial_rotary_factor\":1.0,\"factor\":null}")
                         .n_layer,
                     32);
}

/* Qwen2Config(), Qwen3Config() and MistralConfig() of transformers 5.24.0, and what the published models have beside
 * them. */
static void what_transformers_writes_for_a_family_is_read(void **state)
{
    static const char common[] =
        ",\"attention_dropout\":0.0,\"bos_token_id\":null,\"chunk_size_feed_forward\":0,\"dtype\":null,"
        "\"eos_token_id\":null,\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02,"
        "\"is_encoder_decoder\":false,\"num_attention_heads\":32,\"num_hidden_layers\":2,\"pad_token_id\":null,"
        "\"rms_norm_eps\":1e-06,\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"},"
        "\"tie_word_embeddings\":false,\"use_cache\":true";
    static const char qwen[] = ",\"layer_types\":[\"full_attention\",\"full_attention\"],\"max_window_layers\":28,"
                               "\"sliding_window\":131072,\"use_sliding_window\":false,\"vocab_size\":151936";
    struct model_config config;
    char text[2048];

    (void)state;
    snprintf(text, sizeof text, "{\"model_type\":\"qwen2\"%s%s}", common, qwen);
    config = read(text);
    assert_ptr_equal(config.family, &family_qwen2);
    assert_int_equal(model_context(&config), 32768); /* it is not used */
    snprintf(text, sizeof text, "{\"model_type\":\"qwen3\",\"head_dim\":128,\"attention_bias\":false%s%s}", common,
             qwen);
    config = read(text);
    assert_ptr_equal(config.family, &family_qwen3);
    assert_int_equal(model_head_width(&config), 128);
    snprintf(text, sizeof text, "{\"model_type\":\"mistral\",\"head_dim\":128,\"sliding_window\":4096%s}", common);
    config = read(text);
    assert_ptr_equal(config.family, &family_mistral);
    assert_int_equal(model_context(&config), 4096);
    snprintf(text, sizeof text, "{\"model_type\":\"mistral\",\"sliding_window\":null%s}", common);
    config = read(text);
    assert_int_equal(model_context(&config), 131072);
}

static void a_window_that_is_not_computed_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"model_type\":\"qwen2\",\"use_sliding_window\":true}",
                   "use_sliding_window is 'true'; Qwen2 here has false");
    assert_refused("{\"model_type\":\"qwen3\",\"layer_types\":[\"sliding_attention\"]}", "layer_types");
    assert_refused("{\"model_type\":\"qwen3\",\"attention_bias\":true}",
                   "attention_bias is 'true'; Qwen3 here has false");
    assert_refused("{\"model_type\":\"mistral\",\"sliding_window\":0}", "sliding_window is '0'");
}

/* ACT2FN of transformers 5.24.0: tanh's approximation under three names, x sigmoid(x) under two. */
static void names_of_the_same_function_are_read(void **state)
{
    (void)state;
    assert_int_equal(read(GPT2 ",\"activation_function\":\"gelu_pytorch_tanh\"}").n_layer, 12);
    assert_int_equal(read(GPT2 ",\"activation_function\":\"gelu_fast\"}").n_layer, 12);
    assert_int_equal(read(LLAMA ",\"hidden_act\":\"swish\"}").n_layer, 32);
    assert_refused(GPT2 ",\"activation_function\":\"gelu_new|gelu_fast\"}", "GPT-2 here has gelu_new");
    assert_refused(GPT2 ",\"activation_function\":\"gelu_\"}", "activation_function is 'gelu_'");
    assert_refused(LLAMA ",\"hidden_act\":\"\"}", "hidden_act is ''");
}

static void the_same_fields_with_values_that_change_the_model_are_refused(void **state)
{
    static const char *const values[] = {
        "\"n_special\":2",
        "\"activation\":\"gelu\"",
        "\"rope_interleaved\":true",
        "\"is_llama_config\":false",
        "\"pruned_heads\":{\"0\":[1]}",
        "\"is_causal\":false",
        "\"partial_rotary_factor\":0.5",
        "\"tie_encoder_decoder\":true",
        "\"add_cross_attention\":true",
        "\"use_sliding_window\":true",
        "\"qkv_bias\":true",
        "\"is_encoder_decoder\":true",
        "\"quantization_config\":{\"bits\":4}",
        "\"pretraining_tp\":0",
        "\"pretraining_tp\":\"2\"",
        "\"attention_bias\":true",
        "\"rope_interleaved\":0",
        "\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
        "\"layer_types\":\"full_attention\"",
        "\"hidden_size\":0",
        "\"rope_parameters\":{\"rope_theta\":1e4,\"partial_rotary_factor\":0.5}",
    };
    char text[256], name[64];

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(text, sizeof text, LLAMA ",%s}", values[i]);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(values[i] + 1, "\""), values[i] + 1);
        assert_refused(text, name);
    }
}

/* GPT2Config of transformers 5.24 takes them for n_embd and so on; in LLaMA they are the fields themselves. */
static void gpt2_has_other_names_for_its_extents(void **state)
{
    char *names[] = {"hidden_size"};
    const struct hf_ignored ignored = {names, 1};
    static const char text[] = GPT2 ",\"hidden_size\":96}";
    struct model_config config =
        read(GPT2 ",\"hidden_size\":96,\"num_attention_heads\":6,\"num_hidden_layers\":3,\"n_layer\":3,"
                  "\"max_position_embeddings\":40}");
    struct error error;

    (void)state;
    assert_int_equal(config.n_embd, 96);
    assert_int_equal(config.n_head, 6);
    assert_int_equal(config.n_layer, 3);
    assert_int_equal(config.n_positions, 40);
    assert_refused(GPT2 ",\"hidden_size\":96,\"n_embd\":48}",
                   "hidden_size and n_embd, which mean the same, are both there and differ");
    assert_refused(GPT2 ",\"hidden_size\":\"96\"}", "n_embd is '96', a string");
    assert_int_equal(hf_config_parse(text, sizeof text - 1, "c", &ignored, &config, &error), STATUS_USAGE);
}

static int ignore(const char *text, char **names, int64_t count, struct error *error)
{
    const struct hf_ignored ignored = {names, count};
    struct model_config config;

    return hf_config_parse(text, (int64_t)strlen(text), "m/config.json", &ignored, &config, error);
}

static void a_field_is_passed_over_where_that_is_asked_for(void **state)
{
    char *both[] = {"experts", "rope_interleaved"};
    struct error error = {0};

    (void)state;
    assert_int_equal(ignore(LLAMA ",\"experts\":8,\"rope_interleaved\":true}", both, 2, &error), STATUS_OK);
    assert_int_equal(ignore(LLAMA ",\"experts\":8,\"rope_interleaved\":true}", both, 1, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "model.ignore '[rope_interleaved]' passes over it"));
}

static void a_name_to_pass_over_that_is_not_there_or_is_read_is_refused(void **state)
{
    static const char text[] = LLAMA ",\"attention_bias\":true,\"eos_token_id\":2,\"attention_dropout\":0.5}";
    static const struct {
        char *name, *part;
    } refused[] = {
        {"experts", "model.ignore names 'experts', and m/config.json has no such field"},
        {"attention_bias", "model.ignore names 'attention_bias' of m/config.json, which is read"},
        {"attention_dropout", "'attention_dropout' of m/config.json, which is read"},
        {"model_type", "'model_type' of m/config.json, which is read"},
        {"eos_token_id", "'eos_token_id' of m/config.json, which is read"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct error error = {0};
        char *name = refused[i].name;

        assert_int_equal(ignore(text, &name, 1, &error), STATUS_USAGE);
        if (strstr(error.message, refused[i].part) == NULL)
            fail_msg("'%s' has no '%s'", error.message, refused[i].part);
    }
}

static void what_cannot_be_a_model_is_refused(void **state)
{
    (void)state;
    assert_refused("{}", "'model_type' is missing");
    assert_refused("{\"model_type\":\"mamba\"}",
                   "model_type is 'mamba'; gpt2, llama, mistral, qwen2 and qwen3 can be read");
    assert_refused("[]", "no object");
    assert_refused(GPT2 ",\"n_layer\":0}", "n_layer is '0'");
    assert_refused(GPT2 ",\"n_layer\":2.5}", "n_layer is '2.5'");
    assert_refused(GPT2 ",\"n_layer\":\"two\"}", "n_layer is 'two'");
    assert_refused(GPT2 ",\"n_layer\":9223372036854775807}", "n_layer is '9223372036854775807'");
    assert_refused(GPT2 ",\"n_layer\":9223372036854775808}", "not valid JSON");
    assert_refused(GPT2 ",\"n_layer\":2,\"n_layer\":3}", "not valid JSON");
    assert_refused(GPT2 ",\"n_head\":5}", "5");
    assert_refused(GPT2 ",\"n_embd\":1073741824,\"n_inner\":1073741824,\"n_head\":1,\"n_layer\":1000}", "63 bits");
    assert_refused(GPT2 ",\"n_layer\":[[[1]]]}", "n_layer is '[[[1]]]'");
}

/* transformers takes "false" for true, as Python does with every string that is not empty. */
static void a_string_where_another_type_belongs_is_refused(void **state)
{
    (void)state;
    assert_refused(GPT2 ",\"n_layer\":\"2\"}", "n_layer is '2', a string; a value of another type is wanted");
    assert_refused(GPT2 ",\"n_inner\":\"null\"}", "n_inner is 'null', a string");
    assert_refused(GPT2 ",\"layer_norm_epsilon\":\"1e-5\"}", "layer_norm_epsilon is '1e-5', a string");
    assert_refused(GPT2 ",\"scale_attn_weights\":\"true\"}", "scale_attn_weights is 'true', a string");
    assert_refused(LLAMA ",\"attention_bias\":\"false\"}", "attention_bias is 'false', a string");
    assert_refused(LLAMA ",\"tie_word_embeddings\":\"true\"}", "tie_word_embeddings is 'true', a string");
    assert_refused(LLAMA ",\"rope_theta\":\"1e4\"}", "rope_theta is '1e4', a string");
    assert_refused(LLAMA ",\"rope_scaling\":\"{}\"}", "rope_scaling is '{}', a string");
}

static void a_value_of_the_wrong_type_or_size_is_refused(void **state)
{
    (void)state;
    assert_refused(GPT2 ",\"n_layer\":true}", "n_layer is 'true'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":null}", "n_layer is 'null'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":{\"a\":2}}", "n_layer is '{\"a\":2}'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":2.0}", "n_layer is '2.0'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":-1}", "n_layer is '-1'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":1099511627776}", "n_layer is '1099511627776'; a whole number");
    assert_refused(GPT2 ",\"n_layer\":1000000}", "n_layer is 1000000; at most 1000 layers");
    assert_refused(GPT2 ",\"n_layer\":NaN}", "not valid JSON");
    assert_refused(GPT2 ",\"n_layer\":Infinity}", "not valid JSON");
    assert_refused(GPT2 ",\"n_layer\":1e99999}", "not valid JSON");
    assert_refused(GPT2 ",\"layer_norm_epsilon\":0}", "layer_norm_epsilon is '0'");
    assert_refused(GPT2 ",\"layer_norm_epsilon\":true}", "layer_norm_epsilon is 'true'");
    assert_refused(GPT2 ",\"scale_attn_weights\":1}", "scale_attn_weights is '1'");
    assert_refused(GPT2 ",\"tie_word_embeddings\":0}", "tie_word_embeddings is '0'");
    assert_refused(GPT2 ",\"activation_function\":true}", "activation_function is 'true'");
    assert_refused(LLAMA ",\"tie_word_embeddings\":1}", "tie_word_embeddings is '1'");
    assert_refused(LLAMA ",\"head_dim\":7}", "a head is 7 wide");
    assert_refused("{\"model_type\":[\"gpt2\"]}", "'model_type' has the wrong type");
    assert_refused(GPT2 ",\"\\ud800\":1}", "not valid JSON");
    assert_refused(GPT2 ",\"\xff\":1}", "not valid JSON");
    assert_refused(GPT2 ",\"a\\nb\\u001b[2J\":1}", "the field 'a?b?[2J' is not known");
}

static void ten_thousand_levels_of_json_are_refused_before_they_are_parsed(void **state)
{
    char *text = malloc(20100);

    (void)state;
    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', 10000);
    memset(text + 10005, ']', 10000);
    memcpy(text + 20005, "}", 2);
    assert_refused(text, "nested deeper than 64");
    free(text);
}

static void a_nul_between_tokens_is_refused(void **state)
{
    static const char text[] = GPT2 ",\"n_layer\":3\0}";
    struct model_config config;
    struct error error = {0};

    (void)state;
    assert_int_equal(hf_config_parse(text, sizeof text - 1, "c", NULL, &config, &error), STATUS_INPUT);
    assert_string_equal(error.message, "c: not valid JSON at byte 32: it is a NUL");
}

static void assert_prints_the_same(const struct model_config *config, const char *original, bool new_ids,
                                   const char *const *parts)
{
    const struct hf_config_form form = {
        .original = original, .dtype = LLMRUN_BF16, .new_ids = new_ids, .end_of_text = 7};
    struct error error = {0};
    struct model_config back;
    char *text;

    if (hf_config_print(config, &form, &text, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    back = read(text);
    for (; *parts != NULL; parts++)
        if (strstr(text, *parts) == NULL)
            fail_msg("%s has no %s", text, *parts);
    assert_int_equal(back.family, config->family);
    assert_int_equal(back.n_layer, config->n_layer);
    assert_int_equal(back.n_embd, config->n_embd);
    assert_int_equal(back.n_head, config->n_head);
    assert_int_equal(model_kv_heads(&back), model_kv_heads(config));
    assert_int_equal(model_head_width(&back), model_head_width(config));
    assert_int_equal(model_inner(&back), model_inner(config));
    assert_int_equal(back.n_positions, config->n_positions);
    assert_int_equal(back.vocab_size, config->vocab_size);
    assert_true(back.layer_norm_epsilon == config->layer_norm_epsilon);
    assert_true(back.initializer_range == config->initializer_range);
    assert_int_equal(back.tie_word_embeddings, config->tie_word_embeddings);
    assert_int_equal(back.rope_scaling, config->rope_scaling);
    assert_true(back.rope_theta == config->rope_theta && back.rope_factor == config->rope_factor);
    assert_int_equal(back.rope_original_positions, config->rope_original_positions);
    free(text);
}

static void what_is_written_reads_back_as_the_same(void **state)
{
    static const char *const gpt2_parts[] = {"\"architectures\": [\n    \"GPT2LMHeadModel\"",
                                             "\"n_inner\": null",
                                             "\"torch_dtype\": \"bfloat16\"",
                                             "\"eos_token_id\": 7",
                                             "\"attn_pdrop\": 0.0",
                                             NULL};
    static const char *const untied_parts[] = {"\"tie_word_embeddings\": false", NULL};
    static const char *const llama_parts[] = {"LlamaForCausalLM", "\"rope_type\": \"llama3\"", NULL};
    struct model_config config;

    (void)state;
    assert_int_equal(model_preset("gpt2-xl", &config, NULL), STATUS_OK);
    assert_prints_the_same(&config, NULL, false, gpt2_parts);
    config.tie_word_embeddings = false;
    assert_prints_the_same(&config, NULL, false, untied_parts);
    assert_prints_the_same(&config, GPT2 ",\"tie_word_embeddings\":true}", false, untied_parts);
    config = read(LLAMA ",\"num_key_value_heads\":8,\"head_dim\":64,\"tie_word_embeddings\":true,\"rope_scaling\":{"
                        "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                        "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}}");
    assert_prints_the_same(&config, NULL, false, llama_parts);
}

static void other_fields_of_the_original_stay(void **state)
{
    static const char *const parts[] = {"\"bos_token_id\": 50256", "\"vocab_size\": 11", "\"resid_pdrop\": 0.3",
                                        "\"torch_dtype\": \"bfloat16\"", NULL};
    static const char original[] =
        GPT2 ",\"bos_token_id\":50256,\"resid_pdrop\":0.3,\"vocab_size\":10,\"dtype\":\"x\"}";
    struct model_config config = read(original);

    (void)state;
    config.vocab_size = 11;
    assert_prints_the_same(&config, original, false, parts);
}

static void other_names_of_extents_do_not_contradict_new_ones(void **state)
{
    static const char *const parts[] = {"\"n_layer\": 3", NULL};
    static const char original[] = GPT2 ",\"num_hidden_layers\":2,\"hidden_size\":24}";
    struct model_config config = read(original);

    (void)state;
    assert_int_equal(config.n_embd, 24);
    config.n_layer = 3;
    assert_prints_the_same(&config, original, false, parts);
}

static void ids_of_another_vocabulary_are_replaced(void **state)
{
    static const char *const parts[] = {"\"bos_token_id\": 7", "\"eos_token_id\": 7", "\"resid_pdrop\": 0.3", NULL};
    static const char original[] = GPT2 ",\"bos_token_id\":50256,\"eos_token_id\":[1,2],\"pad_token_id\":50257,"
                                        "\"resid_pdrop\":0.3,\"vocab_size\":10}";
    struct hf_config_form form = {.original = original, .dtype = LLMRUN_F32, .new_ids = true, .end_of_text = -1};
    struct model_config config = read(original);
    char *text;

    (void)state;
    assert_prints_the_same(&config, original, true, parts);
    assert_int_equal(hf_config_print(&config, &form, &text, NULL), STATUS_OK);
    assert_non_null(strstr(text, "\"eos_token_id\": null"));
    assert_null(strstr(text, "pad_token_id"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpt2_config_of_transformers_is_read),
        cmocka_unit_test(absent_keys_have_the_defaults_of_transformers),
        cmocka_unit_test(both_spellings_of_rope_are_read),
        cmocka_unit_test(of_two_places_for_rope_none_wins_by_its_order),
        cmocka_unit_test(a_field_that_may_change_the_computation_is_refused_by_name),
        cmocka_unit_test(fields_that_change_nothing_are_read),
        cmocka_unit_test(what_transformers_writes_for_a_family_is_read),
        cmocka_unit_test(a_window_that_is_not_computed_is_refused),
        cmocka_unit_test(names_of_the_same_function_are_read),
        cmocka_unit_test(the_same_fields_with_values_that_change_the_model_are_refused),
        cmocka_unit_test(gpt2_has_other_names_for_its_extents),
        cmocka_unit_test(a_field_is_passed_over_where_that_is_asked_for),
        cmocka_unit_test(a_name_to_pass_over_that_is_not_there_or_is_read_is_refused),
        cmocka_unit_test(what_cannot_be_a_model_is_refused),
        cmocka_unit_test(a_string_where_another_type_belongs_is_refused),
        cmocka_unit_test(a_value_of_the_wrong_type_or_size_is_refused),
        cmocka_unit_test(ten_thousand_levels_of_json_are_refused_before_they_are_parsed),
        cmocka_unit_test(a_nul_between_tokens_is_refused),
        cmocka_unit_test(what_is_written_reads_back_as_the_same),
        cmocka_unit_test(other_fields_of_the_original_stay),
        cmocka_unit_test(other_names_of_extents_do_not_contradict_new_ones),
        cmocka_unit_test(ids_of_another_vocabulary_are_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
