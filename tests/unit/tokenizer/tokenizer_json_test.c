/* tokenizer.json: what is refused, and with which sentence. What it understands is compared with Hugging Face
 * tokenizers in tests/golden. */
#include "data/support.h"

#include "tokenizer/bpe.h"

#define BYTE_LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}"
#define SPLIT(pattern, behavior)                                                                                       \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": " pattern                         \
    ", \"behavior\": \"" behavior "\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "    \
    "\"use_regex\": false}]}"

/* Parts of a file; NULL stands for the usual one. */
struct parts {
    const char *added, *normalizer, *pre_tokenizer, *post_processor, *decoder, *model, *vocabulary, *merges;
};

static const char *or_usual(const char *part, const char *usual)
{
    return part != NULL ? part : usual;
}

/* The 256 bytes in GPT-2's alphabet have the ids 0 to 255, "ab" is 256. */
static void write_file(char *out, size_t out_bytes, const struct parts *parts)
{
    size_t used =
        (size_t)snprintf(out, out_bytes,
                         "{\"version\": \"1.0\", \"added_tokens\": [%s], \"normalizer\": %s, \"pre_tokenizer\": %s, "
                         "\"post_processor\": %s, \"decoder\": %s, \"model\": {\"type\": \"BPE\", %s \"vocab\": {",
                         or_usual(parts->added, ""), or_usual(parts->normalizer, "null"),
                         or_usual(parts->pre_tokenizer, BYTE_LEVEL), or_usual(parts->post_processor, "null"),
                         or_usual(parts->decoder, "{\"type\": \"ByteLevel\"}"), or_usual(parts->model, ""));
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(out + used, out_bytes - used, "\"\\u%04x\": %d, ", visible ? byte : next++, byte);
    }
    snprintf(out + used, out_bytes - used, "\"ab\": 256%s}, \"merges\": %s}}", or_usual(parts->vocabulary, ""),
             or_usual(parts->merges, "[\"a b\"]"));
}

static int parse_text(const char *text, int64_t bytes, struct tokenizer **out, struct error *error)
{
    struct bpe_source source = {"tokenizer.json", text, bytes};
    int result = bpe_parse_tokenizer_json(&source, NULL, out, error);

    if (result == STATUS_OK)
        (*out)->name = strdup("test");
    return result;
}

static void expect_refusal_of(const char *text, int64_t bytes, const char *message)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};

    assert_int_equal(parse_text(text, bytes, &tokenizer, &error), STATUS_INPUT);
    if (strstr(error.message, "tokenizer.json") == NULL || strstr(error.message, message) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, message);
    assert_null(tokenizer);
}

static void expect_refusal(const struct parts *parts, const char *message)
{
    char text[16384];

    write_file(text, sizeof text, parts);
    expect_refusal_of(text, (int64_t)strlen(text), message);
}

static struct tokenizer *parse(const struct parts *parts)
{
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    char text[16384];

