/* The probabilities of dropout in config.json. Fields and defaults are those of GPT2Config and LlamaConfig of
 * transformers 5.24.0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "huggingface/dropout.h"
#include "model/family.h"

static struct hf_dropout read(const struct model_family *family, const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    struct hf_dropout dropout;
    struct error error = {0};

    if (hf_dropout_parse(root, family, "c", &dropout, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    json_decref(root);
    return dropout;
}

static void fields_that_agree_are_one_probability(void **state)
{
    struct hf_dropout dropout = read(&family_gpt2, "{\"attn_pdrop\":0.25,\"embd_pdrop\":0.25,\"resid_pdrop\":0.25}");

    (void)state;
    assert_int_equal(dropout.count, 3);
    assert_true(hf_dropout_is_one(&dropout) && dropout.values[2] == 0.25);
    dropout = read(&family_llama, "{\"attention_dropout\":0.5,\"resid_pdrop\":0.1}");
    assert_int_equal(dropout.count, 1);
    assert_true(hf_dropout_is_one(&dropout) && dropout.values[0] == 0.5);
}

static void a_field_that_is_not_there_has_the_familys_default_and_null_is_none(void **state)
{
    struct hf_dropout dropout = read(&family_gpt2, "{}");

    (void)state;
    assert_true(hf_dropout_is_one(&dropout) && dropout.values[0] == 0.1);
    dropout = read(&family_llama, "{}");
    assert_true(hf_dropout_is_one(&dropout) && dropout.values[0] == 0);
    dropout = read(&family_gpt2, "{\"embd_pdrop\":null}");
    assert_false(hf_dropout_is_one(&dropout));
    assert_true(dropout.values[1] == 0 && dropout.values[0] == 0.1);
}

static void what_is_no_probability_is_refused(void **state)
{
    static const char *const texts[] = {"\"0.1\"", "1", "1.5", "-0.1", "true", "[0.1]"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct hf_dropout dropout;
        struct error error = {0};
        json_t *root;

        snprintf(text, sizeof text, "{\"resid_pdrop\":%s}", texts[i]);
        root = json_loads(text, 0, NULL);
        assert_int_equal(hf_dropout_parse(root, &family_gpt2, "m/config.json", &dropout, &error), STATUS_INPUT);
        assert_non_null(strstr(error.message, "m/config.json: resid_pdrop is not a number from 0 to below 1"));
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_that_agree_are_one_probability),
        cmocka_unit_test(a_field_that_is_not_there_has_the_familys_default_and_null_is_none),
        cmocka_unit_test(what_is_no_probability_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
