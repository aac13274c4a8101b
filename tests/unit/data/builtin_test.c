#include "support.h"

#include "data/builtin.h"

static void the_builtin_text_is_documents_of_this_project_with_zero_bytes_between(void **state)
{
    static const char contract[] = "/* llmrun plugin contract: random numbers, as every backend makes them.";
    int64_t bytes, index, zeros = 0;
    const char *text = builtin_text(&bytes);

    (void)state;
    assert_true(bytes > 100000);
    assert_int_not_equal(text[0], 0);
    assert_int_not_equal(text[bytes - 1], 0);
    for (index = 0; index < bytes; index++)
        zeros += text[index] == 0;
    assert_true(zeros >= 20);
    assert_non_null(memmem(text, (size_t)bytes, contract, sizeof contract - 1));
}

/* The file that the build made, byte by byte: nothing is lost on the way into the program. */
static void the_builtin_text_is_the_gathered_file(void **state)
{
    FILE *file = fopen(LLMRUN_BUILD_DIR "/core/data/builtin_text", "rb");
    int64_t bytes, index;
    const char *text = builtin_text(&bytes);

    (void)state;
    assert_non_null(file);
    for (index = 0; index < bytes; index++)
        if (fgetc(file) != (unsigned char)text[index])
            fail_msg("byte %lld differs", (long long)index);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_builtin_text_is_documents_of_this_project_with_zero_bytes_between),
        cmocka_unit_test(the_builtin_text_is_the_gathered_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