    write_file(text, sizeof text, parts);
    if (parse_text(text, (int64_t)strlen(text), &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return tokenizer;
}

static void expect_ids(const struct tokenizer *tokenizer, const char *text, const int32_t *wanted, int64_t count)
{
    struct token_list ids = {0};
    int64_t index;

    assert_int_equal(tokenizer_encode_special(tokenizer, text, (int64_t)strlen(text), &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, count);
    for (index = 0; index < count; index++)
        assert_int_equal(ids.ids[index], wanted[index]);
    free(ids.ids);
}

static void expect_prompt(const struct tokenizer *tokenizer, const char *text, const int32_t *wanted, int64_t count)
{
    struct token_list ids = {0};

    assert_int_equal(tokenizer_encode_prompt(tokenizer, text, (int64_t)strlen(text), true, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, count);
    assert_memory_equal(ids.ids, wanted, (size_t)count * sizeof *wanted);
    free(ids.ids);
}

/* "<s>" is 257 and the template puts it first, as in LLaMA's files. */
static void a_prompt_begins_with_the_templates_token_once(void **state)
{
    struct tokenizer *plain = parse(&(struct parts){.added = NULL});
    struct tokenizer *template = parse(&(struct parts){
        .added = "{\"id\": 257, \"content\": \"<s>\", \"special\": true, \"single_word\": false, \"lstrip\": false, "
                 "\"rstrip\": false, \"normalized\": false}",
        .post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "
                          "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
                          "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [257], \"tokens\": [\"<s>\"]}}}"});

    (void)state;
    expect_prompt(template, "abc", (const int32_t[]){257, 256, 'c'}, 3);
    expect_prompt(template, "<s>abc", (const int32_t[]){257, 256, 'c'}, 3);
    expect_prompt(template, "c<s>", (const int32_t[]){257, 'c', 257}, 3);
    expect_prompt(template, "", (const int32_t[]){257}, 1);
    expect_prompt(plain, "abc", (const int32_t[]){256, 'c'}, 2);
    expect_prompt(plain, "", NULL, 0);
    tokenizer_close(plain);
    tokenizer_close(template);
}

static void stages_that_are_not_understood_are_refused_by_name(void **state)
{
    static const struct {
        struct parts parts;
        const char *message;
    } cases[] = {
        {{.normalizer = "{\"type\": \"NFKC\"}"}, "the normalizer is of type 'NFKC'; only NFC is understood"},
        {{.normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}]}"},
         "a normalizer is of type 'Lowercase'"},
        {{.normalizer = "7"}, "the normalizer is no object with a 'type'"},
        {{.pre_tokenizer = "null"}, "there is no pre_tokenizer"},
        {{.pre_tokenizer = "{\"type\": \"Metaspace\"}"}, "the pre_tokenizer is of type 'Metaspace'"},
        {{.pre_tokenizer = "{\"type\": \"Sequence\", \"pretokenizers\": []}"}, "a Sequence of 0"},
        {{.pre_tokenizer = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, " BYTE_LEVEL "]}"},
         "the first pre_tokenizer is of type 'Digits'; only Split is understood"},
        {{.pre_tokenizer = SPLIT("{\"Regex\": \"\\\\d+\"}", "Isolated")}, "Split has the regular expression \\d+;"},
        {{.pre_tokenizer = SPLIT("{\"String\": \" \"}", "Isolated")}, "the pattern of Split is no 'Regex'"},
        {{.pre_tokenizer = SPLIT("{\"Regex\": \"\\\\d+\"}", "Removed")}, "the behavior of Split is 'Removed'"},
        {{.pre_tokenizer = "{\"type\": \"ByteLevel\", \"use_regex\": false}"}, "ByteLevel has no 'use_regex'"},
        {{.pre_tokenizer = "{\"type\": \"ByteLevel\", \"use_regex\": 1}"}, "'use_regex' has the wrong type"},
        {{.post_processor = "{\"type\": \"BertProcessing\"}"}, "a post_processor is of type 'BertProcessing'"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}]}"},
         "the template's token '<s>' has no 'ids'"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"s\"}}], "
                            "\"special_tokens\": {\"s\": {\"ids\": [257]}}}"},
         "the template puts the token 257 first; ids are below 257"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"s\"}}], "
                            "\"special_tokens\": {\"s\": {\"ids\": [2147483648]}}}"},
         "the template's token 's' has the id 2147483648"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"s\"}}], "
                            "\"special_tokens\": {\"s\": {\"ids\": [-1]}}}"},
         "the template's token 's' has the id -1"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"s\"}}, "
                            "{\"SpecialToken\": {\"id\": \"t\"}}], \"special_tokens\": {\"s\": {\"ids\": [1]}, "
                            "\"t\": {\"ids\": [2]}}}"},
         "the post_processor's template puts several tokens before a text, 's' first; one is understood"},
        {{.post_processor = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"s\"}}], "
                            "\"special_tokens\": {\"s\": {\"ids\": [1, 2]}}}"},
         "the post_processor's template puts several tokens before a text, 's' first; one is understood"},
        {{.decoder = "{\"type\": \"WordPiece\"}"}, "the decoder is of type 'WordPiece'; only ByteLevel is understood"},
        {{.decoder = "null"}, "the decoder is no object"},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect_refusal(&cases[number].parts, cases[number].message);
}

/* tokenizers 0.23.3 merges with a dropout of 0 as it does without. */
static void a_dropout_of_0_is_none(void **state)
{
    (void)state;
    tokenizer_close(parse(&(struct parts){.model = "\"dropout\": 0.0,"}));
}

