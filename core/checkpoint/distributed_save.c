#include "checkpoint/distributed_save.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/commit.h"
#include "checkpoint/merge.h"

/* A rank's state between the meetings. */
struct distributed_save {
    const struct checkpoint_snapshot *snapshot;
    struct partial_folder folder;
    struct checkpoint_slice *slices; /* [count]: the snapshot's, without what another rank writes */
    struct checkpoint_writer *writer;
    bool made, renamed; /* on rank 0: the partial folder, and that to its final name */
};

/* What a rank brings to the first meeting: the bytes that it needs, and for each tensor a hash of name and box, or 0
 * where it has nothing to write. */
struct claims {
    int64_t bytes;
    uint64_t box[];
};

static uint64_t claim_of(const struct safetensors_form *form, const struct box *box)
{
    return (hash_text(form->name) * UINT64_C(0x9e3779b97f4a7c15) + hash_bytes(box, sizeof *box)) | 1;
}

static int make_claims(const struct checkpoint_snapshot *snapshot, struct ranks_message *message, struct error *error)
{
    const int64_t bytes = (int64_t)sizeof(struct claims) + snapshot->count * (int64_t)sizeof(uint64_t);
    struct claims *claims = calloc(1, (size_t)bytes);

    if (claims == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a list of %lld tensors", (long long)snapshot->count);
    for (int64_t i = 0; i < snapshot->count; i++) {
        const struct safetensors_form *form = &snapshot->forms[i];
        const struct box *box = &snapshot->slices[i].box;
        const struct safetensors_form part = {form->name, form->dtype, box_shape(box, form->shape.rank)};
        const int64_t part_bytes = safetensors_form_bytes(&part);

        if (!checkpoint_slice_is_written(&snapshot->slices[i], form))
            continue;
        claims->bytes += part_bytes + partial_bytes_beside(form->name, part_bytes);
        claims->box[i] = claim_of(form, box);
    }
    *message = (struct ranks_message){(char *)claims, bytes};
    return STATUS_OK;
}

/* A box that a rank has to write. */
struct claim {
    uint64_t box;
    int64_t rank, tensor;
};

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;

    if (x->box != y->box)
        return x->box < y->box ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The pairs {rank, tensor} that an earlier rank writes. */
static int find_twice(const struct ranks_message *given, int32_t ranks, struct ranks_message *answer,
                      struct error *error)
{
    struct claim *claims;
    int64_t count = 0, most = 0, *pairs;

    for (int32_t i = 0; i < ranks; i++)
        most += given[i].bytes / (int64_t)sizeof(uint64_t);
    claims = malloc((size_t)(most + 1) * sizeof *claims);
    pairs = malloc((size_t)(2 * most + 1) * sizeof *pairs);
    *answer = (struct ranks_message){(char *)pairs, 0};
    if (claims == NULL || pairs == NULL) {
        free(claims);
        return error_set(error, STATUS_MEMORY, "no memory for the lists of %d ranks", ranks);
    }
    for (int32_t i = 0; i < ranks; i++)
        for (int64_t j = 0; j < (given[i].bytes - (int64_t)sizeof(struct claims)) / (int64_t)sizeof(uint64_t); j++) {
            claims[count] = (struct claim){.rank = i, .tensor = j};
            memcpy(&claims[count].box, given[i].data + sizeof(struct claims) + (size_t)j * sizeof(uint64_t),
                   sizeof(uint64_t));
            count += claims[count].box != 0;
        }
    qsort(claims, (size_t)count, sizeof *claims, compare_claims);
    for (int64_t i = 1; i < count; i++)
        if (claims[i].box == claims[i - 1].box) {
            *pairs++ = claims[i].rank;
            *pairs++ = claims[i].tensor;
            answer->bytes += 2 * (int64_t)sizeof *pairs;
        }
    free(claims);
    return STATUS_OK;
}

/* Rank 0, in the first meeting. */
static int prepare(void *context, const struct ranks_message *given, struct ranks_message *answer, struct error *error)
{
    struct distributed_save *save = context;
    const struct checkpoint_snapshot *snapshot = save->snapshot;
    int64_t needed = PARTIAL_BYTES_BESIDE, bytes;
    int result;

    for (int32_t i = 0; i < snapshot->ranks->ranks; i++) {
        if (given[i].bytes < (int64_t)sizeof(struct claims))
            return error_set(error, STATUS_BUG, "rank %d sent no list of what it has to write", i);
        memcpy(&bytes, given[i].data, sizeof bytes);
        needed += bytes;
    }
    result = find_twice(given, snapshot->ranks->ranks, answer, error);
    if (result != STATUS_OK)
        return result;
    save->made = true;
    return partial_make(&snapshot->target, &save->folder, needed, error);
}

static int begin(struct distributed_save *save, struct error *error)
{
    const struct checkpoint_snapshot *snapshot = save->snapshot;
    struct ranks_message claims = {NULL, 0}, twice = {NULL, 0};
    int status = snapshot->refusal.status;

    if (status == STATUS_OK)
        status = partial_name(&snapshot->target, &save->folder, error);
    save->slices = malloc((size_t)(snapshot->count + 1) * sizeof *save->slices);
    if (status == STATUS_OK && save->slices == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for a list of %lld tensors", (long long)snapshot->count);
    if (status == STATUS_OK)
        status = make_claims(snapshot, &claims, error);
    status = ranks_meet(snapshot->ranks, status, &claims, prepare, save, &twice, error);
    if (status == STATUS_OK && snapshot->count > 0)
        memcpy(save->slices, snapshot->slices, (size_t)snapshot->count * sizeof *save->slices);
    for (int64_t i = 0; i + 1 < twice.bytes / (int64_t)sizeof(int64_t); i += 2) {
        int64_t pair[2];

        memcpy(pair, twice.data + (size_t)i * sizeof *pair, sizeof pair);
        if (pair[0] == snapshot->ranks->rank)
            save->slices[pair[1]].stored = false;
    }
    free(claims.data);
    free(twice.data);
    return status;
}

static int write_all(struct distributed_save *save, struct error *error)
{
    const struct checkpoint_snapshot *snapshot = save->snapshot;
    const int32_t rank = snapshot->ranks->rank;
    int status = checkpoint_writer_begin_rank(&snapshot->target, snapshot->forms, save->slices, snapshot->count, rank,
                                              &save->writer, error);

    for (int64_t i = 0; i < snapshot->count && status == STATUS_OK; i++) {
        const struct safetensors_form *form = &snapshot->forms[i];
        const struct checkpoint_slice *slice = &save->slices[i];
        const struct safetensors_form part = {form->name, form->dtype, box_shape(&slice->box, form->shape.rank)};
        const int64_t bytes = safetensors_form_bytes(&part);

        if (bytes == 0)
            continue;
        status = slice->stored
                     ? checkpoint_writer_add(save->writer, form->name, snapshot->data[i], bytes, error)
                     : checkpoint_writer_add_replica(save->writer, form, &slice->box, snapshot->data[i], error);
    }
    for (int64_t i = 0; i < snapshot->file_count && status == STATUS_OK && rank == 0; i++)
        status = checkpoint_writer_add_file(save->writer, snapshot->files[i].name, snapshot->files[i].data,
                                            snapshot->files[i].bytes, error);
    return status;
}

static int commit(struct distributed_save *save, const struct manifest *lists, struct ranks_message *answer,
                  struct error *error)
{
    const struct checkpoint_snapshot *snapshot = save->snapshot;
    struct manifest whole = {0};
    int64_t bytes = 0;
    int status = merge_lists(lists, snapshot->ranks->ranks, &whole, error);

    for (int64_t i = 0; i < whole.file_count; i++)
        bytes += whole.files[i].bytes;
    if (status == STATUS_OK && snapshot->state != NULL)
        status = checkpoint_state_copy(snapshot->state, &whole.state, error);
    if (status == STATUS_OK)
        status = ranks_message_of(&bytes, sizeof bytes, answer, error);
    if (status == STATUS_OK)
        status = commit_folder(snapshot->target.fs, snapshot->target.folder, save->folder.partial, save->folder.final,
                               &whole, &save->renamed, error);
    manifest_finish(&whole);
    return status;
}

/* Rank 0, in the second meeting. */
static int merge(void *context, const struct ranks_message *given, struct ranks_message *answer, struct error *error)
{
    struct distributed_save *save = context;
    const int32_t ranks = save->snapshot->ranks->ranks;
    struct manifest *lists = calloc((size_t)ranks, sizeof *lists);
    int status = STATUS_OK;

    if (lists == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the lists of %d ranks", ranks);
    for (int32_t i = 0; i < ranks && status == STATUS_OK; i++)
        if ((status = manifest_parse_list(given[i].data, given[i].bytes, "its list of parts", &lists[i], error)) ==
            STATUS_INPUT)
            status = error_set(error, STATUS_BUG, "rank %d sent a list of parts that cannot be read", i);
    if (status == STATUS_OK)
        status = commit(save, lists, answer, error);
    for (int32_t i = 0; i < ranks; i++)
        manifest_finish(&lists[i]);
    free(lists);
    return status;
}

static int finish(struct distributed_save *save, int status, int64_t *bytes, struct error *error)
{
    struct ranks_message list = {NULL, 0}, total = {NULL, 0};
    const struct manifest *written;

    if (status == STATUS_OK)
        status = checkpoint_writer_list(save->writer, &written, error);
    if (status == STATUS_OK)
        status = manifest_print(written, &list.data, &list.bytes, error);
    status = ranks_meet(save->snapshot->ranks, status, &list, merge, save, &total, error);
    if (total.bytes == (int64_t)sizeof *bytes)
        memcpy(bytes, total.data, sizeof *bytes);
    free(list.data);
    free(total.data);
    return status;
}

int save_distributed(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error)
{
    struct distributed_save save = {.snapshot = snapshot};
    int status = begin(&save, error);

    if (status == STATUS_OK) {
        status = write_all(&save, error);
        status = finish(&save, status, bytes, error);
    }
    checkpoint_writer_destroy(save.writer);
    if (status != STATUS_OK && save.made && !save.renamed)
        partial_remove(&snapshot->target, &save.folder);
    free(save.slices);
    return status;
}
