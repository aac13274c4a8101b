#include "data/support.h"

#include "tokenizer/bpe.h"

/* A vocabulary of the 256 bytes in GPT-2's alphabet, ids 0 to 255 in byte order, followed by `more`. */
static void make_vocabulary(char *out, size_t out_bytes, const char *more)
{
    size_t used = (size_t)snprintf(out, out_bytes, "{");
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(out + used, out_bytes - used, "%s\"\\u%04x\": %d", byte > 0 ? ", " : "",
                                 visible ? byte : next++, byte);
    }
    snprintf(out + used, out_bytes - used, "%s}", more);
}

static int parse(const char *vocabulary, const char *merges, struct tokenizer **out, struct error *error)
{
    struct bpe_source vocabulary_source = {"vocab.json", vocabulary, (int64_t)strlen(vocabulary)};
    struct bpe_source merges_source = {"merges.txt", merges, (int64_t)strlen(merges)};

    return bpe_parse(&vocabulary_source, &merges_source, NULL, out, error);
}

static void expect_refusal(const char *vocabulary, const char *merges, const char *message)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    assert_int_equal(parse(vocabulary, merges, &tokenizer, &error), STATUS_INPUT);
    if (strstr(error.message, message) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, message);
}

static void a_merge_makes_the_token_of_both_parts(void **state)
{
    char vocabulary[8192];
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {0};

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"ab\": 256, \"\\u0120ab\": 257, \"<|endoftext|>\": 258");
    assert_int_equal(parse(vocabulary, "#version: 0.2\na b\n\xc4\xa0 ab\n", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 259);
    assert_int_equal(tokenizer_end_of_text(tokenizer), 258);
    tokenizer->name = strdup("test");
    assert_int_equal(tokenizer_encode(tokenizer, "ab ab b", 7, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 4);
    assert_int_equal(ids.ids[0], 256);
    assert_int_equal(ids.ids[1], 257);
    assert_int_equal(ids.ids[2], ' ');
    assert_int_equal(ids.ids[3], 'b');
    free(ids.ids);
    tokenizer_close(tokenizer);
}

static void an_added_token_outside_the_alphabet_decodes_to_its_own_text(void **state)
{
    char vocabulary[8192];
    const int32_t ids[] = {256, 'x'};
    struct tokenizer *tokenizer = NULL;
    struct byte_list text = {0};

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"<a b>\": 256");
    assert_int_equal(parse(vocabulary, "", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_end_of_text(tokenizer), -1);
    assert_int_equal(tokenizer_decode(tokenizer, ids, 2, &text, NULL), STATUS_OK);
    assert_int_equal(text.count, 6);
    assert_memory_equal(text.bytes, "<a b>x", 6);
    free(text.bytes);
    tokenizer_close(tokenizer);
}

/* As tokenizers 0.23.3 reads it; an id without a token decodes to nothing. */
static void ids_may_leave_gaps(void **state)
{
    char vocabulary[8192];
    const int32_t gap[] = {299, 'x'};
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {0};
    struct byte_list text = {0};

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"ab\": 300");
    assert_int_equal(parse(vocabulary, "a b\n", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 301);
    assert_int_equal(tokenizer_encode(tokenizer, "abc", 3, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[0], 300);
    assert_int_equal(tokenizer_decode(tokenizer, gap, 2, &text, NULL), STATUS_OK);
    assert_int_equal(text.count, 1);
    free(ids.ids);
    free(text.bytes);
    tokenizer_close(tokenizer);
}

static void a_vocabulary_that_is_no_vocabulary_is_refused(void **state)
{
    static const struct {
        const char *more, *message;
    } cases[] = {
        {", \"ab\": 65793", "vocab.json: there is a token id 65793, but only 257 tokens"},
        {", \"ab\": -1", "there is a token id -1"},
        {", \"ab\": 255", "vocab.json: two tokens have the id 255"},
        {", \"ab\": 256, \"ab\": 257", "vocab.json:1:"},
        {", \"ab\": \"256\"", "vocab.json: the id of the token 'ab' is not an integer"},
        {", \"ab\": true", "vocab.json: the id of the token 'ab' is not an integer"},
        {", \"ab\": 2147483648", "vocab.json: there is a token id 2147483648; ids are 0 to 16777215"},
        {", \"\\ud800\": 256", "vocab.json:1:"},
        {", \"ab\": 256.0", "is not an integer"},
        {", \"\": 256", "vocab.json: the token 256 is empty"},
        {", \"a\\u0000b\": 256", "vocab.json:1:"},
        {", \"\xff\": 256", "vocab.json:1:"},
        {", \n\"ab\": 256,", "vocab.json:2:"},
        {", \"ab\": 99999999999999999999", "vocab.json:1:"},
    };
    char vocabulary[8192];
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        make_vocabulary(vocabulary, sizeof vocabulary, cases[number].more);
        expect_refusal(vocabulary, "", cases[number].message);
    }
    expect_refusal("", "", "vocab.json:1:");
    expect_refusal("[1]", "", "vocab.json: an object of token texts and ids is wanted");
    expect_refusal("{}", "", "vocab.json: no token of the vocabulary is a single byte; byte-level BPE is wanted");
    expect_refusal("{\"[UNK]\": 0, \"##ab\": 1}", "", "vocab.json: no token of the vocabulary is a single byte");
}

static void a_vocabulary_nested_ten_thousand_deep_or_with_a_nul_is_refused_before_it_is_parsed(void **state)
{
    static const char merges[] = "", nul[] = "{\"a\": 0}\0";
    const struct bpe_source none = {"merges.txt", merges, 0}, with_nul = {"vocab.json", nul, sizeof nul - 1};
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    static char deep[20100];

    (void)state;
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', 10000);
    memset(deep + 10005, ']', 10000);
    deep[20005] = '}';
    expect_refusal(deep, "", "vocab.json: JSON nested deeper than 64 at byte 68");
    assert_int_equal(bpe_parse(&with_nul, &none, NULL, &tokenizer, &error), STATUS_INPUT);
    assert_string_equal(error.message, "vocab.json: not valid JSON at byte 8: it is a NUL");
}

static void merges_that_do_not_fit_the_vocabulary_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *merges, *message;
    } cases[] = {
        {"#version: 0.2\na b\nab c\n", "merges.txt:3: the two parts joined are not in the vocabulary"},
        {"ax b\n", "merges.txt:1: the left part is not in the vocabulary"},
        {"a bx\n", "merges.txt:1: the right part is not in the vocabulary"},
        {"a b\na b\n", "merges.txt:2: the same merge stands on an earlier line"},
        {"a b\n\n", "merges.txt:2: the line is not two parts"},
        {"ab\n", "merges.txt:1: the line is not two parts"},
        {" ab\n", "merges.txt:1: the line is not two parts"},
        {"a  b\n", "merges.txt:1: the line is not two parts"},
        {"a \n", "merges.txt:1: the line is not two parts"},
        {"a b c\n", "merges.txt:1: the line is not two parts"},
        {"a \xff\n", "merges.txt:1: the line is not valid UTF-8"},
        {"a \xed\xa0\x80\n", "merges.txt:1: the line is not valid UTF-8"},
    };
    char vocabulary[8192];
    size_t number;

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"ab\": 256");
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect_refusal(vocabulary, cases[number].merges, cases[number].message);
}