static void a_model_that_asks_for_more_is_refused_by_name(void **state)
{
    static const struct {
        const char *model, *message;
    } cases[] = {
        {"\"dropout\": 0.1,", "the model's 'dropout' is 0.1"},
        {"\"byte_fallback\": true,", "the model's 'byte_fallback' is true; false is wanted"},
        {"\"byte_fallback\": 1,", "'byte_fallback' has the wrong type"},
        {"\"continuing_subword_prefix\": \"##\",", "'continuing_subword_prefix' is \"##\"; null is wanted"},
        {"\"end_of_word_suffix\": \"</w>\",", "'end_of_word_suffix' is \"</w>\"; null is wanted"},
        {"\"ignore_merges\": null,", "'ignore_merges' has the wrong type"},
        {"\"unheard_of\": 1,", "the model has a member 'unheard_of' that is not known here"},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect_refusal(&(struct parts){.model = cases[number].model}, cases[number].message);
    expect_refusal_of("{\"model\": {\"type\": \"Unigram\"}}", 30, "the model is of type 'Unigram'; only BPE");
    expect_refusal_of("{\"model\": []}", 13, "'model' has the wrong type; an object is wanted");
    expect_refusal_of("{}", 2, "'model' is missing");
    expect_refusal_of("{\"version\": \"2.0\"}", 18, "its version is '2.0'; 1.0 is wanted");
}

static void tokens_and_merges_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        struct parts parts;
        const char *message;
    } cases[] = {
        {{.vocabulary = ", \"ab\": 257"}, "duplicate object key"},
        {{.vocabulary = ", \"ac\": 256"}, "two tokens have the id 256"},
        {{.vocabulary = ", \"ac\": -1"}, "there is a token id -1"},
        {{.vocabulary = ", \"ac\": 2000000"}, "there is a token id 2000000, but only 258 tokens"},
        {{.vocabulary = ", \"ac\": 65794"}, "there is a token id 65794, but only 258 tokens"},
        {{.vocabulary = ", \"ac\": 4294967296"}, "there is a token id 4294967296; ids are 0 to"},
        {{.vocabulary = ", \"ac\": 99999999999999999999"}, "too big"},
        {{.vocabulary = ", \"ac\": 257.0"}, "the id of the token 'ac' is not an integer"},
        {{.vocabulary = ", \"\": 257"}, "the token 257 is empty"},
        {{.merges = "[\"a c\"]"}, "merge 1: the two parts joined are not in the vocabulary"},
        {{.merges = "[\"a b\", [\"a\", \"b\"]]"}, "merge 2: the same merge stands earlier"},
        {{.merges = "[\"xy b\"]"}, "merge 1: the left part is not in the vocabulary"},
        {{.merges = "[[\"a\", \"xy\"]]"}, "merge 1: the right part is not in the vocabulary"},
        {{.merges = "[\"a b c\"]"}, "merge 1: it is neither"},
        {{.merges = "[\"ab\"]"}, "merge 1: it is neither"},
        {{.merges = "[[\"a\", \"b\", \"c\"]]"}, "merge 1: it is neither"},
        {{.merges = "[7]"}, "merge 1: it is neither"},
        {{.merges = "{}"}, "'merges' has the wrong type; an array is wanted"},
        {{.vocabulary = ", \"ac\": true"}, "the id of the token 'ac' is not an integer"},
        {{.vocabulary = ", \"ac\": 2147483648"}, "there is a token id 2147483648; ids are 0 to"},
        {{.vocabulary = ", \"\\ud800\": 257"}, "invalid Unicode"},
        {{.vocabulary = ", \"\\udc00\\ud800\": 257"}, "invalid Unicode"},
        {{.vocabulary = ", \"\xff\": 257"}, "unable to decode byte 0xff"},
        {{.vocabulary = ", \"a\\u0000\": 257"}, "not valid JSON"},
        {{.merges = "[[\"a\\n\", \"b\"]]"}, "merge 1: the left part is not in the vocabulary"},
        {{.merges = "[[[\"a\"], \"b\"]]"}, "merge 1: it is neither"},
        {{.merges = "[null]"}, "merge 1: it is neither"},
        {{.merges = "[\" \"]"}, "merge 1: it is neither"},
        {{.merges = "null"}, "'merges' has the wrong type; an array is wanted"},
        {{.added = "{\"id\": \"257\", \"content\": \"<x>\"}"}, "the id of the token '<x>' is not an integer"},
        {{.added = "{\"id\": -1, \"content\": \"<x>\"}"}, "there is a token id -1; ids are 0 to"},
        {{.added = "{\"id\": 4294967301, \"content\": \"<x>\"}"}, "there is a token id 4294967301; ids are 0 to"},
        {{.added = "7"}, "the id of the token '' is not an integer"},
        {{.added = "{\"id\": 257}"}, "'content' is missing"},
        {{.added = "{\"id\": 257, \"content\": \"\"}"}, "the added token 257 has 0 bytes"},
        {{.added = "{\"id\": 257, \"content\": \"x\"}"},
         "the added token 'x' has the id 257; by its place, or in the vocabulary, it is 120"},
        {{.added = "{\"id\": 257, \"content\": \"<x>\", \"lstrip\": 0}"}, "'lstrip' has the wrong type"},
        {{.added = "{\"id\": 256, \"content\": \"<x>\"}"},
         "the added token '<x>' has the id 256; by its place, or in the vocabulary, it is 257"},
        {{.added = "{\"id\": 258, \"content\": \"<x>\"}"}, "it is 257"},
        {{.vocabulary = ", \"ac\": 258", .added = "{\"id\": 259, \"content\": \"<x>\"}"}, "it is 258"},
        {{.vocabulary = ", \"ac\": 258", .added = "{\"id\": 258, \"content\": \"<x>\"}"}, "two tokens have the id 258"},
        {{.added = "{\"id\": 257, \"content\": \"<x>\"}, {\"id\": 257, \"content\": \"<y>\"}"},
         "the added token '<y>' has the id 257; by its place, or in the vocabulary, it is 258"},
        {{.added = "{\"id\": 257, \"content\": \"<x>\"}, {\"id\": 258, \"content\": \"<x>\"}"},
         "the added token '<x>' has the id 258; by its place, or in the vocabulary, it is 257"},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect_refusal(&cases[number].parts, cases[number].message);
}

