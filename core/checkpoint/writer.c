#include "checkpoint/writer.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "checkpoint/commit.h"
#include "checkpoint/folder.h"
#include "checkpoint/manifest.h"
#include "checkpoint/retain.h"
#include "checkpoint/shards.h"
#include "checkpoint/stored_file.h"

struct checkpoint_writer {
    struct checkpoint_target target;
    const struct safetensors_form *forms;
    int64_t form_count;
    struct shards shards;
    struct manifest manifest;
    struct stored_file file;     /* the shard that is being written */
    struct checksum *checksum;   /* of the tensor that is being written */
    int64_t shard, form, filled; /* places in shards and forms; bytes of this tensor so far */
    int64_t file_index;          /* of the shard, in the manifest */
    char partial[PATH_MAX], final[PATH_MAX];
};

static int check_request(const struct checkpoint_target *target, const struct safetensors_form *forms, int64_t count,
                         struct error *error)
{
    struct name_index names = {0};
    const char *twice;
    int result;

    if (target->step < 0 || !manifest_plain_name(target->run_id, MANIFEST_RUN_ID_BYTES - 1))
        return error_set(error, STATUS_BUG, "a checkpoint of step %lld and run '%.80s' cannot be named",
                         (long long)target->step, target->run_id);
    result = name_index_make(forms, count, sizeof *forms, &names, error);
    if (result == STATUS_OK && (twice = name_index_repeated(&names)) != NULL)
        result = error_set(error, STATUS_BUG, "the tensor name '%.200s' is taken", twice);
    name_index_finish(&names);
    return result;
}

static int make_paths(struct checkpoint_writer *writer, struct error *error)
{
    const struct checkpoint_target *target = &writer->target;
    char name[128];

    snprintf(name, sizeof name, "step_%08" PRId64 COMMIT_PARTIAL "%s", target->step, target->run_id);
    if (!file_join(writer->partial, sizeof writer->partial, target->folder, name))
        return error_set(error, STATUS_STORAGE, "the path of the folder %.200s... is too long", target->folder);
    *strstr(name, COMMIT_PARTIAL) = '\0';
    file_join(writer->final, sizeof writer->final, target->folder, name);
    return STATUS_OK;
}

/* Makes the folder of checkpoints, and its own entry in the folder above durable. */
static int make_folder(const struct checkpoint_target *target, struct error *error)
{
    char parent[PATH_MAX], *slash;
    int result;

    if (folder_exists(target->folder))
        return STATUS_OK;
    result = file_make_folders(target->fs, target->folder, error);
    if (result != STATUS_OK)
        return result;
    snprintf(parent, sizeof parent, "%s", target->folder);
    slash = strrchr(parent, '/');
    if (slash == NULL)
        strcpy(parent, ".");
    else
        slash[slash == parent] = '\0';
    return stored_folder_sync(target->fs, parent, error);
}

/* A bound: the manifest takes under 600 bytes a tensor beside its name. */
static int check_space(const struct checkpoint_writer *writer, struct error *error)
{
    const struct file_system *fs = writer->target.fs;
    int64_t available = fs->free_bytes(fs, writer->target.folder);
    int64_t needed = writer->shards.total_bytes + 65536;

    for (int64_t i = 0; i < writer->form_count; i++)
        needed += 600 + (int64_t)strlen(writer->forms[i].name);
    if (available >= 0 && available < needed)
        return error_set(error, STATUS_STORAGE,
                         "%s: the checkpoint needs %lld bytes, %lld are free; make room or keep fewer checkpoints",
                         writer->target.folder, (long long)needed, (long long)available);
    return STATUS_OK;
}

/* What cannot be removed is in the way only where it has the name of the new folder. */
static int sweep(const struct checkpoint_writer *writer, struct error *error)
{
    struct error removal = {0};
    int result = checkpoint_sweep(writer->target.fs, writer->target.folder, &removal);

    if (result == STATUS_OK)
        return STATUS_OK;
    if (folder_exists(writer->partial))
        return error_set(error, result, "%s", removal.message);
    log_line(LOG_WARNING, "the rest of an earlier save stays: %s", removal.message);
    return STATUS_OK;
}