static void a_folder_without_the_files_is_refused_by_their_name(void **state)
{
    char folder[256], vocabulary[8192];
    struct tokenizer *tokenizer = NULL;
    struct error error;

    (void)state;
    make_test_folder(folder, sizeof folder);
    assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "/vocab.json"));
    make_vocabulary(vocabulary, sizeof vocabulary, "");
    write_text(folder, "vocab.json", vocabulary);
    assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "/merges.txt"));
    write_text(folder, "merges.txt", "");
    assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_OK);
    tokenizer_close(tokenizer);
    scratch_remove(folder);
}

static void the_hash_tells_vocabularies_and_merges_apart(void **state)
{
    char vocabulary[8192], other[8192];
    struct tokenizer *first = NULL, *second = NULL, *third = NULL;

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"ab\": 256");
    make_vocabulary(other, sizeof other, ", \"ac\": 256");
    assert_int_equal(parse(vocabulary, "a b\n", &first, NULL), STATUS_OK);
    assert_int_equal(parse(vocabulary, "", &second, NULL), STATUS_OK);
    assert_int_equal(parse(other, "", &third, NULL), STATUS_OK);
    assert_int_not_equal(tokenizer_hash(first), tokenizer_hash(second));
    assert_int_not_equal(tokenizer_hash(second), tokenizer_hash(third));
    tokenizer_close(first);
    tokenizer_close(second);
    tokenizer_close(third);
}

