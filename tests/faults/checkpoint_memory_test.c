/* Every allocation of a save, a read and a verification is failed once: nothing crashes or leaks (run under ASan), what
 * was stored before stays whole, and a save that says it went well did. jansson survives some failures, and hides
 * others. The linker sends malloc, calloc, realloc and strdup of the program here; jansson is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/verify.h"
#include "every.h"
#include "fixture.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
char *__wrap_strdup(const char *text);

static int allocations, failing; /* the failing-th fails; 0: none */

static bool fails(void)
{
    return ++allocations == failing;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __real_realloc(memory, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static int read_all(const char *folder, struct error *error)
{
    struct checkpoint checkpoint;
    unsigned char memory[512];
    char *text = NULL;
    int64_t bytes;
    int result = checkpoint_open(&file_system_real, folder, &checkpoint, error);

    for (int64_t i = 0; result == STATUS_OK && i < checkpoint.manifest.tensor_count; i++)
        result = checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                 checkpoint.manifest.tensors[i].bytes, error);
    if (result == STATUS_OK)
        result = checkpoint_read_file(&checkpoint, "vocab.json", &text, &bytes, error);
    free(text);
    checkpoint_close(&checkpoint);
    return result;
}

static void a_save_without_memory_fails_and_leaves_the_old_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    char old[PATH_MAX];
    bool reached = true;

    fixture_save(fixture->ckpt, 1);
    strcpy(old, fixture_path(fixture->ckpt, "step_00000001"));
    log_set_level(LOG_ERROR);
    for (int n = 1; reached; n += EVERY(7)) {
        struct checkpoint_snapshot snapshot;
        struct error error = {0};
        int result;

        assert_true(n < 10000);
        fixture_snapshot(&file_system_real, fixture->ckpt, 2, &snapshot);
        allocations = 0;
        failing = n;
        result = checkpoint_save(&snapshot, NULL, &error);
        failing = 0;
        reached = allocations >= n;
        assert_true(fixture_is_step(old, 1));
        if (result == STATUS_OK)
            assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000002"), 2));
        else
            assert_int_equal(result, STATUS_MEMORY);
    }
    log_set_level(LOG_INFO);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000002"), 2));
}

/* A channel of one rank, which has memory. */
static int gather(void *context, const void *mine, int64_t bytes, char **all, int64_t *sizes, struct error *error)
{
    (void)context;
    (void)error;
    *all = __real_malloc((size_t)bytes + 1);
    memcpy(*all, mine, (size_t)bytes);
    sizes[0] = bytes;
    return STATUS_OK;
}

static int broadcast(void *context, const void *mine, int64_t bytes, char **told, int64_t *told_bytes,
                     struct error *error)
{
    return gather(context, mine, bytes, told, told_bytes, error);
}

static void a_save_of_ranks_without_memory_fails_and_leaves_the_old_checkpoint(void **state)
{
    const struct checkpoint_ranks ranks = {.ranks = 1, .gather = gather, .broadcast = broadcast};
    struct checkpoint_slice slices[FIXTURE_TENSORS];
    struct fixture *fixture = *state;
    char old[PATH_MAX];
    bool reached = true;

    fixture_save(fixture->ckpt, 1);
    strcpy(old, fixture_path(fixture->ckpt, "step_00000001"));
    for (int i = 0; i < FIXTURE_TENSORS; i++)
        slices[i] = (struct checkpoint_slice){box_whole(&fixture_forms[i].shape), true};
    log_set_level(LOG_ERROR);
    for (int n = 1; reached; n += EVERY(7)) {
        struct checkpoint_snapshot snapshot;
        struct error error = {0};
        int result;

        assert_true(n < 10000);
        fixture_snapshot(&file_system_real, fixture->ckpt, 2, &snapshot);
        snapshot.ranks = &ranks;
        snapshot.slices = slices;
        allocations = 0;
        failing = n;
        result = checkpoint_save(&snapshot, NULL, &error);
        failing = 0;
        reached = allocations >= n;
        assert_true(fixture_is_step(old, 1));
        if (result != STATUS_OK && result != STATUS_MEMORY)
            fail_msg("allocation %d: %d, %s", n, result, error.message);
        assert_true(reached || result == STATUS_OK);
    }
    log_set_level(LOG_INFO);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000002"), 2));
}

static void a_read_without_memory_finds_no_damage(void **state)
{
    struct fixture *fixture = *state;
    char folder[PATH_MAX];
    bool reached = true;

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    for (int n = 1; reached; n += EVERY(7)) {
        struct error error = {0};
        int result;

        assert_true(n < 10000);
        allocations = 0;
        failing = n;
        result = read_all(folder, &error);
        failing = 0;
        reached = allocations >= n;
        if (result != STATUS_OK && result != STATUS_MEMORY)
            fail_msg("allocation %d: %d, %s", n, result, error.message);
        assert_true(reached || result == STATUS_OK);
    }
}

static void a_verification_without_memory_finds_no_damage(void **state)
{
    struct fixture *fixture = *state;
    char folder[PATH_MAX];
    bool reached = true;

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    for (int n = 1; reached; n += EVERY(7)) {
        struct error error = {0};
        int result;

        assert_true(n < 10000);
        allocations = 0;
        failing = n;
        result = checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, &error);
        failing = 0;
        reached = allocations >= n;
        if (result != STATUS_OK && result != STATUS_MEMORY)
            fail_msg("allocation %d: %d, %s", n, result, error.message);
        assert_true(reached || result == STATUS_OK);
    }
}

/* Three steps; never an older one than the newest. */
static void a_search_without_memory_finds_no_older_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    bool reached = true;

    for (int64_t step = 1; step <= 3; step++)
        fixture_save(fixture->ckpt, step);
    for (int n = 1; reached; n++) {
        struct error error = {0};
        char path[PATH_MAX];
        bool found = false;
        int result;

        assert_true(n < 10000);
        allocations = 0;
        failing = n;
        result = checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, &error);
        failing = 0;
        reached = allocations >= n;
        if (result != STATUS_OK && result != STATUS_MEMORY)
            fail_msg("allocation %d: %d, %s", n, result, error.message);
        if (result == STATUS_OK) {
            assert_true(found);
            assert_string_equal(path, fixture_path(fixture->ckpt, "step_00000003"));
        }
        assert_true(reached || result == STATUS_OK);
    }
}

static int use_failing_allocator(void **state)
{
    (void)state;
    json_set_alloc_funcs(__wrap_malloc, free);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_save_without_memory_fails_and_leaves_the_old_checkpoint),
        TEST(a_save_of_ranks_without_memory_fails_and_leaves_the_old_checkpoint),
        TEST(a_read_without_memory_finds_no_damage),
        TEST(a_verification_without_memory_finds_no_damage),
        TEST(a_search_without_memory_finds_no_older_checkpoint),
    };

    return cmocka_run_group_tests(tests, use_failing_allocator, NULL);
}
