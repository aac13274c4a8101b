/* What the files beside a vocabulary may ask for, and what is refused by its name. That the ids are those of
 * AutoTokenizer is proven by tests/golden/tokenizer_side_golden_test.c. */
#include <unistd.h>

#include "data/support.h"

#include "tokenizer/tokenizer.h"

#define NAMES "{\"eos_token\": \"ab\", \"bos_token\": \"ab\", \"unk_token\": null"

static char folder[256];

/* The 256 bytes in GPT-2's alphabet are 0 to 255, "ab" is 256. */
static void write_vocabulary(void)
{
    char text[8192];
    size_t used = (size_t)snprintf(text, sizeof text, "{");
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(text + used, sizeof text - used, "\"\\u%04x\": %d, ", visible ? byte : next++, byte);
    }
    snprintf(text + used, sizeof text - used, "\"ab\": 256}");
    write_text(folder, "vocab.json", text);
    write_text(folder, "merges.txt", "a b\n");
}

static int set_up(void **state)
{
    (void)state;
    make_test_folder(folder, sizeof folder);
    write_vocabulary();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void use_tokenizer_json(const char *name)
{
    char target[512], path[512];

    snprintf(target, sizeof target, LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/%s/tokenizer.json", name);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

/* In place of the file: that of gpt2, whose vocabulary lacks no byte, with "?" for the unknown token. */
static void name_unknown_token(void)
{
    static const char from[] = "\"unk_token\":null", to[] = "\"unk_token\":\"?\" ";
    static char text[65536];
    char path[512];
    FILE *file;
    size_t bytes;

    use_tokenizer_json("gpt2");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    file = fopen(path, "rb");
    assert_non_null(file);
    bytes = fread(text, 1, sizeof text - 1, file);
    assert_int_equal(fclose(file), 0);
    text[bytes] = '\0';
    unlink(path);
    assert_non_null(strstr(text, from));
    memcpy(strstr(text, from), to, sizeof to - 1);
    write_text(folder, "tokenizer.json", text);
}

static void expect_refusal(const char *message)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_INPUT);
    if (strstr(error.message, message) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, message);
}

static struct tokenizer *open_folder(void)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    if (tokenizer_open(folder, &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return tokenizer;
}

static void what_is_not_understood_is_refused_by_its_name(void **state)
{
    static const struct {
        const char *file, *text, *message;
    } cases[] = {
        {"tokenizer_config.json", "{\"tokenizer_class\": \"RobertaTokenizer\"}",
         "'tokenizer_class' is 'RobertaTokenizer'"},
        {"tokenizer_config.json", "{\"tokenizer_class\": 7}", "'tokenizer_class' has the wrong type"},
        {"tokenizer_config.json", "{\"add_eos_token\": true}", "'add_eos_token' is true"},
        {"tokenizer_config.json", "{\"add_bos_token\": 1}", "'add_bos_token' has the wrong type"},
        {"tokenizer_config.json", "{\"add_prefix_space\": \"yes\"}", "'add_prefix_space' has the wrong type"},
        {"tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\", \"add_prefix_space\": true}",
         "'add_prefix_space' is true, with which Qwen2Tokenizer"},
        {"tokenizer_config.json", "{\"split_special_tokens\": true}", "'split_special_tokens' is not understood"},
        {"tokenizer_config.json", "{\"fast_tokenizer_files\": [\"tokenizer.4.0.0.json\"]}", "'fast_tokenizer_files'"},
        {"tokenizer_config.json", "{\"additional_special_tokens\": \"<x>\"}",
         "'additional_special_tokens' has the wrong"},
        {"tokenizer_config.json", "{\"extra_special_tokens\": [7]}", "'extra_special_tokens' has the wrong type"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": []}", "'added_tokens_decoder' has the wrong type"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<x>\"}}}", "has a member 'x'"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"257\": \"<x>\"}}", "tokenizer_config.json"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"258\": {\"content\": \"<x>\"}}}",
         "the added token '<x>' has the id 258; transformers, which numbers them in their order, gives it 257"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"257\": {\"content\": \"\"}}}", "has 0 bytes"},
        {"tokenizer_config.json", "{\"pad_token\": []}", "'pad_token' has the wrong type"},
        {"added_tokens.json", "{\"<x>\": 258}", "the added token '<x>' has the id 258"},
        {"added_tokens.json", "{\"<x>\": \"257\"}", "the id of the token '<x>' is none"},
        {"added_tokens.json", "{\"<x>\": -1}", "the id of the token '<x>' is none"},
        {"added_tokens.json", "{\"<x>\": 99999999}", "the id of the token '<x>' is none"},
        {"added_tokens.json", "[\"<x>\"]", "added_tokens.json"},
        {"special_tokens_map.json", "{\"unk_token\": 7}", "'unk_token' has the wrong type"},
        {"special_tokens_map.json", "{", "special_tokens_map.json: not valid JSON"},
        {"config.json", "{\"model_type\": \"qwen2\"}", "'model_type' is 'qwen2'"},
        {"config.json", "{\"model_type\": \"roberta\"}", "'model_type' is 'roberta'"},
        {"config.json", "{\"model_type\": \"gpt2\", \"tokenizer_class\": \"BertTokenizer\"}",
         "'tokenizer_class' is 'Bert"},
    };
    char path[512];
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        write_text(folder, cases[number].file, cases[number].text);
        expect_refusal(cases[number].message);
        expect_refusal(cases[number].file);
        snprintf(path, sizeof path, "%s/%s", folder, cases[number].file);
        unlink(path);
    }
    tokenizer_close(open_folder());
}

/* AutoTokenizer builds the stages of the class and passes over those of the file. */
static void a_class_with_other_stages_than_tokenizer_json_is_refused(void **state)
{
    struct tokenizer *tokenizer;

    (void)state;
    use_tokenizer_json("llama3");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    expect_refusal("tokenizer_config.json: with its 'tokenizer_class' transformers takes another split");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
    tokenizer_close(open_folder());
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizerFast\"}");
    tokenizer_close(open_folder());
    use_tokenizer_json("gpt2_prefix");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    expect_refusal("transformers takes another 'add_prefix_space' than tokenizer.json has");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": true}");
    tokenizer_close(open_folder());
    use_tokenizer_json("qwen2");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2TokenizerFast\"}");
    tokenizer_close(open_folder());
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPTNeoXTokenizer\"}");
    expect_refusal("transformers takes another split");

    /* The unknown token of the file matters only where the vocabulary lacks a byte. */
    use_tokenizer_json("gaps_unknown");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    expect_refusal("transformers takes another 'unk_token' of the model");
    name_unknown_token();
    tokenizer_close(open_folder());

    /* The model's type may say that the class counts for nothing, and a checkpoint that its run has begun with it. */
    use_tokenizer_json("llama3");
    write_text(folder, "tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    write_text(folder, "config.json", "{\"model_type\": \"olmo2\"}");
    tokenizer_close(open_folder());
    write_text(folder, "config.json", "{\"model_type\": \"gpt2\"}");
    expect_refusal("'tokenizer_class'");
    write_text(folder, "manifest.json", "{}");
    tokenizer = open_folder();
    assert_int_equal(tokenizer_begin_of_text(tokenizer), 341);
    tokenizer_close(tokenizer);
}