static void every_truncated_file_is_refused(void **state)
{
    char text[16384];
    int64_t bytes, all;

    (void)state;
    write_file(text, sizeof text, &(struct parts){.added = "{\"id\": 257, \"content\": \"<x>\"}"});
    all = (int64_t)strlen(text);
    for (bytes = 0; bytes < all; bytes += bytes < 700 || bytes > all - 100 ? 1 : 37)
        expect_refusal_of(text, bytes, "not valid JSON");
}

static void ten_thousand_nested_lists_are_refused_before_they_are_parsed(void **state)
{
    static char text[20000];

    (void)state;
    memset(text, '[', 10000);
    memset(text + 10000, ']', 10000);
    expect_refusal_of(text, 20000, "JSON nested deeper than 64");
    memcpy(text, "{\"model\":", 9);
    expect_refusal_of(text, 20000, "JSON nested deeper than 64");
}

static void a_vocabulary_that_no_byte_is_in_is_refused(void **state)
{
    static const char text[] = "{\"pre_tokenizer\": " BYTE_LEVEL ", \"decoder\": {\"type\": \"ByteLevel\"}, "
                               "\"model\": {\"vocab\": {\"ab\": 0}, \"merges\": []}}";

    (void)state;
    expect_refusal_of(text, (int64_t)sizeof text - 1, "no token of the vocabulary is a single byte");
}

/* Ids of tokenizers 0.23.3, which fails where the unknown token is looked for and not there. */
static void what_stands_for_a_byte_without_a_token(void **state)
{
    static const struct {
        const char *unknown;
        int32_t wanted[5];
        int64_t count; /* 0: it is refused */
    } cases[] = {
        {"null, \"fuse_unk\": false", {2, 0}, 2},
        {"\"?\", \"fuse_unk\": false", {0, 3, 3, 1, 0}, 5},
        {"\"?\", \"fuse_unk\": true", {0, 3, 1, 0}, 4},
        {"\"<unk>\", \"fuse_unk\": false", {0}, 0},
    };
    char text[1024];
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        int bytes = snprintf(text, sizeof text,
                             "{\"pre_tokenizer\": " BYTE_LEVEL ", \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": "
                             "{\"unk_token\": %s, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"?\": 3}, \"merges\": "
                             "[\"a b\"]}}",
                             cases[number].unknown);
        struct tokenizer *tokenizer = NULL;
        struct token_list ids = {0};
        struct error error = {0};

        assert_int_equal(parse_text(text, bytes, &tokenizer, &error), STATUS_OK);
        if (cases[number].count > 0) {
            expect_ids(tokenizer, "axyba", cases[number].wanted, cases[number].count);
        } else {
            assert_int_equal(tokenizer_encode(tokenizer, "axyba", 5, &ids, &error), STATUS_INPUT);
            assert_string_equal(error.message, "the tokenizer has no token for the byte 0x78, and its 'unk_token' is "
                                               "not in its vocabulary");
            free(ids.ids);
        }
        tokenizer_close(tokenizer);
    }
}

