#include "data/support.h"

#include "tokenizer/tokenizer.h"

static void bytes_are_their_own_ids_and_come_back(void **state)
{
    static const char text[] = {'a', 0, (char)0xff, '\n', (char)0x80};
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {0};
    struct byte_list back = {0};

    (void)state;
    assert_int_equal(tokenizer_open("bytes", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 256);
    assert_int_equal(tokenizer_end_of_text(tokenizer), 0);
    assert_int_equal(tokenizer_encode(tokenizer, text, sizeof text, &ids, NULL), STATUS_OK);
    assert_int_equal(ids.count, 5);
    assert_int_equal(ids.ids[2], 255);
    assert_int_equal(ids.ids[4], 128);
    assert_int_equal(tokenizer_decode(tokenizer, ids.ids, ids.count, &back, NULL), STATUS_OK);
    assert_int_equal(back.count, 5);
    assert_memory_equal(back.bytes, text, 5);
    free(ids.ids);
    free(back.bytes);
    tokenizer_close(tokenizer);
}

static void decoding_refuses_an_id_outside_the_vocabulary_and_keeps_what_was_there(void **state)
{
    static const int32_t ids[] = {65, 256}, negative = -1;
    struct tokenizer *tokenizer = NULL;
    struct byte_list back = {0};
    struct error error;

    (void)state;
    assert_int_equal(tokenizer_open("bytes", &tokenizer, NULL), STATUS_OK);
    assert_int_equal(tokenizer_decode(tokenizer, ids, 1, &back, NULL), STATUS_OK);
    assert_int_equal(tokenizer_decode(tokenizer, ids, 2, &back, &error), STATUS_INPUT);
    assert_string_equal(error.message, "token 1 is 256, outside the tokenizer's vocabulary of 256");
    assert_int_equal(tokenizer_decode(tokenizer, &negative, 1, &back, NULL), STATUS_INPUT);
    assert_int_equal(back.count, 1);
    free(back.bytes);
    tokenizer_close(tokenizer);
}

static void a_tokenizer_that_is_not_there_is_an_input_error_that_names_it(void **state)
{
    struct tokenizer *tokenizer = NULL;
    struct error error;

    (void)state;
    assert_int_equal(tokenizer_open("no/such/folder", &tokenizer, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "no/such/folder"));
}

static void a_sentencepiece_model_is_refused_by_name(void **state)
{
    char folder[256], path[512];
    struct tokenizer *tokenizer = NULL;
    struct error error;

    (void)state;
    make_test_folder(folder, sizeof folder);
    write_text(folder, "tok.model", "x");
    snprintf(path, sizeof path, "%s/tok.model", folder);
    assert_int_equal(tokenizer_open(path, &tokenizer, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "SentencePiece"));
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_their_own_ids_and_come_back),
        cmocka_unit_test(decoding_refuses_an_id_outside_the_vocabulary_and_keeps_what_was_there),
        cmocka_unit_test(a_tokenizer_that_is_not_there_is_an_input_error_that_names_it),
        cmocka_unit_test(a_sentencepiece_model_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
