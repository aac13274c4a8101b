/* Special tokens in data: where they are found, and that a document begins and ends once. Ids of tokenizers 0.23.3. */
#include "support.h"

#include "data/corpus.h"

#define CHARACTERS 27, 91, 65, 68, 70, 261, 91, 29              /* <|begin|> as text is */
#define END_GPT2   27, 91, 271, 67, 78, 69, 286, 87, 83, 91, 29 /* <|endoftext|>, as gpt2 splits it */
#define MOST       64

enum { ON = 279, IN = 261, END = 340, BEGIN = 341, NONE = -1 };

struct data_case {
    const char *tokenizer, *name, *text;
    enum special_tokens special;
    int32_t wanted[MOST]; /* NONE before each document but the first, and twice at the end */
};

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    make_test_folder(folder, sizeof folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void load(const struct data_case *which, int64_t bytes, bool mask_prompt, struct token_set *train)
{
    char tokenizer_path[512], path[512];
    const char *name = path;
    const struct corpus_options options = {
        .train = &name, .train_count = 1, .special = which->special, .mask_prompt = mask_prompt, .threads = 1};
    struct tokenizer *tokenizer = NULL;
    struct token_set valid;
    struct error error = {0};

    snprintf(path, sizeof path, "%s/%s", folder, which->name);
    write_bytes(folder, which->name, which->text, (size_t)bytes);
    snprintf(tokenizer_path, sizeof tokenizer_path, LLMRUN_SOURCE_DIR "/tests/golden/tokenizers/%s", which->tokenizer);
    if (tokenizer_open(tokenizer_path, &tokenizer, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    if (corpus_load(&options, tokenizer, train, &valid, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    token_set_finish(&valid);
    tokenizer_close(tokenizer);
}

static void expect(const struct data_case *which, int64_t bytes)
{
    struct token_set train;
    int64_t index, document = 0, place = 0;

    load(which, bytes, false, &train);
    for (index = 0; index < train.count; index++) {
        if (index > 0 && document + 1 < train.documents && train.starts[document + 1] == index) {
            document++;
            assert_int_equal(which->wanted[place++], NONE);
        }
        assert_int_equal(token_set_at(&train, index), which->wanted[place++]);
    }
    assert_int_equal(which->wanted[place], NONE);
    assert_int_equal(which->wanted[place + 1], NONE);
    token_set_finish(&train);
}

#define CHAT "{\"prompt\": \"<|begin|>on<|endoftext|>\", \"answer\": \"in<|endoftext|>\"}\n"

static void prompts_and_answers_hold_special_tokens_unless_data_special_is_text(void **state)
{
    static const struct data_case cases[] = {
        {"gpt2", "a.jsonl", CHAT, SPECIAL_IN_PROMPTS, {BEGIN, ON, END, IN, END, NONE, NONE}},
        {"gpt2", "a.jsonl", CHAT, SPECIAL_EVERYWHERE, {BEGIN, ON, END, IN, END, NONE, NONE}},
        {"gpt2", "a.jsonl", CHAT, SPECIAL_NOWHERE, {CHARACTERS, ON, END_GPT2, IN, END_GPT2, END, NONE, NONE}},
        {"llama3", "a.jsonl", CHAT, SPECIAL_IN_PROMPTS, {BEGIN, ON, END, IN, END, NONE, NONE}},
        {"llama3",
         "a.jsonl",
         "{\"prompt\": \"on\", \"answer\": \"in\"}\n",
         SPECIAL_IN_PROMPTS,
         {BEGIN, ON, IN, END, NONE, NONE}},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect(&cases[number], (int64_t)strlen(cases[number].text));
}

static void text_holds_none_unless_data_special_is_find(void **state)
{
    static const char line[] = "{\"text\": \"on<|endoftext|>\"}\n{\"text\": \"in\"}\n";
    static const struct data_case cases[] = {
        {"gpt2", "b.jsonl", line, SPECIAL_IN_PROMPTS, {ON, END_GPT2, END, NONE, IN, END, NONE, NONE}},
        {"gpt2", "b.jsonl", line, SPECIAL_NOWHERE, {ON, END_GPT2, END, NONE, IN, END, NONE, NONE}},
        {"gpt2", "b.jsonl", line, SPECIAL_EVERYWHERE, {ON, END, NONE, IN, END, NONE, NONE}},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect(&cases[number], (int64_t)strlen(cases[number].text));
}

static void a_document_of_a_text_file_begins_and_ends_once(void **state)
{
    static const char text[] = "<|begin|>on<|endoftext|>\0in<|endoftext|>\0on";
    static const struct data_case cases[] = {
        {"gpt2", "c.txt", text, SPECIAL_EVERYWHERE, {BEGIN, ON, END, NONE, IN, END, NONE, ON, NONE, NONE}},
        {"llama3",
         "c.txt",
         text,
         SPECIAL_EVERYWHERE,
         {BEGIN, ON, END, NONE, BEGIN, IN, END, NONE, BEGIN, ON, NONE, NONE}},
    };
    size_t number;

    (void)state;
    for (number = 0; number < sizeof cases / sizeof cases[0]; number++)
        expect(&cases[number], (int64_t)sizeof text - 1);
}

static void a_masked_prompt_is_as_long_as_its_special_tokens_make_it(void **state)
{
    static const struct data_case which = {"gpt2", "d.jsonl", CHAT, SPECIAL_IN_PROMPTS, {NONE}};
    struct token_set train;

    (void)state;
    load(&which, (int64_t)strlen(CHAT), true, &train);
    assert_int_equal(train.count, 5);
    assert_int_equal(train.learn_from[0], 3);
    token_set_finish(&train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prompts_and_answers_hold_special_tokens_unless_data_special_is_text, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(text_holds_none_unless_data_special_is_find, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_document_of_a_text_file_begins_and_ends_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_masked_prompt_is_as_long_as_its_special_tokens_make_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
