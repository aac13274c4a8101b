#include "data/support.h"

#include <pthread.h>
#include <time.h>

#include "tokenizer/bpe.h"
#include "tokenizer/split.h"

static void assert_pieces(const char *text, int64_t bytes, const char *const *wanted)
{
    int64_t start = 0;
    size_t index;

    for (index = 0; wanted[index] != NULL; index++) {
        int64_t end = split_next(SPLIT_GPT2, text, bytes, start);

        if (end - start != (int64_t)strlen(wanted[index]) || memcmp(text + start, wanted[index], (size_t)(end - start)))
            fail_msg("piece %zu is '%.*s', '%s' wanted", index, (int)(end - start), text + start, wanted[index]);
        start = end;
    }
    assert_int_equal(start, bytes);
}

#define ASSERT_PIECES(text, ...) assert_pieces(text, sizeof(text) - 1, (const char *const[]){__VA_ARGS__, NULL})

/* The pieces of all split tests are those of tokenizers 0.23.3, ByteLevel.pre_tokenize_str. */
static void words_take_the_space_before_them(void **state)
{
    (void)state;
    ASSERT_PIECES("Hello world 42 !?", "Hello", " world", " 42", " !?");
    ASSERT_PIECES("ab12cd", "ab", "12", "cd");
}

static void a_run_of_spaces_leaves_its_last_one_to_the_next_word(void **state)
{
    (void)state;
    ASSERT_PIECES("a   b", "a", "  ", " b");
    ASSERT_PIECES("a\n\n b", "a", "\n\n", " b");
    ASSERT_PIECES("a\n\nb", "a", "\n", "\n", "b");
    ASSERT_PIECES("a  ", "a", "  ");
    ASSERT_PIECES(" ", " ");
    ASSERT_PIECES("\xc2\xa0\xe3\x80\x80x", "\xc2\xa0", "\xe3\x80\x80", "x");
}

static void contractions_are_split_off_in_lower_case_only(void **state)
{
    (void)state;
    ASSERT_PIECES("he's we'll I'M 'S", "he", "'s", " we", "'ll", " I", "'", "M", " '", "S");
    ASSERT_PIECES("it'S'RE", "it", "'", "S", "'", "RE");
    ASSERT_PIECES("'tis ''s 're", "'t", "is", " ''", "s", " '", "re");
    ASSERT_PIECES("a'", "a", "'");
}

/* U+1C8A and U+10D4A are letters and U+10D40 a digit since Unicode 16; U+0301 is a mark; U+2167 and U+00BD are numbers.
 */
static void classes_are_those_of_unicode_16(void **state)
{
    (void)state;
    ASSERT_PIECES("a\xe1\xb2\x8a\xf0\x90\xb5\x8a", "a\xe1\xb2\x8a\xf0\x90\xb5\x8a");
    ASSERT_PIECES("1\xf0\x90\xb5\x80\xe2\x85\xa7\xc2\xbd", "1\xf0\x90\xb5\x80\xe2\x85\xa7\xc2\xbd");
    ASSERT_PIECES("e\xcc\x81", "e", "\xcc\x81");
}

static void bytes_that_are_not_utf8_are_characters_of_no_class(void **state)
{
    (void)state;
    ASSERT_PIECES("a\xff\xc3 b", "a", "\xff\xc3", " b");
    ASSERT_PIECES("\xed\xa0\x80z", "\xed\xa0\x80", "z");         /* a surrogate */
    ASSERT_PIECES("\xc0\xa0z", "\xc0\xa0", "z");                 /* an overlong space */
    ASSERT_PIECES("\xf4\x90\x80\x80z", "\xf4\x90\x80\x80", "z"); /* above U+10FFFF */
    ASSERT_PIECES("z\xe3\x80", "z", "\xe3\x80");                 /* cut off at the end */
}

static struct tokenizer *open_tiny(void)
{
    struct tokenizer *tokenizer = NULL;