/* GPT2Tokenizer adds "<|endoftext|>" of its own. A vocabulary without it that says nothing of tokens stays as it is: a
 * model that was trained with it has no row for it. */
static void a_vocabulary_grows_where_the_files_speak_of_tokens(void **state)
{
    struct tokenizer *tokenizer = open_folder();

    (void)state;
    assert_int_equal(tokenizer_vocabulary(tokenizer), 257);
    assert_int_equal(tokenizer_end_of_text(tokenizer), -1);
    tokenizer_close(tokenizer);
    write_text(folder, "config.json", "{\"model_type\": \"gpt2\"}");
    tokenizer = open_folder();
    assert_int_equal(tokenizer_vocabulary(tokenizer), 257);
    tokenizer_close(tokenizer);
    write_text(folder, "tokenizer_config.json", "{\"pad_token\": \"<pad>\", \"add_bos_token\": true}");
    tokenizer = open_folder();
    assert_int_equal(tokenizer_vocabulary(tokenizer), 259);
    assert_int_equal(tokenizer_end_of_text(tokenizer), 257);
    assert_int_equal(tokenizer_begin_of_text(tokenizer), 257);
    tokenizer_close(tokenizer);
}

/* A run goes on with a folder whose files say nothing that changes ids of text. */
static void the_hash_changes_where_ids_of_text_do(void **state)
{
    static const struct {
        const char *text;
        bool same;
    } cases[] = {
        {NAMES "}", true},
        {NAMES ", \"add_prefix_space\": true}", false},
        {NAMES ", \"add_bos_token\": true}", false},
        {NAMES ", \"tokenizer_class\": \"Qwen2Tokenizer\"}", false},
        {NAMES ", \"added_tokens_decoder\": {\"257\": {\"content\": "
               "\"<x>\"}}}",
         false},
    };
    struct tokenizer *plain, *tokenizer;
    size_t number;

    (void)state;
    write_text(folder, "tokenizer_config.json",
               "{\"eos_token\": \"ab\", \"bos_token\": \"ab\", \"unk_token\": \"ab\"}");
    plain = open_folder();
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        write_text(folder, "tokenizer_config.json", cases[number].text);
        tokenizer = open_folder();
        assert_int_equal(tokenizer_hash(tokenizer) == tokenizer_hash(plain), cases[number].same);
        tokenizer_close(tokenizer);
    }
    tokenizer_close(plain);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_is_not_understood_is_refused_by_its_name),
        IN_A_FOLDER(a_class_with_other_stages_than_tokenizer_json_is_refused),
        IN_A_FOLDER(a_vocabulary_grows_where_the_files_speak_of_tokens),
        IN_A_FOLDER(the_hash_changes_where_ids_of_text_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
