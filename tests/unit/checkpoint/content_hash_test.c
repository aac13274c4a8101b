/* Content hashes against SplitMix64 as others compute it, and what makes them free of a layout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "checkpoint/content_hash.h"

/* The first numbers of SplitMix64 begun with 1234567: the vectors of Rosetta Code, "Pseudo-random numbers/Splitmix64".
 */
static void the_mix_is_splitmix64(void **state)
{
    static const uint64_t numbers[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                       UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                       UINT64_C(16408922859458223821)};

    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        assert_true(content_mix64(i, 1234567) == numbers[i]);
}

static void elements_of_each_size_are_numbers_without_a_sign(void **state)
{
    static const uint8_t one[] = {200, 7};
    static const uint16_t two[] = {0xff80, 7};
    static const uint32_t four[] = {0x80000000, 7};
    const struct shape shape = {1, {2}};
    const struct box whole = box_whole(&shape);

    (void)state;
    assert_true(content_of_box(LLMRUN_U8, &shape, &whole, one) == content_mix64(0, 200) + content_mix64(1, 7));
    assert_true(content_of_box(LLMRUN_BF16, &shape, &whole, two) == content_mix64(0, 0xff80) + content_mix64(1, 7));
    assert_true(content_of_box(LLMRUN_F32, &shape, &whole, four) == content_mix64(0, 0x80000000) + content_mix64(1, 7));
}

/* Row 1, columns 1 and 2 of a tensor of 2 x 4: elements 5 and 6. */
static void an_element_counts_with_its_place_in_the_whole(void **state)
{
    static const uint32_t data[] = {11, 12};
    const struct shape shape = {2, {2, 4}};
    const struct box box = {{1, 1}, {1, 2}};

    (void)state;
    assert_true(content_of_box(LLMRUN_F32, &shape, &box, data) == content_mix64(5, 11) + content_mix64(6, 12));
}

static void nothing_has_the_hash_0_and_a_scalar_is_element_0(void **state)
{
    static const uint32_t data[] = {3};
    const struct shape empty = {2, {0, 4}}, scalar = {0, {0}};
    const struct box nothing = box_whole(&empty), all = box_whole(&scalar);

    (void)state;
    assert_true(content_of_box(LLMRUN_F32, &empty, &nothing, NULL) == 0);
    assert_true(content_of_box(LLMRUN_F32, &scalar, &all, data) == content_mix64(0, 3));
}

static void what_comes_in_pieces_has_the_same_hash(void **state)
{
    const struct shape shape = {2, {7, 9}};
    const struct box box = {{2, 3}, {4, 5}};
    uint32_t data[20];
    uint64_t wanted;

    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        data[i] = i * 2654435761u;
    wanted = content_of_box(LLMRUN_F32, &shape, &box, data);
    for (int64_t piece = 1; piece <= 80; piece++) {
        struct content content;

        content_begin(&content, LLMRUN_F32, &shape, &box);
        for (int64_t done = 0; done < 80; done += piece)
            content_add(&content, (const char *)data + done, 80 - done < piece ? 80 - done : piece);
        assert_true(content.sum == wanted);
    }
}

static void a_bit_or_a_place_that_differs_makes_another_hash(void **state)
{
    const struct shape shape = {1, {64}};
    const struct box whole = box_whole(&shape);
    uint32_t data[64] = {0};
    uint64_t zeros;

    (void)state;
    zeros = content_of_box(LLMRUN_F32, &shape, &whole, data);
    assert_true(zeros != 0);
    for (int i = 0; i < 64 * 32; i++) {
        uint64_t flipped;

        data[i / 32] = UINT32_C(1) << i % 32;
        flipped = content_of_box(LLMRUN_F32, &shape, &whole, data);
        assert_true(flipped != zeros);
        data[i / 32] = 0;
        data[(i / 32 + 1) % 64] = UINT32_C(1) << i % 32;
        assert_true(content_of_box(LLMRUN_F32, &shape, &whole, data) != flipped);
        data[(i / 32 + 1) % 64] = 0;
    }
}

static void a_hash_has_one_form_as_text(void **state)
{
    static const char *const others[] = {"",
                                         "mix64:",
                                         "mix64:0123456789abcde",
                                         "mix64:0123456789abcdef0",
                                         "mix64:0123456789ABCDEF",
                                         "xxh3:0123456789abcdef"};
    char text[CONTENT_TEXT_BYTES];
    uint64_t content = 0;

    (void)state;
    assert_string_equal(content_print(UINT64_C(0x0123456789abcdef), text), "mix64:0123456789abcdef");
    assert_true(content_parse(text, &content) && content == UINT64_C(0x0123456789abcdef));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(content_parse(others[i], &content));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mix_is_splitmix64),
        cmocka_unit_test(elements_of_each_size_are_numbers_without_a_sign),
        cmocka_unit_test(an_element_counts_with_its_place_in_the_whole),
        cmocka_unit_test(nothing_has_the_hash_0_and_a_scalar_is_element_0),
        cmocka_unit_test(what_comes_in_pieces_has_the_same_hash),
        cmocka_unit_test(a_bit_or_a_place_that_differs_makes_another_hash),
        cmocka_unit_test(a_hash_has_one_form_as_text),
    };

    return cmocka_run_group_tests_name("checkpoint content", tests, NULL, NULL);
}
