#include "checkpoint/writer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/blocks.h"
#include "checkpoint/commit.h"
#include "checkpoint/content_hash.h"
#include "checkpoint/name_index.h"
#include "checkpoint/shards.h"
#include "checkpoint/stored_file.h"
#include "tensor/dtype.h"

/* What is handed to the file system at once: small enough to be hashed and written out of the cache. */
#define CHUNK_BYTES ((int64_t)1 << 20)

struct checkpoint_writer {
    struct checkpoint_target target;
    struct partial_folder folder;
    struct safetensors_form *forms;  /* of what is written: the shape is that of its box */
    struct manifest_tensor *tensors; /* and what each is of; names are borrowed */
    struct box *boxes;
    int64_t count;
    struct shards shards;
    struct manifest manifest;
    struct stored_file file;     /* the shard that is being written */
    struct blocks blocks;        /* of the tensor that is being written */
    struct content content;      /* of it */
    int64_t shard, form, filled; /* places in shards and forms; bytes of this tensor so far */
    int64_t file_index;          /* of the shard, in the manifest */
};

static int check_names(const struct safetensors_form *forms, int64_t count, struct error *error)
{
    struct name_index names = {0};
    const char *twice;
    int result = name_index_make(forms, count, sizeof *forms, &names, error);

    if (result == STATUS_OK && (twice = name_index_repeated(&names)) != NULL)
        result = error_set(error, STATUS_BUG, "the tensor name '%.200s' is taken", twice);
    name_index_finish(&names);
    return result;
}

bool checkpoint_slice_is_written(const struct checkpoint_slice *slice, const struct safetensors_form *form)
{
    return slice->stored && (box_elements(&slice->box, form->shape.rank) > 0 || shape_elements(&form->shape) == 0);
}