/* Of 258 tokens the one that is added is the next, as tokenizers 0.23.3 counts. */
static void ids_may_leave_gaps_and_the_vocabulary_ends_behind_the_largest(void **state)
{
    struct tokenizer *tokenizer =
        parse(&(struct parts){.vocabulary = ", \"ac\": 300", .added = "{\"id\": 258, \"content\": \"</s>\"}"});
    const int32_t gap[] = {299, 'x'};
    struct byte_list text = {0};

    (void)state;
    assert_int_equal(tokenizer_vocabulary(tokenizer), 301);
    assert_int_equal(tokenizer_end_of_text(tokenizer), 258);
    expect_ids(tokenizer, "ab</s>ac", (const int32_t[]){256, 258, 'a', 'c'}, 4);
    assert_int_equal(tokenizer_decode(tokenizer, gap, 2, &text, NULL), STATUS_OK);
    assert_int_equal(text.count, 1);
    free(text.bytes);
    tokenizer_close(tokenizer);
}

static void special_tokens_are_plain_text_where_text_is_data(void **state)
{
    struct tokenizer *tokenizer =
        parse(&(struct parts){.added = "{\"id\": 257, \"content\": \"<s>\", \"special\": true},"
                                       "{\"id\": 258, \"content\": \"<t>\"}"});
    struct token_list ids = {0};

    (void)state;
    assert_int_equal(tokenizer_encode(tokenizer, "<s><t>", 6, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 4);
    assert_int_equal(ids.ids[0], '<');
    assert_int_equal(ids.ids[3], 258);
    expect_ids(tokenizer, "<s><t>", (const int32_t[]){257, 258}, 2);
    free(ids.ids);
    tokenizer_close(tokenizer);
}

static void an_unknown_token_changes_nothing_for_every_byte_is_a_token(void **state)
{
    struct tokenizer *tokenizer =
        parse(&(struct parts){.model = "\"unk_token\": \"ab\", \"fuse_unk\": true, \"dropout\": null,"});

    (void)state;
    expect_ids(tokenizer,
               "\x01"
               "ab",
               (const int32_t[]){1, 256}, 2);
    tokenizer_close(tokenizer);
}

static void a_text_is_never_cut_where_an_added_token_may_stand(void **state)
{
    struct tokenizer *tokenizer =
        parse(&(struct parts){.added = "{\"id\": 257, \"content\": \"end of\"}, {\"id\": 258, \"content\": \"r>\", "
                                       "\"rstrip\": true}"});
    static const char text[] = "the end of r> all";

    (void)state;
    assert_int_equal(tokenizer_safe_cut(tokenizer, text, 17, 1), 3);
    assert_int_equal(tokenizer_safe_cut(tokenizer, text, 17, 4), 17);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dropout_of_0_is_none),
        cmocka_unit_test(a_prompt_begins_with_the_templates_token_once),
        cmocka_unit_test(stages_that_are_not_understood_are_refused_by_name),
        cmocka_unit_test(a_model_that_asks_for_more_is_refused_by_name),
        cmocka_unit_test(tokens_and_merges_that_contradict_each_other_are_refused),
        cmocka_unit_test(every_truncated_file_is_refused),
        cmocka_unit_test(ten_thousand_nested_lists_are_refused_before_they_are_parsed),
        cmocka_unit_test(a_vocabulary_that_no_byte_is_in_is_refused),
        cmocka_unit_test(what_stands_for_a_byte_without_a_token),
        cmocka_unit_test(ids_may_leave_gaps_and_the_vocabulary_ends_behind_the_largest),
        cmocka_unit_test(special_tokens_are_plain_text_where_text_is_data),
        cmocka_unit_test(an_unknown_token_changes_nothing_for_every_byte_is_a_token),
        cmocka_unit_test(a_text_is_never_cut_where_an_added_token_may_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
