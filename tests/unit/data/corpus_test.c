#include "support.h"

#include <zlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "data/corpus.h"

static char folder[256];
static struct tokenizer *bytes;

static int set_up(void **state)
{
    (void)state;
    make_test_folder(folder, sizeof folder);
    log_set_level(LOG_ERROR); /* no warnings of bytes that are not UTF-8 */
    return tokenizer_open("bytes", &bytes, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    tokenizer_close(bytes);
    scratch_remove(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int load_files(const char *const *names, int64_t count, struct corpus_options options, struct token_set *train,
                      struct token_set *valid, struct error *error)
{
    options.train = names;
    options.train_count = count;
    if (options.threads == 0)
        options.threads = 1;
    return corpus_load(&options, bytes, train, valid, error);
}

/* `wanted`: the documents of the set with a '|' before each; '.' is the end-of-text token. */
static void assert_documents(const struct token_set *set, const char *wanted)
{
    char found[4096];
    int64_t index, document = 0;
    size_t used = 0;

    for (index = 0; index < set->count; index++) {
        if (document < set->documents && set->starts[document] == index) {
            found[used++] = '|';
            document++;
        }
        found[used++] = token_set_at(set, index) == 0 ? '.' : (char)token_set_at(set, index);
    }
    found[used] = '\0';
    assert_string_equal(found, wanted);
    assert_int_equal(document, set->documents);
}

static void expect_train(const char *const *names, int64_t count, const char *wanted)
{
    struct token_set train, valid;
    struct error error = {0};

    if (load_files(names, count, (struct corpus_options){0}, &train, &valid, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_documents(&train, wanted);
    assert_int_equal(valid.count, 0);
    token_set_finish(&train);
    token_set_finish(&valid);
}

static void expect_failure(const char *name, struct corpus_options options, int status, const char *part)
{
    struct token_set train, valid;
    struct error error = {0};

    assert_int_equal(load_files(&name, 1, options, &train, &valid, &error), status);
    if (strstr(error.message, part) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, part);
    assert_int_equal(train.count, 0);
}

static void a_text_file_is_one_document_without_an_end_token_after_the_last(void **state)
{
    const char *name = in_folder("a.txt");

    (void)state;
    write_text(folder, "a.txt", "one\ntwo");
    expect_train(&name, 1, "|one\ntwo");
}

static void the_end_token_stands_between_text_files_and_after_every_line_of_jsonl(void **state)
{
    const char *names[3] = {in_folder("a.txt"), in_folder("b.jsonl"), in_folder("c.txt")};

    (void)state;
    write_text(folder, "a.txt", "one");
    write_text(folder, "b.jsonl", "{\"text\": \"two\"}\n\n{\"id\": 7, \"text\": \"three\"}\r\n");
    write_text(folder, "c.txt", "four");
    expect_train(names, 3, "|one.|two.|three.|four");
}

static void byte_zero_ends_a_document_of_a_text_file(void **state)
{
    const char *name = in_folder("zero.txt");

    (void)state;
    write_bytes(folder, "zero.txt", "\0one\0\0two\0", 10);
    expect_train(&name, 1, "|one.|two");
}

static void an_empty_text_in_jsonl_is_no_document(void **state)
{
    const char *name = in_folder("empty.jsonl");

    (void)state;
    write_text(folder, "empty.jsonl", "{\"text\": \"\"}\n{\"text\": \"a\"}\n");
    expect_train(&name, 1, "|a.");
}

static void the_end_token_is_the_tokenizers_and_its_text_in_a_document_is_plain(void **state)
{
    const char *name = in_folder("end.jsonl");
    const struct corpus_options options = {.train = &name, .train_count = 1, .threads = 1};
    struct token_set train, valid;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    int64_t index, ends = 0;

    (void)state;
    write_text(folder, "end.jsonl", "{\"text\": \"one<|endoftext|>two\"}\n{\"text\": \"\"}\n{\"text\": \"three\"}\n");
    assert_int_equal(tokenizer_open(LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/llama3", &tokenizer, NULL), STATUS_OK);
    if (corpus_load(&options, tokenizer, &train, &valid, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (index = 0; index < train.count; index++)
        ends += token_set_at(&train, index) == tokenizer_end_of_text(tokenizer);
    assert_int_equal(train.documents, 2);
    assert_int_equal(ends, 2);
    assert_int_equal(token_set_at(&train, train.starts[1] - 1), tokenizer_end_of_text(tokenizer));
    assert_int_equal(token_set_at(&train, train.count - 1), tokenizer_end_of_text(tokenizer));
    token_set_finish(&train);
    token_set_finish(&valid);
    tokenizer_close(tokenizer);
}

/* Token 341 is what the template of this tokenizer puts first. What stands behind the cut, or in a second piece of a
 * document, is no beginning. */
static void each_document_begins_with_the_templates_token_but_the_rest_of_a_cut_one_does_not(void **state)
{
    const char *names[2] = {in_folder("begin.txt"), in_folder("begin.jsonl")};
    const struct corpus_options options = {
        .train = names, .train_count = 2, .threads = 1, .valid_split = 0.5, .mask_prompt = true};
    struct token_set train, valid;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    int64_t index, begins = 0;

    (void)state;
    write_bytes(folder, "begin.txt", "ab\0cdef\0g\0", 10);
    write_text(folder, "begin.jsonl", "{\"prompt\": \"h\", \"answer\": \"i\"}\n{\"text\": \"\"}\n");
    assert_int_equal(tokenizer_open(LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/llama3", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_begin_of_text(tokenizer), 341);
    if (corpus_load(&options, tokenizer, &train, &valid, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (index = 0; index < train.count; index++)
        begins += token_set_at(&train, index) == 341;
    assert_int_equal(train.documents, 3);
    assert_int_equal(begins, 3);
    for (index = 0; index < train.documents; index++)
        assert_int_equal(token_set_at(&train, train.starts[index]), 341);
    assert_false(token_set_learns(&train, 2, train.starts[2] + 1)); /* h: masked */
    assert_true(token_set_learns(&train, 2, train.starts[2] + 2));
    assert_true(token_set_learns(&train, 0, 1)); /* the first letter follows the token */
    assert_int_equal(valid.documents, 2);
    assert_int_not_equal(token_set_at(&valid, 0), 341);
    assert_int_equal(token_set_at(&valid, valid.starts[1]), 341);
    token_set_finish(&train);
    token_set_finish(&valid);
    tokenizer_close(tokenizer);
}

/* The cut falls right behind the end of a document: the next one is whole. */
static void a_document_behind_the_cut_is_whole_where_the_one_before_has_ended(void **state)
{
    const char *name = in_folder("whole.txt");
    const struct corpus_options options = {.train = &name, .train_count = 1, .threads = 1, .valid_split = 0.5};
    struct token_set train, valid;
    struct tokenizer *tokenizer = NULL;

    (void)state;
    write_bytes(folder, "whole.txt", "abc\0defg", 8);
    assert_int_equal(tokenizer_open(LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/llama3", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(corpus_load(&options, tokenizer, &train, &valid, NULL), STATUS_OK);
    assert_int_equal(token_set_at(&valid, 0), 341);
    token_set_finish(&train);
    token_set_finish(&valid);
    tokenizer_close(tokenizer);
}

static void prompt_and_answer_are_one_document_and_the_mask_covers_the_prompt(void **state)
{
    const char *name = in_folder("sft.jsonl");
    struct token_set train, valid;

    (void)state;
    write_text(folder, "sft.jsonl", "{\"prompt\": \"ab\", \"answer\": \"cd\"}\n{\"text\": \"xy\"}\n");
    assert_int_equal(load_files(&name, 1, (struct corpus_options){.mask_prompt = true}, &train, &valid, NULL),
                     STATUS_OK);
    assert_documents(&train, "|abcd.|xy.");
    assert_false(token_set_learns(&train, 0, 1)); /* b */
    assert_true(token_set_learns(&train, 0, 2));  /* c */
    assert_true(token_set_learns(&train, 0, 4));  /* the end */
    assert_false(token_set_learns(&train, 1, 5)); /* x: the first of its document */
    assert_true(token_set_learns(&train, 1, 6));
    token_set_finish(&train);
    assert_int_equal(load_files(&name, 1, (struct corpus_options){0}, &train, &valid, NULL), STATUS_OK);
    assert_true(token_set_learns(&train, 0, 1));
    token_set_finish(&train);
}

static void the_validation_part_is_the_last_part_of_each_file(void **state)
{
    const char *names[2] = {in_folder("a.txt"), in_folder("b.txt")};
    struct token_set train, valid;

    (void)state;
    write_text(folder, "a.txt", "abcdefgh");
    write_text(folder, "b.txt", "ABCD");
    assert_int_equal(load_files(names, 2, (struct corpus_options){.valid_split = 0.25}, &train, &valid, NULL),
                     STATUS_OK);
    assert_documents(&train, "|abcdef|ABC");
    assert_documents(&valid, "|gh.|D");
    token_set_finish(&train);
    token_set_finish(&valid);
}

/* The cut at byte 5 falls behind the first byte of a character of three or four: it moves to the character's end. */
static void the_cut_never_splits_a_character(void **state)
{
    static const char *const texts[] = {"aaaa\xe2\x82\xac"
                                        "bbb",
                                        "aaaa\xf0\x9f\x98\x80"
                                        "bb",
                                        "aaaaa"
                                        "ccccc"};
    static const char *const tails[] = {"|bbb", "|bb", "|ccccc"};
    const char *name = in_folder("cut.txt");
    struct token_set train, valid;
    int number;

    (void)state;
    for (number = 0; number < 3; number++) {
        write_text(folder, "cut.txt", texts[number]);
        assert_int_equal(load_files(&name, 1, (struct corpus_options){.valid_split = 0.5}, &train, &valid, NULL),
                         STATUS_OK);
        assert_int_equal(train.count + valid.count, 10);
        assert_documents(&valid, tails[number]);
        token_set_finish(&train);
        token_set_finish(&valid);
    }
}

static void a_line_of_jsonl_belongs_to_the_part_in_which_it_starts(void **state)
{
    const char *name = in_folder("split.jsonl");
    struct token_set train, valid;

    (void)state;
    write_text(folder, "split.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"c\"}\n{\"text\": \"d\"}\n");
    assert_int_equal(load_files(&name, 1, (struct corpus_options){.valid_split = 0.4}, &train, &valid, NULL),
                     STATUS_OK);
    assert_documents(&train, "|a.|b.|c.");
    assert_documents(&valid, "|d.");
    token_set_finish(&train);
    token_set_finish(&valid);
}

static void a_byte_order_mark_is_no_part_of_the_text(void **state)
{
    const char *names[2] = {in_folder("marked.txt"), in_folder("marked.jsonl")};

    (void)state;
    write_text(folder, "marked.txt",
               "\xef\xbb\xbf"
               "ab\xef\xbb\xbf");
    write_text(folder, "marked.jsonl",
               "\xef\xbb\xbf{\"text\": \"c\"}\n\xef\xbb\xbf\r\n\xef\xbb\xbf{\"text\": \"d\"}\n");
    expect_train(names, 2, "|ab\xef\xbb\xbf.|c.|d.");
    write_text(folder, "marked.txt", "\xef\xbb\xbf");
    expect_failure(names[0], (struct corpus_options){0}, STATUS_INPUT, "marked.txt is empty");
}

static void validation_files_are_read_whole(void **state)
{
    const char *train_name = in_folder("a.txt"), *valid_name = in_folder("v.txt");
    struct corpus_options options = {.valid = &valid_name, .valid_count = 1};
    struct token_set train, valid;

    (void)state;
    write_text(folder, "a.txt", "train");
    write_text(folder, "v.txt", "valid");
    assert_int_equal(load_files(&train_name, 1, options, &train, &valid, NULL), STATUS_OK);
    assert_documents(&valid, "|valid");
    token_set_finish(&train);
    token_set_finish(&valid);
}

static void the_builtin_text_is_a_file_in_memory(void **state)
{
    const char *name = "builtin";
    struct corpus_options options = {.builtin = "one\0two", .builtin_bytes = 7};
    struct token_set train, valid;

    (void)state;
    assert_int_equal(load_files(&name, 1, options, &train, &valid, NULL), STATUS_OK);
    assert_documents(&train, "|one.|two");
    token_set_finish(&train);
    expect_failure("builtin", (struct corpus_options){0}, STATUS_USAGE, "built-in text");
}

static void a_token_outside_the_model_is_refused_with_document_and_place(void **state)
{
    struct corpus_options options = {.vocabulary = 128};

    (void)state;
    write_bytes(folder, "high.txt", "fine\0ab\xff", 8);
    expect_failure(in_folder("high.txt"), options, STATUS_INPUT,
                   "high.txt: document 2: token 3 of the document is 255, outside the model's vocabulary of 128");
    write_text(folder, "high.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xc3\xa9\"}\n");
    expect_failure(in_folder("high.jsonl"), options, STATUS_INPUT,
                   "high.jsonl:2: token 1 of the document is 195, outside the model's vocabulary of 128");
}

static void files_that_hold_nothing_are_refused_by_name(void **state)
{
    struct corpus_options plain = {0}, split = {.valid_split = 0.1};

    (void)state;
    write_text(folder, "nothing.txt", "");
    write_text(folder, "blank.jsonl", "\n \n");
    write_text(folder, "one.jsonl", "{\"text\": \"a\"}\n");
    expect_failure(in_folder("missing.txt"), plain, STATUS_INPUT, "missing.txt");
    expect_failure(in_folder("nothing.txt"), plain, STATUS_INPUT, "nothing.txt is empty");
    expect_failure(in_folder("blank.jsonl"), plain, STATUS_INPUT, "blank.jsonl holds no text");
    expect_failure(in_folder("one.jsonl"), split, STATUS_INPUT, "raise data.valid_split");
    expect_failure(folder, plain, STATUS_INPUT, "folder");
    write_text(folder, "pointer.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n");
    expect_failure(in_folder("pointer.txt"), plain, STATUS_INPUT, "pointer.txt is a Git LFS pointer");
    expect_failure("tokens.idx", plain, STATUS_USAGE, ".idx");
}

static void a_bad_line_is_refused_with_file_and_line(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"{\"text\": 5}", "bad.jsonl:2: the field 'text' is not a string"},
        {"{\"body\": \"x\"}", "bad.jsonl:2: the object has neither 'text' nor 'prompt' and 'answer'"},
        {"{\"prompt\": \"x\"}", "bad.jsonl:2: the object has 'prompt' without 'answer'"},
        {"{\"answer\": \"x\"}", "bad.jsonl:2: the object has 'answer' without 'prompt'"},
        {"{\"text\": \"x\", \"answer\": \"x\"}", "keep one kind"},
        {"{\"text\": \"x\", \"text\": \"y\"}", "bad.jsonl:2: column 15: the field 'text' stands twice"},
        {"[1]", "bad.jsonl:2: the line is not an object"},
        {"5", "bad.jsonl:2: the line is not an object"},
        {"{\"text\": \"x\"", "bad.jsonl:2: the line ends within its object"},
        {"{\"text\": \"x\"} {}", "bad.jsonl:2: column"},
        {"{\"text\": \"\xff\"}", "bad.jsonl:2: column"},
        {"{\"text\": \"a\\u0000\"}", "bad.jsonl:2: the text holds \\u0000"},
        {"{\"text\": \"\\ud800\"}", "bad.jsonl:2: column 11: the field 'text' holds half a surrogate pair, \\ud800"},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        char text[256];

        snprintf(text, sizeof text, "{\"text\": \"fine\"}\n%s\n", cases[number].line);
        write_text(folder, "bad.jsonl", text);
        expect_failure(in_folder("bad.jsonl"), (struct corpus_options){0}, STATUS_INPUT, cases[number].message);
    }
}

/* 4 MiB in lines of their own number: several chunks, so that threads overtake each other. */
static void many_threads_give_the_same_tokens_and_the_first_error(void **state)
{
    struct token_set one, four, valid;
    const char *name = in_folder("many.jsonl");
    char path[512];
    FILE *file;
    int line;

    (void)state;
    snprintf(path, sizeof path, "%s/many.jsonl", folder);
    file = fopen(path, "w");
    for (line = 1; line <= 60000; line++)
        fprintf(file, "{\"text\": \"line %d of a file that is long enough to be shared among threads\"}\n", line);
    fclose(file);
    assert_int_equal(load_files(&name, 1, (struct corpus_options){.threads = 1}, &one, &valid, NULL), STATUS_OK);
    assert_int_equal(load_files(&name, 1, (struct corpus_options){.threads = 4}, &four, &valid, NULL), STATUS_OK);
    assert_int_equal(one.documents, 60000);
    assert_int_equal(token_set_hash(&one), token_set_hash(&four));
    token_set_finish(&one);
    token_set_finish(&four);
    file = fopen(path, "r+");
    fseek(file, 2000000, SEEK_SET);
    fputs("\n", file);
    fseek(file, 3000000, SEEK_SET);
    fputs("\n", file);
    fclose(file);
    for (line = 0; line < 5; line++)
        expect_failure(name, (struct corpus_options){.threads = 4}, STATUS_INPUT,
                       "many.jsonl:25139: the line ends within");
}

/* Hashes of the two sets of a file that is read in blocks of so many bytes; the error where it is refused. */
static void hash_in_blocks(const char *name, const struct tokenizer *tokenizer, int64_t block_bytes, double split,
                           uint64_t hashes[2])
{
    const struct corpus_options options = {
        .train = &name, .train_count = 1, .valid_split = split, .threads = 1, .block_bytes = block_bytes};
    struct token_set train, valid;
    struct error error = {0};

    if (corpus_load(&options, tokenizer, &train, &valid, &error) != STATUS_OK) {
        hashes[0] = (uint64_t)error.status;
        hashes[1] = hash_text(error.message);
        return;
    }
    hashes[0] = token_set_hash(&train);
    hashes[1] = token_set_hash(&valid);
    token_set_finish(&train);
    token_set_finish(&valid);
}

static void blocks_of_any_size_give_the_same_tokens(void **state)
{
    static const char text[] = "one\0two \xe2\x82\xac three\0\0\xf0\x9f\x98\x80\x80\x80\x80 four\0 five";
    static const char *const names[] = {"blocks.txt", "blocks.jsonl"};
    static const double splits[] = {0, 0.05, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.9};

    (void)state;
    write_bytes(folder, "blocks.txt", text, sizeof text - 1);
    write_text(folder, "blocks.jsonl",
               "{\"text\": \"a\"}\r\n\n{\"text\": \"b\", \"x\": [1]}\n{\"text\": \"c\"}\n"
               "{\"text\": \"\xe2\x82\xac\"}");
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
            uint64_t wanted[2], found[2];

            hash_in_blocks(in_folder(names[kind]), bytes, 1 << 20, splits[i], wanted);
            for (int64_t block = 1; block < 60; block++) {
                hash_in_blocks(in_folder(names[kind]), bytes, block, splits[i], found);
                assert_memory_equal(found, wanted, sizeof wanted);
            }
        }
}

/* The cut counts bytes of the text, whatever is stored. */
static void compressed_files_give_the_tokens_of_their_text(void **state)
{
    static const char *const names[][2] = {{"whole.txt", "small.txt.gz"}, {"whole.jsonl", "small.jsonl.gz"}};
    static const double splits[] = {0, 0.3, 0.7};

    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        char text[4096] = "\xef\xbb\xbf", path[512];
        gzFile file;

        for (int i = 0; i < 60; i++)
            sprintf(text + strlen(text), kind == 0 ? "line %d \xe2\x82\xac\n" : "{\"text\": \"line %d\"}\n", i);
        write_text(folder, names[kind][0], text);
        snprintf(path, sizeof path, "%s/%s", folder, names[kind][1]);
        file = gzopen(path, "wb");
        assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
        assert_int_equal(gzclose(file), Z_OK);
        for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
            uint64_t wanted[2], found[2];

            hash_in_blocks(in_folder(names[kind][0]), bytes, 1 << 20, splits[i], wanted);
            hash_in_blocks(in_folder(names[kind][1]), bytes, 100, splits[i], found);
            assert_memory_equal(found, wanted, sizeof wanted);
        }
    }
}

/* More than two pieces of 1 MiB, the first of which has no place to cut for long. */
static void a_long_document_in_blocks_gives_the_same_tokens(void **state)
{
    enum { BYTES = 2500000 };
    static const int64_t sizes[] = {1 << 16, 1500000, 3 << 20};
    struct tokenizer *tokenizer = NULL;
    uint64_t wanted[2], found[2];
    char *text = malloc(BYTES);

    (void)state;
    for (int64_t i = 0; i < BYTES; i++)
        text[i] = (i > 1000000 && i < 1300000) || i * i % 7 != 2 ? (char)('a' + i * i % 25) : ' ';
    write_bytes(folder, "long.txt", text, BYTES);
    free(text);
    assert_int_equal(tokenizer_open(LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/gpt2", &tokenizer, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        hash_in_blocks(in_folder("long.txt"), tokenizer, sizes[i], 0.1, i == 0 ? wanted : found);
        assert_memory_equal(i == 0 ? wanted : found, wanted, sizeof wanted);
    }
    tokenizer_close(tokenizer);
}

/* By hand: the arrays in which the first checkpoints' tokens were kept, each hashed, and the hashes hashed. */
static void the_hash_is_that_of_older_checkpoints(void **state)
{
    static const int32_t vocabularies[] = {256, 257, 65536, 65537};
    const int64_t lengths[] = {2, 3}, starts[] = {0, 2, 5}, learn_from[] = {0, 2};
    const uint16_t narrow[] = {1, 2, 3, 4, 5};
    const int32_t wide[] = {1, 2, 3, 4, 5};

    (void)state;
    for (size_t i = 0; i < sizeof vocabularies / sizeof vocabularies[0]; i++) {
        const bool is_narrow = vocabularies[i] <= 65536;
        const uint64_t parts[4] = {is_narrow ? hash_bytes(narrow, sizeof narrow) : 0,
                                   is_narrow ? 0 : hash_bytes(wide, sizeof wide), hash_bytes(starts, sizeof starts),
                                   hash_bytes(learn_from, sizeof learn_from)};
        struct token_set set;

        make_token_set(&set, vocabularies[i], lengths, 2);
        assert_int_equal(set.width, vocabularies[i] == 256 ? 1 : is_narrow ? 2 : 4);
        assert_true(token_set_hash(&set) == hash_bytes(parts, sizeof parts));
        token_set_finish(&set);
    }
}

static void the_hash_tells_tokens_documents_and_masks_apart(void **state)
{
    const int64_t whole = 4, parts[] = {2, 2};
    struct token_set first, second;

    (void)state;
    make_token_set(&first, 256, &whole, 1);
    make_token_set(&second, 256, parts, 2);
    assert_int_not_equal(token_set_hash(&first), token_set_hash(&second));
    token_set_finish(&second);
    make_token_set(&second, 256, &whole, 1);
    assert_int_equal(token_set_hash(&first), token_set_hash(&second));
    second.learn_from[0] = 2;
    assert_int_not_equal(token_set_hash(&first), token_set_hash(&second));
    token_set_finish(&first);
    token_set_finish(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_file_is_one_document_without_an_end_token_after_the_last),
        cmocka_unit_test(the_end_token_stands_between_text_files_and_after_every_line_of_jsonl),
        cmocka_unit_test(byte_zero_ends_a_document_of_a_text_file),
        cmocka_unit_test(an_empty_text_in_jsonl_is_no_document),
        cmocka_unit_test(the_end_token_is_the_tokenizers_and_its_text_in_a_document_is_plain),
        cmocka_unit_test(each_document_begins_with_the_templates_token_but_the_rest_of_a_cut_one_does_not),
        cmocka_unit_test(a_document_behind_the_cut_is_whole_where_the_one_before_has_ended),
        cmocka_unit_test(prompt_and_answer_are_one_document_and_the_mask_covers_the_prompt),
        cmocka_unit_test(the_validation_part_is_the_last_part_of_each_file),
        cmocka_unit_test(the_cut_never_splits_a_character),
        cmocka_unit_test(a_line_of_jsonl_belongs_to_the_part_in_which_it_starts),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_text),
        cmocka_unit_test(validation_files_are_read_whole),
        cmocka_unit_test(the_builtin_text_is_a_file_in_memory),
        cmocka_unit_test(a_token_outside_the_model_is_refused_with_document_and_place),
        cmocka_unit_test(files_that_hold_nothing_are_refused_by_name),
        cmocka_unit_test(a_bad_line_is_refused_with_file_and_line),
        cmocka_unit_test(many_threads_give_the_same_tokens_and_the_first_error),
        cmocka_unit_test(blocks_of_any_size_give_the_same_tokens),
        cmocka_unit_test(compressed_files_give_the_tokens_of_their_text),
        cmocka_unit_test(a_long_document_in_blocks_gives_the_same_tokens),
        cmocka_unit_test(the_hash_is_that_of_older_checkpoints),
        cmocka_unit_test(the_hash_tells_tokens_documents_and_masks_apart),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