    assert_int_equal(tokenizer_open(LLMRUN_SOURCE_DIR "/tests/golden/tokenizer_tiny", &tokenizer, NULL), STATUS_OK);
    return tokenizer;
}

static void any_bytes_come_back_from_their_ids(void **state)
{
    struct tokenizer *tokenizer = open_tiny();
    struct token_list ids = {0};
    struct byte_list back = {0};
    char text[4096];
    unsigned random = 12345;
    size_t index;

    (void)state;
    for (index = 0; index < sizeof text; index++) {
        random = random * 1664525u + 1013904223u;
        text[index] = (char)(random >> 24);
    }
    assert_int_equal(tokenizer_encode(tokenizer, text, sizeof text, &ids, NULL), STATUS_OK);
    assert_int_equal(tokenizer_decode(tokenizer, ids.ids, ids.count, &back, NULL), STATUS_OK);
    assert_int_equal(back.count, sizeof text);
    assert_memory_equal(back.bytes, text, sizeof text);
    free(ids.ids);
    free(back.bytes);
    tokenizer_close(tokenizer);
}

static void special_tokens_in_text_are_plain_characters(void **state)
{
    struct tokenizer *tokenizer = open_tiny();
    struct token_list ids = {0};
    int64_t index;

    (void)state;
    assert_int_equal(tokenizer_end_of_text(tokenizer), 0);
    assert_int_equal(tokenizer_encode(tokenizer, "<|endoftext|>", 13, &ids, NULL), STATUS_OK);
    assert_true(ids.count > 1);
    for (index = 0; index < ids.count; index++)
        assert_int_not_equal(ids.ids[index], 0);
    free(ids.ids);
    tokenizer_close(tokenizer);
}

static void parts_cut_at_a_safe_place_give_the_ids_of_the_whole(void **state)
{
    static const char text[] = "one  two\n\n  three's 4,5 \t six\xc2\xa0seven 'll  end  ";
    struct tokenizer *tokenizer = open_tiny();
    struct token_list whole = {0}, parts = {0};
    int64_t from, bytes = sizeof text - 1;

    (void)state;
    assert_int_equal(tokenizer_encode(tokenizer, text, bytes, &whole, NULL), STATUS_OK);
    for (from = 1; from < bytes; from++) {
        int64_t cut = tokenizer_safe_cut(tokenizer, text, bytes, from);

        assert_true(cut >= from);
        parts.count = 0;
        assert_int_equal(tokenizer_encode(tokenizer, text, cut, &parts, NULL), STATUS_OK);
        assert_int_equal(tokenizer_encode(tokenizer, text + cut, bytes - cut, &parts, NULL), STATUS_OK);
        assert_int_equal(parts.count, whole.count);
        assert_memory_equal(parts.ids, whole.ids, (size_t)whole.count * sizeof *whole.ids);
    }
    free(whole.ids);
    free(parts.ids);
    tokenizer_close(tokenizer);
}

/* The definition of the merges, one pair at a time over the whole word. */
static int64_t merge_by_definition(const struct merge_table *table, int32_t *ids, int64_t count)
{
    for (;;) {
        const struct merge *best = NULL;
        int64_t index, place = 0;

        for (index = 0; index + 1 < count; index++) {
            const struct merge *merge = merge_table_find(table, ids[index], ids[index + 1]);

            if (merge->left != -1 && (best == NULL || merge->rank < best->rank)) {
                best = merge;
                place = index;
            }
        }
        if (best == NULL)
            return count;
        ids[place] = best->id;
        memmove(ids + place + 1, ids + place + 2, (size_t)(count - place - 2) * sizeof *ids);
        count--;
    }
}

/* Random tables over few tokens, where a merge may open one of a lower rank: short and long words take different ways.
 */
