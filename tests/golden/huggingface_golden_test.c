/* Directories that transformers wrote, imported and exported again: the same tensors, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conversion/export.h"
#include "conversion/import.h"
#include "fixture.h"
#include "huggingface/directory.h"

/* Made by make_huggingface.py. */
static const char *const models[] = {
    "gpt2_fp32_shards",     "gpt2_bf16", "gpt2_fp16", "llama_fp32", "llama_bf16_tied_shards", "gpt2_own_head",
    "llama_own_head_shards"};

static void open_directory(const char *folder, struct hf_directory *directory)
{
    struct error error = {0};

    if (hf_directory_open(&file_system_real, folder, directory, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static int64_t tensor_count(const struct hf_directory *directory)
{
    int64_t count = 0;

    for (int64_t i = 0; i < directory->count; i++)
        count += directory->files[i].count;
    return count;
}

static void assert_same_tensor(const struct safetensors *a, const struct safetensors_tensor *x,
                               const struct hf_directory *other)
{
    const struct safetensors *b;
    const struct safetensors_tensor *y = hf_directory_find(other, x->name, &b);
    char *one = malloc((size_t)x->bytes + 1), *two = malloc((size_t)x->bytes + 1);

    if (y == NULL || y->dtype != x->dtype || !shape_equal(&x->shape, &y->shape))
        fail_msg("%s is missing or has another form", x->name);
    assert_true(one != NULL && two != NULL);
    assert_int_equal(safetensors_read(a, x, 0, one, x->bytes, NULL), STATUS_OK);
    assert_int_equal(safetensors_read(b, y, 0, two, x->bytes, NULL), STATUS_OK);
    if (memcmp(one, two, (size_t)x->bytes) != 0)
        fail_msg("%s has other bytes", x->name);
    free(one);
    free(two);
}

static void assert_same(const char *folder, const char *other)
{
    struct hf_directory a, b;

    open_directory(folder, &a);
    open_directory(other, &b);
    assert_int_equal(tensor_count(&a), tensor_count(&b));
    for (int64_t f = 0; f < a.count; f++)
        for (int64_t i = 0; i < a.files[f].count; i++)
            assert_same_tensor(&a.files[f], &a.files[f].tensors[i], &b);
    hf_directory_close(&a);
    hf_directory_close(&b);
}

static void import_then_export_gives_the_same_bytes(void **state)
{
    const struct fixture *fixture = *state;
    char source[PATH_MAX], middle[PATH_MAX], target[PATH_MAX];

    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct export_options options = {.fs = &file_system_real, .source = middle, .target = target};
        struct export_report report;
        struct error error = {0};

        snprintf(source, sizeof source, LLMRUN_SOURCE_DIR "/tests/golden/huggingface/%s", models[i]);
        snprintf(middle, sizeof middle, "%.200s/%s.ckpt", fixture->folder, models[i]);
        if (import_directory(&file_system_real, source, middle, NULL, 0, NULL, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        for (int sharded = 0; sharded < 2; sharded++) {
            options.shard_bytes = sharded ? 6000 : 1 << 30;
            snprintf(target, sizeof target, "%.200s/%s.%d", fixture->folder, models[i], sharded);
            if (export_checkpoint(&options, &report, &error) != STATUS_OK)
                fail_msg("%s", error.message);
            assert_true(sharded ? report.files > 2 : report.files == 1);
            assert_same(source, target);
        }
    }
}

static void another_type_is_rounded_to(void **state)
{
    const struct fixture *fixture = *state;
    char middle[PATH_MAX], target[PATH_MAX];
    struct export_options options = {
        .fs = &file_system_real, .source = middle, .target = target, .dtype = LLMRUN_BF16, .shard_bytes = 1 << 30};
    struct export_report report;
    struct hf_directory directory;

    snprintf(middle, sizeof middle, "%.200s/ckpt", fixture->folder);
    snprintf(target, sizeof target, "%.200s/bf16/", fixture->folder);
    assert_int_equal(import_directory(&file_system_real, LLMRUN_SOURCE_DIR "/tests/golden/huggingface/gpt2_fp32_shards",
                                      middle, NULL, 0, NULL, NULL),
                     STATUS_OK);
    assert_int_equal(export_checkpoint(&options, &report, NULL), STATUS_OK);
    open_directory(target, &directory);
    assert_int_equal(directory.files[0].count, report.tensors);
    for (int64_t i = 0; i < directory.files[0].count; i++)
        assert_int_equal(directory.files[0].tensors[i].dtype, LLMRUN_BF16);
    hf_directory_close(&directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(import_then_export_gives_the_same_bytes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(another_type_is_rounded_to, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
