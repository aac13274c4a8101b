/* Ids of 2,000 strings, as Hugging Face tokenizers gave them (tokenizer_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

#define GOLDEN LLMRUN_SOURCE_DIR "/tests/golden/tokenizer_golden.jsonl"

static uint64_t fnv_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001B3ull;
}

static uint64_t fnv_ids(const struct token_list *ids)
{
    uint64_t hash = 0xCBF29CE484222325ull;
    int64_t index;
    int shift;

    for (index = 0; index < ids->count; index++)
        for (shift = 0; shift < 32; shift += 8)
            hash = fnv_byte(hash, (unsigned char)((uint32_t)ids->ids[index] >> shift));
    return hash;
}

static void assert_hash(uint64_t found, const char *wanted, const char *what)
{
    char text[20];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)found);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s: hash %s, %s wanted", what, text, wanted);
}

/* Encodes each string of the file; `field` names the column of hashes to compare with. */
static void compare_strings(const char *tokenizer_path, const char *field)
{
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {0};
    char line[4096], place[64];
    FILE *file = fopen(GOLDEN, "rb");
    int number = 1;

    assert_non_null(file);
    assert_int_equal(tokenizer_open(tokenizer_path, &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_end_of_text(tokenizer), strcmp(field, "tiny") == 0 ? 0 : 50256);
    assert_non_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        json_t *text = json_object_get(row, "text");

        ids.count = 0;
        assert_int_equal(
            tokenizer_encode(tokenizer, json_string_value(text), (int64_t)json_string_length(text), &ids, NULL),
            STATUS_OK);
        snprintf(place, sizeof place, "line %d", ++number);
        assert_hash(fnv_ids(&ids), json_string_value(json_object_get(row, field)), place);
        json_decref(row);
    }
    assert_int_equal(number, 2001);
    fclose(file);
    free(ids.ids);
    tokenizer_close(tokenizer);
}

static void a_small_tokenizer_gives_the_ids_of_hugging_face(void **state)
{
    (void)state;
    compare_strings(LLMRUN_SOURCE_DIR "/tests/golden/tokenizer_tiny", "tiny");
}

static void gpt2_gives_the_ids_of_hugging_face(void **state)
{
    const char *data = getenv("LLMRUN_TEST_DATA");
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s/gpt2", data != NULL ? data : LLMRUN_SOURCE_DIR "/../shared/data");
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (LLMRUN_TEST_DATA names its parent)\n", path);
        skip();
    }
    compare_strings(path, "gpt2");
}

static void every_character_is_of_the_class_that_the_regular_expressions_give_it(void **state)
{
    uint64_t hash = 0xCBF29CE484222325ull;
    FILE *file = fopen(GOLDEN, "rb");
    char line[4096];
    uint32_t code;
    json_t *head;

    (void)state;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    for (code = 0; code < 0x110000; code++)
        hash = fnv_byte(hash, (unsigned char)unicode_class_of(code));
    head = json_loads(line, 0, NULL);
    assert_hash(hash, json_string_value(json_object_get(head, "classes")), "classes");
    json_decref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_tokenizer_gives_the_ids_of_hugging_face),
        cmocka_unit_test(gpt2_gives_the_ids_of_hugging_face),
        cmocka_unit_test(every_character_is_of_the_class_that_the_regular_expressions_give_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
