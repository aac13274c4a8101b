/* The tables of rotary positions against transformers (tests/golden/make_ops.py). */
#include "model/family.h"
#include "model/rope.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/kernels/golden.h"

#define HALF 64
#define ROWS 2048

static struct model_config config_of(enum rope_scaling scaling)
{
    struct model_config config;

    model_defaults(&family_llama, &config);
    config.head_dim = 2 * HALF;
    config.rope_theta = 500000;
    config.rope_scaling = scaling;
    config.rope_factor = scaling == ROPE_LINEAR ? 2.5 : 8;
    config.rope_low_freq_factor = 1;
    config.rope_high_freq_factor = 4;
    config.rope_original_positions = 8192;
    return config;
}

static const struct {
    enum rope_scaling scaling;
    const char *name;
} scalings[] = {{ROPE_UNSCALED, "default"}, {ROPE_LINEAR, "linear"}, {ROPE_LLAMA3, "llama3"}};

static struct golden read_of(int scaling, const char *part)
{
    char name[64];

    snprintf(name, sizeof name, "rope_tables.%s.%s", scalings[scaling].name, part);
    return golden_read(name);
}

/* Its pow is rounded to fp32 less well than ours. */
static void frequencies_are_those_of_transformers_within_two_units_of_the_last_place(void **state)
{
    (void)state;
    for (int s = 0; s < 3; s++) {
        const struct model_config config = config_of(scalings[s].scaling);
        struct golden golden = read_of(s, "frequencies");

        assert_int_equal(golden.count, HALF);
        for (int64_t i = 0; i < HALF; i++) {
            double found = (double)rope_frequency(&config, i);

            if (!(fabs(found - golden.values[i]) <= 0x1p-22 * golden.values[i]))
                fail_msg("%s %d: %.9g and not %.9g", scalings[s].name, (int)i, found, golden.values[i]);
        }
        golden_end(&golden);
    }
}

static void compare(int scaling, const char *part, const float *table)
{
    struct golden golden = read_of(scaling, part), positions = golden_read("rope_tables.positions");

    assert_int_equal(golden.count, positions.count * HALF);
    for (int64_t i = 0; i < golden.count; i++) {
        const double position = positions.values[i / HALF];
        const double found = (double)table[(int64_t)position * HALF + i % HALF];
        /* Two units of the frequency, times the position, and what its cosine is rounded by. */
        const double bound = position * 0x1p-22 + 0x1p-22;

        if (!(fabs(found - golden.values[i]) <= bound))
            fail_msg("%s %s %d: %.9g and not %.9g", scalings[scaling].name, part, (int)i, found, golden.values[i]);
    }
    golden_end(&golden);
    golden_end(&positions);
}

static void cosines_and_sines_are_those_of_transformers(void **state)
{
    float *table = malloc(sizeof(float) * ROWS * HALF);

    (void)state;
    assert_non_null(table);
    for (int s = 0; s < 3; s++) {
        const struct model_config config = config_of(scalings[s].scaling);

        rope_cosines(&config, ROWS, table);
        compare(s, "cosines", table);
        rope_sines(&config, ROWS, table);
        compare(s, "sines", table);
    }
    free(table);
}

static void a_model_fills_its_tables_by_name_and_knows_no_other(void **state)
{
    const struct model_config config = config_of(ROPE_UNSCALED);
    struct value value = {.name = ROPE_SINES, .kind = VALUE_CONSTANT, .rank = 2, .shape = {2, HALF}, .full = {2, HALF}};
    float table[2 * HALF];
    struct error error;

    (void)state;
    assert_int_equal(model_fill_constant(&config, &value, table, &error), STATUS_OK);
    assert_true(table[0] == 0 && fabs((double)table[HALF] - sin(1)) < 1e-7);
    value.name = "Rope.sines";
    assert_int_equal(model_fill_constant(&config, &value, table, &error), STATUS_BUG);
    assert_string_equal(error.message, "no model fills the constant Rope.sines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_those_of_transformers_within_two_units_of_the_last_place),
        cmocka_unit_test(cosines_and_sines_are_those_of_transformers),
        cmocka_unit_test(a_model_fills_its_tables_by_name_and_knows_no_other),
    };

    return cmocka_run_group_tests_name("rotary positions", tests, NULL, NULL);
}
