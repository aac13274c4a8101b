/* Which token ends a text: data.md, "End of text". */
#include <unistd.h>

#include "data/support.h"

#include "tokenizer/tokenizer.h"

#define TOKENIZER                                                                                                      \
    LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/gpt2/tokenizer.json" /* 340 <|endoftext|>, 341 <|begin|> */

static char folder[256];

static int make_folder(void **state)
{
    char path[300];

    (void)state;
    make_test_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    return symlink(TOKENIZER, path);
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void expect_end(int32_t wanted)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    if (tokenizer_open(folder, &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(tokenizer_end_of_text(tokenizer), wanted);
    tokenizer_close(tokenizer);
}

static void expect_refusal(const char *message)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_INPUT);
    if (strstr(error.message, message) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, message);
}

static void without_a_config_the_known_name_decides(void **state)
{
    (void)state;
    expect_end(340);
}

static void the_config_names_the_token_as_a_text_or_as_an_object(void **state)
{
    (void)state;
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": \"<|begin|>\"}");
    expect_end(341);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": {\"content\": \"<mask>\", \"lstrip\": false}}");
    expect_end(342);
}

static void a_config_as_transformers_writes_it_is_read(void **state)
{
    (void)state;
    write_text(folder, "tokenizer_config.json",
               "{\"add_prefix_space\": null, \"backend\": \"tokenizers\", \"eos_token\": \"<|begin|>\",\n"
               "\"model_max_length\": 1000000000000000019884624838656, \"unk_token\": \"<|endoftext|>\"}");
    expect_end(341);
}

/* As transformers 5.24.0 reads them. */
static void the_map_of_special_tokens_decides_unless_the_config_lists_the_tokens(void **state)
{
    (void)state;
    write_text(folder, "special_tokens_map.json", "{\"eos_token\": \"<|begin|>\"}");
    expect_end(341);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": null}");
    expect_end(341);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": \"<mask>\"}");
    expect_end(341);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": \"<mask>\", \"added_tokens_decoder\": {}}");
    expect_end(342);
}

static void a_token_that_the_vocabulary_does_not_hold_is_refused(void **state)
{
    (void)state;
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": \"<nowhere>\"}");
    expect_refusal("tokenizer_config.json: 'eos_token' is '<nowhere>', which is no token of the vocabulary");
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": 7}");
    expect_refusal("tokenizer_config.json: 'eos_token' has the wrong type");
    write_text(folder, "tokenizer_config.json", "{");
    expect_refusal("tokenizer_config.json: not valid JSON");
}

static void another_end_of_text_is_another_tokenizer(void **state)
{
    struct tokenizer *first = NULL, *second = NULL;

    (void)state;
    assert_int_equal(tokenizer_open(folder, &first, NULL), STATUS_OK);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\": \"<mask>\"}");
    assert_int_equal(tokenizer_open(folder, &second, NULL), STATUS_OK);
    assert_int_not_equal(tokenizer_hash(first), tokenizer_hash(second));
    tokenizer_close(first);
    tokenizer_close(second);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(without_a_config_the_known_name_decides),
        IN_A_FOLDER(the_config_names_the_token_as_a_text_or_as_an_object),
        IN_A_FOLDER(a_config_as_transformers_writes_it_is_read),
        IN_A_FOLDER(the_map_of_special_tokens_decides_unless_the_config_lists_the_tokens),
        IN_A_FOLDER(a_token_that_the_vocabulary_does_not_hold_is_refused),
        IN_A_FOLDER(another_end_of_text_is_another_tokenizer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
