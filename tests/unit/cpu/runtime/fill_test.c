#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/fill.h"

#define PATTERN 0x12345678u
#define BESIDE  0xffffffffu

/* Fills `words` words that begin `offset` words behind the start of a cache line, between words that are not filled. */
static void check(struct pool *pool, int64_t offset, int64_t words)
{
    int64_t room = (offset + words + 32) / 16 * 16;
    uint32_t *memory = aligned_alloc(64, (size_t)room * 4);

    assert_non_null(memory);
    for (int64_t i = 0; i < room; i++)
        memory[i] = BESIDE;
    fill_words(pool, memory + offset, PATTERN, words * 4);
    for (int64_t i = 0; i < room; i++)
        if (memory[i] != (i >= offset && i < offset + words ? PATTERN : BESIDE))
            fail_msg("word %lld of a fill of %lld from %lld on is %#x", (long long)i, (long long)words,
                     (long long)offset, memory[i]);
    free(memory);
}

static void a_fill_writes_its_words_and_no_others_whatever_its_size_and_place(void **state)
{
    static const int64_t sizes[] = {0, 1, 15, 17, FILL_SMALL / 4, FILL_SMALL / 4 + 1, 700001, (int64_t)9 << 20};
    struct pool *pool = pool_create(2);

    (void)state;
    assert_non_null(pool);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int64_t offset = 0; offset < 16; offset += 5)
            check(pool, offset, sizes[i]);
    pool_destroy(pool);
}

static void a_small_fill_needs_no_threads(void **state)
{
    (void)state;
    check(NULL, 3, FILL_SMALL / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fill_writes_its_words_and_no_others_whatever_its_size_and_place),
        cmocka_unit_test(a_small_fill_needs_no_threads),
    };

    return cmocka_run_group_tests_name("fill", tests, NULL, NULL);
}
