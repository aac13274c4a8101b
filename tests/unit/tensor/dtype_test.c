#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tensor/dtype.h"

static void every_type_is_found_by_its_names(void **state)
{
    (void)state;
    for (uint32_t dtype = LLMRUN_NONE + 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);

        assert_int_equal(dtype_from_name(facts->name), dtype);
        if (facts->safetensors_name != NULL)
            assert_int_equal(dtype_from_safetensors_name(facts->safetensors_name), dtype);
    }
    assert_int_equal(dtype_from_safetensors_name("BF16"), LLMRUN_BF16);
    assert_int_equal(dtype_from_safetensors_name("F8_E4M3"), LLMRUN_E4M3FN);
}

static void foreign_names_and_numbers_are_no_type(void **state)
{
    (void)state;
    assert_int_equal(dtype_from_name("F32"), LLMRUN_NONE);
    assert_int_equal(dtype_from_name("none"), LLMRUN_NONE);
    assert_int_equal(dtype_from_safetensors_name("f32"), LLMRUN_NONE);
    assert_int_equal(dtype_from_safetensors_name("F64 "), LLMRUN_NONE);
    assert_int_equal(dtype_bytes(LLMRUN_DTYPES), 0);
    assert_int_equal(dtype_bytes(UINT32_MAX), 0);
    assert_string_equal(dtype_name(UINT32_MAX), "none");
}

static void bits_of_every_float_fill_its_bytes(void **state)
{
    (void)state;
    for (uint32_t dtype = LLMRUN_NONE + 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);

        if (facts->kind == DTYPE_FLOAT)
            assert_int_equal(1 + facts->exponent_bits + facts->mantissa_bits, 8 * facts->bytes);
    }
}

static void the_largest_number_follows_from_bits_bias_and_special_codes(void **state)
{
    (void)state;
    for (uint32_t dtype = LLMRUN_NONE + 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);
        /* IEEE gives the top exponent away; FN only its last mantissa. */
        int exponent = (1 << facts->exponent_bits) - 1 - (facts->special == DTYPE_IEEE) - facts->bias;
        double mantissa = 2 - ldexp(facts->special == DTYPE_FN ? 2 : 1, -facts->mantissa_bits);

        if (facts->kind == DTYPE_FLOAT)
            assert_true(ldexp(mantissa, exponent) == facts->max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_its_names),
        cmocka_unit_test(foreign_names_and_numbers_are_no_type),
        cmocka_unit_test(bits_of_every_float_fill_its_bytes),
        cmocka_unit_test(the_largest_number_follows_from_bits_bias_and_special_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