static int prepare(struct checkpoint_writer *writer, const struct checkpoint_state *state, struct error *error)
{
    const struct checkpoint_target *target = &writer->target;
    int64_t limit = target->shard_bytes > 0 ? target->shard_bytes : SHARDS_DEFAULT_BYTES;
    int result;

    if ((result = check_request(target, writer->forms, writer->form_count, error)) != STATUS_OK ||
        (result = make_paths(writer, error)) != STATUS_OK ||
        (result = shards_plan(writer->forms, writer->form_count, limit, target->run_id, target->step, &writer->shards,
                              error)) != STATUS_OK ||
        (result = checkpoint_state_copy(state, &writer->manifest.state, error)) != STATUS_OK ||
        (result = make_folder(target, error)) != STATUS_OK || (result = sweep(writer, error)) != STATUS_OK ||
        (result = check_space(writer, error)) != STATUS_OK)
        return result;
    writer->manifest.step = target->step;
    strcpy(writer->manifest.run_id, target->run_id);
    writer->checksum = checksum_create();
    if (writer->checksum == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a checkpoint writer");
    result = target->fs->make_folder(target->fs, writer->partial);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", writer->partial, strerror(-result));
    return STATUS_OK;
}

static int start_shard(struct checkpoint_writer *writer, const struct shard *shard, struct error *error)
{
    const struct manifest_file listed = {.name = (char *)shard->name,
                                         .header_bytes = shard->header_bytes,
                                         .header_checksum = hash_bytes(shard->header, (size_t)shard->header_bytes)};
    int result;

    writer->file_index = writer->manifest.file_count;
    if ((result = manifest_add_file(&writer->manifest, &listed, error)) != STATUS_OK ||
        (result = stored_file_create(&writer->file, writer->target.fs, writer->partial, shard->name, error)) !=
            STATUS_OK)
        return result;
    return stored_file_write(&writer->file, shard->header, shard->header_bytes, error);
}

static int finish_shard(struct checkpoint_writer *writer, struct error *error)
{
    struct manifest_file *listed = &writer->manifest.files[writer->file_index];

    listed->bytes = writer->file.bytes;
    writer->shard++;
    return stored_file_finish(&writer->file, &listed->checksum, error);
}

static int finish_tensor(struct checkpoint_writer *writer, struct error *error)
{
    const struct safetensors_form *form = &writer->forms[writer->form];
    const struct manifest_tensor tensor = {.name = (char *)form->name,
                                           .file = writer->file_index,
                                           .dtype = form->dtype,
                                           .shape = form->shape,
                                           .offset = writer->file.bytes - writer->filled,
                                           .bytes = writer->filled,
                                           .checksum = checksum_value(writer->checksum)};

    checksum_reset(writer->checksum);
    writer->filled = 0;
    writer->form++;
    return manifest_add_tensor(&writer->manifest, &tensor, error);
}

/* Goes on to the next tensor that waits for bytes: ends shards and tensors (empty ones too) and opens the next shard.
 */
static int advance(struct checkpoint_writer *writer, struct error *error)
{
    int result = STATUS_OK;

    while (writer->shard < writer->shards.count && result == STATUS_OK) {
        const struct shard *shard = &writer->shards.shards[writer->shard];

        if (writer->file.handle < 0)
            result = start_shard(writer, shard, error);
        else if (writer->form == shard->first + shard->count)
            result = finish_shard(writer, error);
        else if (writer->filled == safetensors_form_bytes(&writer->forms[writer->form]))
            result = finish_tensor(writer, error);
        else
            break;
    }
    return result;
}

int checkpoint_writer_begin(const struct checkpoint_target *target, const struct safetensors_form *forms, int64_t count,
                            const struct checkpoint_state *state, struct checkpoint_writer **writer,
                            struct error *error)
{
    int result;

    *writer = calloc(1, sizeof **writer);
    if (*writer == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a checkpoint writer");
    (*writer)->target = *target;
    (*writer)->forms = forms;
    (*writer)->form_count = count;
    (*writer)->file.handle = -1;
    result = prepare(*writer, state, error);
    if (result == STATUS_OK)
        result = advance(*writer, error);
    if (result != STATUS_OK) {
        checkpoint_writer_abort(*writer);
        *writer = NULL;
    }
    return result;
}

int checkpoint_writer_add(struct checkpoint_writer *writer, const char *name, const void *data, int64_t bytes,
                          struct error *error)
{
    const struct safetensors_form *form = &writer->forms[writer->form];
    int result;

    if (bytes == 0)
        return STATUS_OK;
    if (writer->form >= writer->form_count || strcmp(form->name, name) != 0)
        return error_set(error, STATUS_BUG, "the checkpoint waits for tensor '%.200s', not for '%.200s'",
                         writer->form < writer->form_count ? form->name : "none", name);
    if (bytes > safetensors_form_bytes(form) - writer->filled)
        return error_set(error, STATUS_BUG, "tensor '%.200s' has more bytes than its shape", name);
    result = stored_file_write(&writer->file, data, bytes, error);
    if (result != STATUS_OK)
        return result;
    checksum_add(writer->checksum, data, (size_t)bytes);
    writer->filled += bytes;
    return advance(writer, error);
}

int checkpoint_writer_add_file(struct checkpoint_writer *writer, const char *name, const void *data, int64_t bytes,
                               struct error *error)
{
    struct manifest_file listed = {.name = (char *)name, .bytes = bytes};
    struct stored_file file = {.handle = -1};
    int result;

    if (!manifest_plain_name(name, MANIFEST_NAME_LIMIT) || strcmp(name, MANIFEST_NAME) == 0 ||
        strncmp(name, "tensors-", 8) == 0 || manifest_find_file(&writer->manifest, name) != NULL)
        return error_set(error, STATUS_BUG, "a file '%.140s' cannot be put into a checkpoint", name);
    if ((result = stored_file_create(&file, writer->target.fs, writer->partial, name, error)) == STATUS_OK &&
        (result = stored_file_write(&file, data, bytes, error)) == STATUS_OK &&
        (result = stored_file_finish(&file, &listed.checksum, error)) == STATUS_OK)
        result = manifest_add_file(&writer->manifest, &listed, error);
    stored_file_abandon(&file);
    return result;
}

int64_t checkpoint_writer_bytes(const struct checkpoint_writer *writer)
{
    return writer->shards.total_bytes;
}

static void destroy(struct checkpoint_writer *writer)
{
    stored_file_abandon(&writer->file);
    checksum_destroy(writer->checksum);
    shards_finish(&writer->shards);
    manifest_finish(&writer->manifest);
    free(writer);
}

void checkpoint_writer_abort(struct checkpoint_writer *writer)
{
    if (writer == NULL)
        return;
    stored_file_abandon(&writer->file);
    /* What cannot be removed now is swept by the next save. */
    (void)folder_remove(writer->target.fs, writer->partial, MANIFEST_NAME, NULL);
    destroy(writer);
}

int checkpoint_writer_commit(struct checkpoint_writer *writer, struct error *error)
{
    bool renamed = false;
    int result;

    if (writer->shard < writer->shards.count)
        result = error_set(error, STATUS_BUG, "the checkpoint still waits for tensor '%.200s'",
                           writer->forms[writer->form].name);
    else
        result = commit_folder(writer->target.fs, writer->target.folder, writer->partial, writer->final,
                               &writer->manifest, &renamed, error);
    if (result != STATUS_OK && !renamed)
        checkpoint_writer_abort(writer);
    else
        destroy(writer);
    return result;
}
