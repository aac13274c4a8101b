/* The functions on every instruction set: the bits of cpu_ref/exact.h, and the values of mathematics. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <llmrun/random.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"
#include "golden.h"
#include "math_probe.h"
#include "runtime/isa.h"

static const struct math_probe *const probes[CPU_ISAS] = {
    [CPU_ISA_PLAIN] = &math_probe_plain,
#if defined(__x86_64__)
    [CPU_ISA_AVX2] = &math_probe_avx2,
    [CPU_ISA_AVX512] = &math_probe_avx512,
#endif
};

#define BATCH 4096

/* Every 4099th bit pattern, NaNs and both infinities among them: calls `one` with batches of them. */
typedef void check_batch(const struct math_probe *probe, const float *x);

static void for_all_arguments(check_batch *one)
{
    static float x[BATCH];

    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++) {
        uint64_t pattern = 0;

        while (pattern < (1ull << 32)) {
            for (int i = 0; i < BATCH; i++, pattern += 4099) {
                uint32_t bits = pattern >> 32 == 0 ? (uint32_t)pattern : 0x7f800000u;

                memcpy(&x[i], &bits, sizeof(bits));
            }
            one(probes[isa], x);
        }
    }
}

static void assert_bits(const struct math_probe *probe, const char *name, float x, float found, float expected)
{
    if (memcmp(&found, &expected, sizeof(found)) != 0 && !(isnan(found) && isnan(expected)))
        fail_msg("%s of %a on %s is %a and not %a", name, (double)x, probe->isa, (double)found, (double)expected);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float narrow(float x)
{
    return reference_widen(reference_narrow(x));
}

static void check_bits(const struct math_probe *probe, const float *x)
{
    static float exps[BATCH], logs[BATCH], gelus[BATCH], slopes[BATCH], normals[BATCH], rounded[BATCH], stored[BATCH];

    probe->exp(x, exps, BATCH);
    probe->log(x, logs, BATCH);
    probe->gelu(x, gelus, BATCH);
    probe->gelu_slope(x, slopes, BATCH);
    probe->normal(x, normals, BATCH);
    probe->round_bf16(x, rounded, BATCH);
    probe->store_bf16(x, stored, BATCH);
    for (int i = 0; i < BATCH; i++) {
        assert_bits(probe, "exp", x[i], exps[i], exact_exp(x[i]));
        assert_bits(probe, "log", x[i], logs[i], exact_log(x[i]));
        assert_bits(probe, "gelu", x[i], gelus[i], exact_gelu(x[i]));
        assert_bits(probe, "gelu_slope", x[i], slopes[i], exact_gelu_slope(x[i]));
        assert_bits(probe, "normal", x[i], normals[i], exact_normal(bits_of(x[i])));
        assert_bits(probe, "round_bf16", x[i], rounded[i], narrow(x[i]));
        assert_bits(probe, "store_bf16", x[i], stored[i], narrow(x[i]));
    }
}

static void each_instruction_set_has_the_bits_of_the_scalar_functions(void **state)
{
    (void)state;
    for_all_arguments(check_bits);
}

/* In units of the last place of the fp32 number next to `expected`, whose range ends at 2^-149. */
static double ulps(double found, double expected)
{
    int exponent;

    frexp(expected, &exponent);
    return fabs(found - expected) / ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

static void assert_function(const char *name, const char *arguments, const char *values, float (*function)(float),
                            double bound)
{
    struct golden x = golden_read(arguments), y = golden_read(values);

    for (int64_t i = 0; i < x.count; i++) {
        double found = function((float)x.values[i]);

        if (!(ulps(found, y.values[i]) <= bound))
            fail_msg("%s(%a) is %a and not %a", name, x.values[i], found, y.values[i]);
    }
    golden_end(&x);
    golden_end(&y);
}

static void exp_and_log_are_as_near_to_pytorch_as_their_comments_say(void **state)
{
    (void)state;
    assert_function("exp", "exp.x", "exp.y", exact_exp, 1.1);
    assert_function("log", "log.x", "log.y", exact_log, 0.9);
}

static void exp_and_log_take_the_ends_of_their_ranges(void **state)
{
    (void)state;
    assert_true(exact_exp(88.8f) == INFINITY && exact_exp(INFINITY) == INFINITY);
    assert_true(exact_exp(-103.9f) == 0x1p-149f);
    assert_true(exact_exp(-104.5f) == 0.0f && exact_exp(-INFINITY) == 0.0f);
    assert_true(exact_exp(0.0f) == 1.0f && exact_exp(-0.0f) == 1.0f);
    assert_true(isnan(exact_exp(NAN)) && isnan(exact_log(NAN)) && isnan(exact_log(-1.0f)));
    assert_true(exact_log(0.0f) == -INFINITY && exact_log(-0.0f) == -INFINITY);
    assert_true(exact_log(INFINITY) == INFINITY && exact_log(1.0f) == 0.0f);
}

static void normal_is_the_quantile_function(void **state)
{
    struct golden words = golden_read("normal.words"), z = golden_read("normal.z");

    (void)state;
    for (int64_t i = 0; i < words.count; i++) {
        double found = exact_normal((uint32_t)words.values[i]);

        if (!(fabs(found - z.values[i]) <= 2e-6 * fabs(z.values[i])))
            fail_msg("word %.0f gives %.9g and not %.9g", words.values[i], found, z.values[i]);
    }
    golden_end(&words);
    golden_end(&z);
}

static void lanes_meet_in_a_tree_halves_first(void **state)
{
    /* 2^24 and 1 meet first and round to 2^24; in any other order the 1 survives. */
    const float x[16] = {0x1p+24f, 0, 0, 0, -0x1p+24f, 0, 0, 0, 1.0f};
    const float y[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99, 13, 14, 15, -100};

    (void)state;
    assert_true(exact_tree(x) == 0.0f);
    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++) {
        assert_true(probes[isa]->sum(x) == 0.0f);
        assert_true(probes[isa]->sum(y) == exact_tree(y));
        assert_true(probes[isa]->maximum(y) == 99.0f);
    }
}

static void sixty_four_words_at_a_time_are_those_of_the_contract(void **state)
{
    static const uint64_t firsts[] = {0, 64, 0x3ffffffc0u, 0x400000000u, 0xffffffffffffffc0u};
    const uint32_t random[4] = {0xdeadbeefu, 17, 0xfffffffeu, 5};
    uint32_t words[64];

    (void)state;
    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++)
        for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
            probes[isa]->philox(random, 0x80000001u, firsts[i], words);
            for (uint64_t e = 0; e < 64; e++)
                assert_int_equal(words[e], llmrun_random_word(random, 0x80000001u, firsts[i] + e));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instruction_set_has_the_bits_of_the_scalar_functions),
        cmocka_unit_test(exp_and_log_are_as_near_to_pytorch_as_their_comments_say),
        cmocka_unit_test(exp_and_log_take_the_ends_of_their_ranges),
        cmocka_unit_test(normal_is_the_quantile_function),
        cmocka_unit_test(lanes_meet_in_a_tree_halves_first),
        cmocka_unit_test(sixty_four_words_at_a_time_are_those_of_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