/* `slices` NULL: the whole of each. */
static int select_forms(struct checkpoint_writer *writer, const struct safetensors_form *forms,
                        const struct checkpoint_slice *slices, int64_t count, struct error *error)
{
    writer->forms = malloc((size_t)(count + 1) * sizeof *writer->forms);
    writer->tensors = malloc((size_t)(count + 1) * sizeof *writer->tensors);
    writer->boxes = malloc((size_t)(count + 1) * sizeof *writer->boxes);
    if (writer->forms == NULL || writer->tensors == NULL || writer->boxes == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a checkpoint writer");
    for (int64_t i = 0; i < count; i++) {
        const struct box box = slices != NULL ? slices[i].box : box_whole(&forms[i].shape);

        if (slices != NULL && !checkpoint_slice_is_written(&slices[i], &forms[i]))
            continue;
        writer->forms[writer->count] =
            (struct safetensors_form){forms[i].name, forms[i].dtype, box_shape(&box, forms[i].shape.rank)};
        writer->tensors[writer->count] =
            (struct manifest_tensor){.name = (char *)forms[i].name, .dtype = forms[i].dtype, .shape = forms[i].shape};
        writer->boxes[writer->count++] = box;
    }
    return STATUS_OK;
}

/* All that needs no file. */
static int plan(struct checkpoint_writer *writer, const struct safetensors_form *forms,
                const struct checkpoint_slice *slices, int64_t count, int32_t rank, struct error *error)
{
    const struct checkpoint_target *target = &writer->target;
    int64_t limit = target->shard_bytes > 0 ? target->shard_bytes : SHARDS_DEFAULT_BYTES;
    int result;

    if ((result = partial_name(target, &writer->folder, error)) != STATUS_OK ||
        (result = check_names(forms, count, error)) != STATUS_OK ||
        (result = select_forms(writer, forms, slices, count, error)) != STATUS_OK ||
        (result = shards_plan(writer->forms, writer->count, limit, target->run_id, target->step, rank, &writer->shards,
                              error)) != STATUS_OK)
        return result;
    for (int64_t i = 0; i < writer->count; i++)
        writer->tensors[i].bytes = shape_elements(&writer->tensors[i].shape) * dtype_bytes(writer->tensors[i].dtype);
    writer->manifest.step = target->step;
    strcpy(writer->manifest.run_id, target->run_id);
    return STATUS_OK;
}

static int make_folder(const struct checkpoint_writer *writer, struct error *error)
{
    int64_t needed = writer->shards.total_bytes + PARTIAL_BYTES_BESIDE;

    for (int64_t i = 0; i < writer->count; i++)
        needed += partial_bytes_beside(writer->forms[i].name, safetensors_form_bytes(&writer->forms[i]));
    return partial_make(&writer->target, &writer->folder, needed, error);
}

static int start_shard(struct checkpoint_writer *writer, const struct shard *shard, struct error *error)
{
    const struct manifest_file listed = {.name = (char *)shard->name,
                                         .header_bytes = shard->header_bytes,
                                         .header_checksum = hash_bytes(shard->header, (size_t)shard->header_bytes)};
    int result;

    writer->file_index = writer->manifest.file_count;
    if ((result = manifest_add_file(&writer->manifest, &listed, error)) != STATUS_OK ||
        (result = stored_file_create(&writer->file, writer->target.fs, writer->folder.partial, shard->name, error)) !=
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

static int start_tensor(struct checkpoint_writer *writer, struct error *error)
{
    const struct safetensors_form *form = &writer->forms[writer->form];
    const int64_t last = form->shape.rank > 0 ? form->shape.extent[form->shape.rank - 1] : 1;

    content_begin(&writer->content, form->dtype, &writer->tensors[writer->form].shape, &writer->boxes[writer->form]);
    return blocks_init(&writer->blocks, safetensors_form_bytes(form), last * dtype_bytes(form->dtype), error);
}

static int finish_tensor(struct checkpoint_writer *writer, struct error *error)
{
    struct manifest_tensor *tensor = &writer->tensors[writer->form];
    const struct manifest_part part = {.file = writer->file_index,
                                       .box = writer->boxes[writer->form],
                                       .offset = writer->file.bytes - writer->filled,
                                       .bytes = writer->filled,
                                       .content = writer->content.sum,
                                       .block_bytes = writer->blocks.block_bytes,
                                       .blocks = writer->blocks.checksums};
    int result;

    tensor->content = part.content;
    result = manifest_add_tensor(&writer->manifest, tensor, error);
    if (result == STATUS_OK)
        result = manifest_add_part(&writer->manifest.tensors[writer->manifest.tensor_count - 1], &part, error);
    blocks_finish(&writer->blocks);
    writer->filled = 0;
    writer->form++;
    return result;
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
        else if (writer->blocks.running == NULL)
            result = start_tensor(writer, error);
        else if (writer->blocks.left == 0)
            result = finish_tensor(writer, error);
        else
            break;
    }
    return result;
}

static struct checkpoint_writer *make(const struct checkpoint_target *target, struct error *error)
{
    struct checkpoint_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) {
        error_set(error, STATUS_MEMORY, "no memory for a checkpoint writer");
        return NULL;
    }
    writer->target = *target;
    writer->file.handle = -1;
    return writer;
}

int checkpoint_writer_begin(const struct checkpoint_target *target, const struct safetensors_form *forms, int64_t count,
                            const struct checkpoint_state *state, struct checkpoint_writer **writer,
                            struct error *error)
{
    int result;

    *writer = make(target, error);
    if (*writer == NULL)
        return STATUS_MEMORY;
    if ((result = plan(*writer, forms, NULL, count, -1, error)) == STATUS_OK &&
        (state == NULL || (result = checkpoint_state_copy(state, &(*writer)->manifest.state, error)) == STATUS_OK) &&
        (result = make_folder(*writer, error)) == STATUS_OK)
        result = advance(*writer, error);
    if (result != STATUS_OK) {
        checkpoint_writer_abort(*writer);
        *writer = NULL;
    }
    return result;
}

int checkpoint_writer_begin_rank(const struct checkpoint_target *target, const struct safetensors_form *forms,
                                 const struct checkpoint_slice *slices, int64_t count, int32_t rank,
                                 struct checkpoint_writer **writer, struct error *error)
{
    int result;

    *writer = make(target, error);
    if (*writer == NULL)
        return STATUS_MEMORY;
    (*writer)->manifest.is_list = true;
    if ((result = plan(*writer, forms, slices, count, rank, error)) == STATUS_OK)
        result = advance(*writer, error);
    if (result != STATUS_OK) {
        checkpoint_writer_destroy(*writer);
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
    if (writer->form >= writer->count || strcmp(form->name, name) != 0)
        return error_set(error, STATUS_BUG, "the checkpoint waits for tensor '%.200s', not for '%.200s'",
                         writer->form < writer->count ? form->name : "none", name);
    if (bytes > safetensors_form_bytes(form) - writer->filled)
        return error_set(error, STATUS_BUG, "tensor '%.200s' has more bytes than its shape", name);
    for (int64_t done = 0; done < bytes; done += CHUNK_BYTES) {
        const int64_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;

        result = stored_file_write(&writer->file, (const char *)data + done, chunk, error);
        if (result != STATUS_OK)
            return result;
        blocks_add(&writer->blocks, (const char *)data + done, chunk);
        content_add(&writer->content, (const char *)data + done, chunk);
        writer->filled += chunk;
    }
    return advance(writer, error);
}

int checkpoint_writer_add_replica(struct checkpoint_writer *writer, const struct safetensors_form *form,
                                  const struct box *box, const void *data, struct error *error)
{
    const int64_t element_bytes = dtype_bytes(form->dtype);
    const struct manifest_tensor tensor = {.name = (char *)form->name,
                                           .dtype = form->dtype,
                                           .shape = form->shape,
                                           .bytes = shape_elements(&form->shape) * element_bytes};
    const struct manifest_part part = {.file = -1,
                                       .box = *box,
                                       .bytes = box_elements(box, form->shape.rank) * element_bytes,
                                       .content = content_of_box(form->dtype, &form->shape, box, data)};
    int result = manifest_add_tensor(&writer->manifest, &tensor, error);

    return result == STATUS_OK
               ? manifest_add_part(&writer->manifest.tensors[writer->manifest.tensor_count - 1], &part, error)
               : result;
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
    if ((result = stored_file_create(&file, writer->target.fs, writer->folder.partial, name, error)) == STATUS_OK &&
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

void checkpoint_writer_destroy(struct checkpoint_writer *writer)
{
    if (writer == NULL)
        return;
    stored_file_abandon(&writer->file);
    blocks_finish(&writer->blocks);
    shards_finish(&writer->shards);
    manifest_finish(&writer->manifest);
    free(writer->forms);
    free(writer->tensors);
    free(writer->boxes);
    free(writer);
}

void checkpoint_writer_abort(struct checkpoint_writer *writer)
{
    if (writer == NULL)
        return;
    stored_file_abandon(&writer->file);
    partial_remove(&writer->target, &writer->folder);
    checkpoint_writer_destroy(writer);
}

static int check_end(const struct checkpoint_writer *writer, struct error *error)
{
    return writer->shard == writer->shards.count
               ? STATUS_OK
               : error_set(error, STATUS_BUG, "the checkpoint still waits for tensor '%.200s'",
                           writer->forms[writer->form].name);
}

int checkpoint_writer_list(struct checkpoint_writer *writer, const struct manifest **list, struct error *error)
{
    *list = &writer->manifest;
    return check_end(writer, error);
}

int checkpoint_writer_commit(struct checkpoint_writer *writer, struct error *error)
{
    bool renamed = false;
    int result = check_end(writer, error);

    if (result == STATUS_OK)
        result = commit_folder(writer->target.fs, writer->target.folder, writer->folder.partial, writer->folder.final,
                               &writer->manifest, &renamed, error);
    if (result != STATUS_OK && !renamed)
        checkpoint_writer_abort(writer);
    else
        checkpoint_writer_destroy(writer);
    return result;
}
