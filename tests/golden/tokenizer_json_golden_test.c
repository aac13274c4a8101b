/* Ids of 400 strings by a tokenizer.json of each kind, as Hugging Face tokenizers gave them (make_tokenizers.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tokenizer/tokenizer.h"

#define GOLDEN LLMRUN_SOURCE_DIR "/tests/golden/"

static uint64_t add_id(uint64_t hash, int32_t id)
{
    int shift;

    for (shift = 0; shift < 32; shift += 8)
        hash = (hash ^ (unsigned char)((uint32_t)id >> shift)) * 0x100000001B3ull;
    return hash;
}

static void compare_row(const struct tokenizer *tokenizer, json_t *row, const char *name, int number)
{
    json_t *text = json_object_get(row, "text");
    int64_t bytes = (int64_t)json_string_length(text), index;
    uint64_t hash = 0xCBF29CE484222325ull;
    struct token_list ids = {0};
    char found[20];

    assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text), bytes, &ids, NULL), STATUS_OK);
    assert_int_equal(token_list_reserve(&ids, 1, NULL), STATUS_OK);
    ids.ids[ids.count++] = -1;
    assert_int_equal(tokenizer_encode_special(tokenizer, json_string_value(text), bytes, &ids, NULL), STATUS_OK);
    for (index = 0; index < ids.count; index++)
        hash = add_id(hash, ids.ids[index]);
    snprintf(found, sizeof found, "%016llx", (unsigned long long)hash);
    if (strcmp(found, json_string_value(json_object_get(row, name))) != 0)
        fail_msg("line %d: other ids than those of Hugging Face", number);
    free(ids.ids);
}

/* `end_of_text`: the first added token, right behind the vocabulary. */
static void compare(const char *name, int32_t begin_of_text, int32_t end_of_text)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    char path[1024], line[8192];
    FILE *file = fopen(GOLDEN "tokenizers_golden.jsonl", "rb");
    int number = 1;

    assert_non_null(file);
    snprintf(path, sizeof path, GOLDEN "tokenizers/%s", name);
    if (tokenizer_open(path, &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(tokenizer_end_of_text(tokenizer), end_of_text);
    assert_int_equal(tokenizer_begin_of_text(tokenizer), begin_of_text);
    assert_int_equal(tokenizer_vocabulary(tokenizer), end_of_text + 16);
    assert_non_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);

        assert_non_null(row);
        compare_row(tokenizer, row, name, ++number);
        json_decref(row);
    }
    assert_int_equal(number, 401);
    fclose(file);
    tokenizer_close(tokenizer);
}

static void gpt2_with_its_own_expression_and_merges_as_texts(void **state)
{
    (void)state;
    compare("gpt2", -1, 340);
}

static void gpt2_with_a_space_put_before_the_text(void **state)
{
    (void)state;
    compare("gpt2_prefix", -1, 340);
}

static void gpt2_as_a_split_and_merges_as_pairs(void **state)
{
    (void)state;
    compare("gpt2_split", -1, 340);
}

static void llama3_that_ignores_merges_and_puts_a_token_first(void **state)
{
    (void)state;
    compare("llama3", 341, 340);
}

static void qwen2_in_normal_form_c(void **state)
{
    (void)state;
    compare("qwen2", -1, 340);
}

static void bytes_that_no_token_is_are_left_out_and_merged_across(void **state)
{
    (void)state;
    compare("gaps", -1, 283);
}

static void bytes_that_no_token_is_become_the_unknown_token(void **state)
{
    (void)state;
    compare("gaps_unknown", -1, 283);
    compare("gaps_fused", -1, 283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_with_its_own_expression_and_merges_as_texts),
        cmocka_unit_test(gpt2_with_a_space_put_before_the_text),
        cmocka_unit_test(gpt2_as_a_split_and_merges_as_pairs),
        cmocka_unit_test(llama3_that_ignores_merges_and_puts_a_token_first),
        cmocka_unit_test(qwen2_in_normal_form_c),
        cmocka_unit_test(bytes_that_no_token_is_are_left_out_and_merged_across),
        cmocka_unit_test(bytes_that_no_token_is_become_the_unknown_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
