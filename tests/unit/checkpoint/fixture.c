#include "fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

const struct safetensors_form fixture_forms[FIXTURE_TENSORS] = {
    {"param/embedding.weight", LLMRUN_F32, {2, {16, 8}}},
    {"param/norm.bias", LLMRUN_BF16, {1, {9}}},
    {"adam/embedding.weight", LLMRUN_F32, {2, {16, 8}}},
    {"empty", LLMRUN_F32, {2, {0, 4}}},
    {"scalar", LLMRUN_E4M3_IEEE, {0, {0}}},
};

#define LARGEST_TENSOR 512

static unsigned char tensor_data[FIXTURE_TENSORS][LARGEST_TENSOR];
static char vocabulary[64];

int fixture_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    struct fixture *fixture = calloc(1, sizeof *fixture);

    /* Thousands of small files: in memory where the system has a place for it. */
    if (parent == NULL)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "%s/llmrun-test-XXXXXX", parent);
    assert_non_null(mkdtemp(fixture->folder));
    assert_true(file_join(fixture->ckpt, sizeof fixture->ckpt, fixture->folder, "ckpt"));
    *state = fixture;
    return 0;
}

void fixture_remove(const char *folder)
{
    scratch_remove(folder);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    fixture_remove(fixture->folder);
    free(fixture);
    return 0;
}

const char *fixture_path(const char *folder, const char *name)
{
    static char path[PATH_MAX];

    assert_true(file_join(path, sizeof path, folder, name));
    return path;
}

void fixture_write(const char *path, const void *data, size_t bytes)
{
    /* In place: a file system may flush a file that is first cut to nothing, and then a thousand writes take long. */
    int handle = open(path, O_WRONLY | O_CREAT, 0666);

    assert_true(handle >= 0);
    assert_int_equal(write(handle, data, bytes), bytes);
    assert_int_equal(ftruncate(handle, (off_t)bytes), 0);
    assert_int_equal(close(handle), 0);
}

char *fixture_read(const char *path, int64_t *bytes)
{
    struct error error = {0};
    char *data = NULL;

    if (file_read_all(&file_system_real, path, INT64_C(1) << 30, &data, bytes, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return data;
}

static void fill_data(int64_t step)
{
    uint32_t random = (uint32_t)step * 2654435761u + 1;

    for (size_t i = 0; i < FIXTURE_TENSORS; i++)
        for (size_t j = 0; j < LARGEST_TENSOR; j++) {
            random = random * 1664525 + 1013904223;
            tensor_data[i][j] = (unsigned char)(random >> 24);
        }
    snprintf(vocabulary, sizeof vocabulary, "{\"a\": %" PRId64 "}", step);
}

void fixture_snapshot(const struct file_system *fs, const char *ckpt, int64_t step,
                      struct checkpoint_snapshot *snapshot)
{
    static const void *data[FIXTURE_TENSORS];
    static struct checkpoint_blob file;
    static struct checkpoint_state state;

    fill_data(step);
    for (size_t i = 0; i < FIXTURE_TENSORS; i++)
        data[i] = tensor_data[i];
    file = (struct checkpoint_blob){"vocab.json", vocabulary, (int64_t)strlen(vocabulary)};
    checkpoint_state_finish(&state);
    assert_int_equal(checkpoint_state_set_integer(&state, "tokens_seen", step * 1000, NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_text(&state, "optimizer", "adamw", NULL), STATUS_OK);
    *snapshot = (struct checkpoint_snapshot){
        .target = {.fs = fs, .folder = ckpt, .step = step, .run_id = "run-1", .shard_bytes = 600},
        .forms = fixture_forms,
        .data = data,
        .count = FIXTURE_TENSORS,
        .files = &file,
        .file_count = 1,
        .state = &state,
        .keep = 2,
    };
}

static int no_sync(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return 0;
}

static int no_sync_folder(const struct file_system *fs, const char *path)
{
    (void)fs;
    (void)path;
    return 0;
}

void fixture_save(const char *ckpt, int64_t step)
{
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    fs.sync = no_sync;
    fs.sync_folder = no_sync_folder;
    fixture_snapshot(&fs, ckpt, step, &snapshot);
    if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static bool same_tensors(struct checkpoint *checkpoint)
{
    unsigned char memory[LARGEST_TENSOR];

    for (size_t i = 0; i < FIXTURE_TENSORS; i++) {
        const struct manifest_tensor *tensor = checkpoint_tensor_find(checkpoint, fixture_forms[i].name);

        if (tensor == NULL || tensor->dtype != fixture_forms[i].dtype ||
            !shape_equal(&tensor->shape, &fixture_forms[i].shape) ||
            checkpoint_read(checkpoint, tensor, memory, tensor->bytes, NULL) != STATUS_OK ||
            memcmp(memory, tensor_data[i], (size_t)tensor->bytes) != 0)
            return false;
    }
    return true;
}

bool fixture_is_step(const char *folder, int64_t step)
{
    struct checkpoint checkpoint;
    int64_t tokens = -1, bytes = 0;
    char *text = NULL;
    bool same;

    fill_data(step);
    if (checkpoint_open(&file_system_real, folder, &checkpoint, NULL) != STATUS_OK)
        return false;
    same = checkpoint.manifest.step == step && checkpoint.manifest.tensor_count == FIXTURE_TENSORS &&
           checkpoint_state_integer(&checkpoint.manifest.state, "tokens_seen", &tokens) && tokens == step * 1000 &&
           same_tensors(&checkpoint) &&
           checkpoint_read_file(&checkpoint, "vocab.json", &text, &bytes, NULL) == STATUS_OK &&
           strcmp(text, vocabulary) == 0;
    free(text);
    checkpoint_close(&checkpoint);
    return same;
}