static void short_and_long_words_merge_as_the_definition_says(void **state)
{
    unsigned random = 1;
    int table_number;

    (void)state;
    for (table_number = 0; table_number < 200; table_number++) {
        struct merge_table table;
        int32_t ids[300], wanted[300];
        int64_t count, wanted_count, index;
        int32_t id;

        assert_int_equal(merge_table_start(&table, 24, NULL), STATUS_OK);
        for (id = 4; id < 28; id++) {
            struct merge merge = {.rank = id * 7 % 24, .id = id};

            random = random * 1664525u + 1013904223u;
            merge.left = (int32_t)(random >> 16) % id;
            random = random * 1664525u + 1013904223u;
            merge.right = (int32_t)(random >> 16) % id;
            merge_table_add(&table, merge);
        }
        count = 2 + table_number * 298 / 200;
        for (index = 0; index < count; index++) {
            random = random * 1664525u + 1013904223u;
            ids[index] = wanted[index] = (int32_t)(random >> 30);
        }
        wanted_count = merge_by_definition(&table, wanted, count);
        assert_int_equal(merge_word(&table, ids, &count, NULL), STATUS_OK);
        assert_int_equal(count, wanted_count);
        assert_memory_equal(ids, wanted, (size_t)count * sizeof *ids);
        merge_table_finish(&table);
    }
}

/* A megabyte without a space: minutes if each merge looked at all pairs, well under a second with the heap. */
static void one_word_of_a_megabyte_takes_seconds_at_most(void **state)
{
    struct tokenizer *tokenizer = open_tiny();
    struct token_list ids = {0};
    char *text = malloc(1 << 20);
    clock_t begin = clock();
    int index;

    (void)state;
    for (index = 0; index < 1 << 20; index++)
        text[index] = "eerstinth"[index % 9];
    assert_int_equal(tokenizer_encode(tokenizer, text, 1 << 20, &ids, NULL), STATUS_OK);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
    free(ids.ids);
    free(text);
    tokenizer_close(tokenizer);
}

struct reader {
    struct tokenizer *tokenizer;
    const char *text;
    int64_t bytes;
    struct token_list ids;
};

static void *read_text(void *argument)
{
    struct reader *reader = argument;

    tokenizer_encode(reader->tokenizer, reader->text, reader->bytes, &reader->ids, NULL);
    return NULL;
}

static void threads_share_one_tokenizer(void **state)
{
    struct reader readers[4] = {{0}};
    pthread_t threads[4];
    char *text = malloc(200001);
    int64_t bytes = 0;
    int index;

    (void)state;
    readers[0].tokenizer = open_tiny();
    for (index = 0; bytes < 180000; index++)
        bytes += sprintf(text + bytes, "word%d and the %d others ", index % 977, index % 131);
    for (index = 0; index < 4; index++) {
        readers[index].tokenizer = readers[0].tokenizer;
        readers[index].text = text;
        readers[index].bytes = bytes;
        assert_int_equal(pthread_create(&threads[index], NULL, read_text, &readers[index]), 0);
    }
    for (index = 0; index < 4; index++) {
        pthread_join(threads[index], NULL);
        assert_int_equal(readers[index].ids.count, readers[0].ids.count);
        assert_memory_equal(readers[index].ids.ids, readers[0].ids.ids, (size_t)readers[0].ids.count * sizeof(int32_t));
    }
    tokenizer_close(readers[0].tokenizer);
    for (index = 0; index < 4; index++)
        free(readers[index].ids.ids);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_take_the_space_before_them),
        cmocka_unit_test(a_run_of_spaces_leaves_its_last_one_to_the_next_word),
        cmocka_unit_test(contractions_are_split_off_in_lower_case_only),
        cmocka_unit_test(classes_are_those_of_unicode_16),
        cmocka_unit_test(bytes_that_are_not_utf8_are_characters_of_no_class),
        cmocka_unit_test(any_bytes_come_back_from_their_ids),
        cmocka_unit_test(special_tokens_in_text_are_plain_characters),
        cmocka_unit_test(parts_cut_at_a_safe_place_give_the_ids_of_the_whole),
        cmocka_unit_test(short_and_long_words_merge_as_the_definition_says),
        cmocka_unit_test(one_word_of_a_megabyte_takes_seconds_at_most),
        cmocka_unit_test(threads_share_one_tokenizer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
