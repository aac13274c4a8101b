#include "support.h"

#include "base/edit_distance.h"
#include "config/keys.h"

static void a_distance_counts_edits_and_a_swap_is_one(void **state)
{
    static const struct {
        const char *a, *b;
        int distance;
    } rows[] = {{"", "", 0},    {"steps", "steps", 0}, {"steps", "stpes", 1}, {"kitten", "sitting", 3},
                {"", "abc", 3}, {"ca", "abc", 3},      {"lr", "l", 1},        {"warmup", "warmups", 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(edit_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(edit_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}

static void a_very_long_word_is_far_from_every_other(void **state)
{
    char word[301];

    (void)state;
    memset(word, 'a', 300);
    word[300] = '\0';
    assert_true(edit_distance(word, "steps") >= 64);
    assert_false(edit_distance_is_typo("steps", edit_distance(word, "steps")));
}

static void the_nearest_key_is_found_across_sections(void **state)
{
    static const struct {
        const char *typed, *meant;
    } rows[] = {{"train.stpes", "train.steps"},         {"trian.steps", "train.steps"}, {"train.lr", "optim.lr"},
                {"optim.warmpu", "optim.warmup"},       {"seed", "run.seed"},           {"log.evry", "log.every"},
                {"checkpoint.evry", "checkpoint.every"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(config_keys[config_nearest(rows[i].typed)].dotted, rows[i].meant);
    assert_int_equal(config_nearest("quux.xyzzy"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_distance_counts_edits_and_a_swap_is_one),
        cmocka_unit_test(a_very_long_word_is_far_from_every_other),
        cmocka_unit_test(the_nearest_key_is_found_across_sections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