static void expect_ab(const struct tokenizer *tokenizer)
{
    static const int32_t wanted[] = {256, 257, ' ', 'b'};
    struct token_list ids = {0};

    assert_int_equal(tokenizer_encode(tokenizer, "ab ab b", 7, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 4);
    assert_memory_equal(ids.ids, wanted, sizeof wanted);
    free(ids.ids);
}

/* tokenizers 0.23.3 (BPE.from_file) gives these ids for each of the three. */
static void lines_of_merges_may_end_as_windows_ends_them(void **state)
{
    static const char *const merges[] = {
        "#version: 0.2\r\na b\r\n\xc4\xa0 ab\r\n",
        "#version: 0.2\na b\r\n\xc4\xa0 ab\n",
        "a b\r\n\xc4\xa0 ab",
    };
    char vocabulary[8192];
    size_t number;

    (void)state;
    make_vocabulary(vocabulary, sizeof vocabulary, ", \"ab\": 256, \"\\u0120ab\": 257");
    for (number = 0; number < sizeof merges / sizeof merges[0]; number++) {
        struct tokenizer *tokenizer = NULL;

        assert_int_equal(parse(vocabulary, merges[number], &tokenizer, NULL), STATUS_OK);
        tokenizer->name = strdup("test");
        expect_ab(tokenizer);
        tokenizer_close(tokenizer);
    }
    expect_refusal(vocabulary, "a b\r\r\n", "merges.txt:1: the right part is not in the vocabulary");
}

static void a_byte_order_mark_is_no_part_of_the_files(void **state)
{
    char folder[256], vocabulary[8192] = "\xEF\xBB\xBF";
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    (void)state;
    make_test_folder(folder, sizeof folder);
    make_vocabulary(vocabulary + 3, sizeof vocabulary - 3, ", \"ab\": 256, \"\\u0120ab\": 257");
    write_text(folder, "vocab.json", vocabulary);
    write_text(folder, "merges.txt", "\xEF\xBB\xBF#version: 0.2\na b\n\xc4\xa0 ab\n");
    write_text(folder, "tokenizer_config.json", "\xEF\xBB\xBF{\"eos_token\": \"ab\"}");
    if (tokenizer_open(folder, &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(tokenizer_end_of_text(tokenizer), 256);
    expect_ab(tokenizer);
    tokenizer_close(tokenizer);
    scratch_remove(folder);
}

static void a_git_lfs_pointer_is_said_to_be_one(void **state)
{
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d2"
        "2eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    static const char *const names[] = {"merges.txt", "tokenizer_config.json", "tokenizer.json"};
    char folder[256], vocabulary[8192];
    struct tokenizer *tokenizer = NULL;
    struct error error;
    size_t number;

    (void)state;
    for (number = 0; number < sizeof names / sizeof names[0]; number++) {
        make_test_folder(folder, sizeof folder);
        make_vocabulary(vocabulary, sizeof vocabulary, "");
        write_text(folder, "vocab.json", vocabulary);
        write_text(folder, "merges.txt", "");
        write_text(folder, names[number], pointer);
        assert_int_equal(tokenizer_open(folder, &tokenizer, &error), STATUS_INPUT);
        assert_non_null(strstr(error.message, names[number]));
        assert_non_null(strstr(error.message, "is a Git LFS pointer"));
        scratch_remove(folder);
    }
}

/* tokenizers 0.23.3 leaves the byte out; 0xFF stands in no text that it takes. */
static void a_byte_without_a_token_is_missed_only_where_a_text_has_it(void **state)
{
    static const char vocabulary[] = "{\"a\": 0, \"b\": 1, \"ab\": 2, \"\\u00c3\": 3}";
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {0};
    struct error error = {0};

    (void)state;
    assert_int_equal(parse(vocabulary, "a b\n", &tokenizer, NULL), STATUS_OK);
    tokenizer->name = strdup("test");
    assert_int_equal(tokenizer_encode(tokenizer, "ab", 2, &ids, NULL), STATUS_OK);
    assert_int_equal(tokenizer_encode(tokenizer, "acb\xC3\xA9", 5, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 3);
    assert_memory_equal(ids.ids, ((const int32_t[]){2, 2, 3}), 3 * sizeof(int32_t));
    assert_int_equal(tokenizer_encode(tokenizer, "ab\xFF", 3, &ids, &error), STATUS_INPUT);
    assert_string_equal(error.message,
                        "the byte 0xff belongs to no UTF-8 character, and the tokenizer has no token for it; save the "
                        "text as UTF-8");
    assert_int_equal(tokenizer_encode(tokenizer, "ab\xA9", 3, &ids, &error), STATUS_INPUT);
    assert_int_equal(ids.count, 3);
    free(ids.ids);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merge_makes_the_token_of_both_parts),
        cmocka_unit_test(an_added_token_outside_the_alphabet_decodes_to_its_own_text),
        cmocka_unit_test(ids_may_leave_gaps),
        cmocka_unit_test(a_vocabulary_that_is_no_vocabulary_is_refused),
        cmocka_unit_test(a_vocabulary_nested_ten_thousand_deep_or_with_a_nul_is_refused_before_it_is_parsed),
        cmocka_unit_test(merges_that_do_not_fit_the_vocabulary_are_refused_with_their_line),
        cmocka_unit_test(a_folder_without_the_files_is_refused_by_their_name),
        cmocka_unit_test(the_hash_tells_vocabularies_and_merges_apart),
        cmocka_unit_test(lines_of_merges_may_end_as_windows_ends_them),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_files),
        cmocka_unit_test(a_git_lfs_pointer_is_said_to_be_one),
        cmocka_unit_test(a_byte_without_a_token_is_missed_only_where_a_text_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
