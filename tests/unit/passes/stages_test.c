#include "passes/stages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LAYERS_MOST 12

/* Layers of each stage, such as "2 3 3". */
static void becomes(const double *flops, int32_t layers, int32_t count, const char *wanted)
{
    char text[64] = "";
    struct stages stages;
    struct error error;

    if (stages_balance(flops, layers, count, &stages, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (int32_t s = 0; s < count; s++) {
        const int32_t each = stages.first[s + 1] - stages.first[s];
        const size_t length = strlen(text);

        assert_in_range(each, 1, 9);
        text[length] = (char)('0' + each);
        text[length + 1] = s + 1 < count ? ' ' : '\0';
    }
    assert_int_equal(stages.first[0], 0);
    assert_int_equal(stages.first[count], layers);
    assert_string_equal(text, wanted);
    stages_finish(&stages);
}

static void equal_layers_are_shared_out_evenly(void **state)
{
    double flops[30];

    (void)state;
    for (int i = 0; i < 30; i++)
        flops[i] = 3;
    becomes(flops, 1, 1, "1");
    becomes(flops, 4, 4, "1 1 1 1");
    becomes(flops, 8, 4, "2 2 2 2");
    becomes(flops, 9, 4, "2 2 2 3");
    becomes(flops, 30, 4, "7 7 8 8");
    for (int32_t layers = 1; layers <= LAYERS_MOST; layers++)
        for (int32_t count = 1; count <= layers; count++) {
            struct stages stages;
            struct error error;

            assert_int_equal(stages_balance(flops, layers, count, &stages, &error), STATUS_OK);
            for (int32_t s = 0; s < count; s++)
                assert_in_range(stages.first[s + 1] - stages.first[s], layers / count, (layers + count - 1) / count);
            stages_finish(&stages);
        }
}

/* The head counts to the last layer: 1 + 2.5 layers of work. */
static void a_head_takes_the_place_of_layers(void **state)
{
    const double flops[] = {2, 2, 2, 2, 2, 2, 2, 7};

    (void)state;
    becomes(flops, 8, 2, "5 3");     /* 10 and 11; 12 and 9 */
    becomes(flops, 8, 3, "3 4 1");   /* 6, 8, 7; with two layers and the head 9 */
    becomes(flops, 8, 4, "2 2 3 1"); /* 4, 4, 6, 7 */
}

static void the_largest_stage_is_as_small_as_can_be(void **state)
{
    const double flops[] = {9, 1, 1, 1, 5, 5};

    (void)state;
    becomes(flops, 6, 2, "3 3");   /* 11 and 11 */
    becomes(flops, 6, 3, "1 4 1"); /* 9, 8, 5; every other cut has a 10 or more */
}

static void a_layer_is_in_the_stage_that_has_it(void **state)
{
    const double flops[] = {1, 1, 1, 1, 1};
    struct stages stages;
    struct error error;

    (void)state;
    assert_int_equal(stages_balance(flops, 5, 2, &stages, &error), STATUS_OK);
    for (int32_t layer = -1; layer <= 5; layer++)
        assert_int_equal(stages_of_layer(&stages, layer), layer >= 2);
    stages_finish(&stages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_layers_are_shared_out_evenly),
        cmocka_unit_test(a_head_takes_the_place_of_layers),
        cmocka_unit_test(the_largest_stage_is_as_small_as_can_be),
        cmocka_unit_test(a_layer_is_in_the_stage_that_has_it),
    };

    return cmocka_run_group_tests_name("passes stages", tests, NULL, NULL);
}
