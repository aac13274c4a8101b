/* Pieces by the patterns of LLaMA-3 and Qwen2, read off the regular expressions by hand. GPT-2's are in bpe_test.c. */
#include "data/support.h"

#include "tokenizer/split.h"

static void assert_pieces(enum split_pattern pattern, const char *const *wanted)
{
    char text[256] = "";
    int64_t start = 0, bytes;
    size_t index;

    for (index = 0; wanted[index] != NULL; index++)
        strcat(text, wanted[index]);
    bytes = (int64_t)strlen(text);
    for (index = 0; wanted[index] != NULL; index++) {
        int64_t end = split_next(pattern, text, bytes, start);

        if (end - start != (int64_t)strlen(wanted[index]))
            fail_msg("piece %zu of '%s' has %lld bytes, '%s' is wanted", index, text, (long long)(end - start),
                     wanted[index]);
        start = end;
    }
}

#define PIECES(pattern, ...) assert_pieces(pattern, (const char *const[]){__VA_ARGS__, NULL})

static void digits_come_in_threes_or_alone(void **state)
{
    (void)state;
    PIECES(SPLIT_LLAMA3, "123", "45", " ", "678", "9");
    PIECES(SPLIT_QWEN2, "1", "2", "a", "3");
}

static void one_character_before_a_word_belongs_to_it(void **state)
{
    (void)state;
    PIECES(SPLIT_LLAMA3, "(word", " next", ".third", "\tfourth", "--", "5", "a");
    PIECES(SPLIT_QWEN2, "!!", "a", " ?!", "b");
}

static void line_ends_belong_to_the_signs_before_them_but_not_to_words(void **state)
{
    (void)state;
    PIECES(SPLIT_LLAMA3, "a", "\n", "b", ".\r\n\n", "c", " {\n", "  ", " d");
}

static void white_space_ends_with_its_last_line_end(void **state)
{
    (void)state;
    PIECES(SPLIT_LLAMA3, "a", "  \n \n", "  ", " b", " \r", "c");
    PIECES(SPLIT_QWEN2, "a", " ", "\t", ".b", "   ");
}

static void contractions_are_split_off_in_either_case(void **state)
{
    (void)state;
    PIECES(SPLIT_LLAMA3, "I", "'LL", " don", "'t", "'\xc5\xbf", "x", "'Re", "'x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_come_in_threes_or_alone),
        cmocka_unit_test(one_character_before_a_word_belongs_to_it),
        cmocka_unit_test(line_ends_belong_to_the_signs_before_them_but_not_to_words),
        cmocka_unit_test(white_space_ends_with_its_last_line_end),
        cmocka_unit_test(contractions_are_split_off_in_either_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
