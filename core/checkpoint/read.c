/* Reading tensors: of the parts in files, the blocks that hold something of the box. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/blocks.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checksum.h"
#include "tensor/dtype.h"

#define STAGED_BYTES ((int64_t)4 << 20)  /* read at once to be copied from, where a block is not longer */
#define DIRECT_BYTES ((int64_t)64 << 20) /* read at once into the caller's memory */

/* One part, of which something is read. Offsets count bytes of the part. */
struct reading {
    struct checkpoint *checkpoint;
    const struct manifest_tensor *tensor;
    const struct manifest_part *part;
    struct box_walk walk; /* from the part to the box; holds the run that is next, or is under way */
    int64_t element_bytes;
    bool more;    /* whether there is a run */
    char *memory; /* of the box */
    char *staged; /* made when it is first needed */
};

static int64_t run_begin(const struct reading *reading)
{
    return reading->walk.from * reading->element_bytes;
}

static int64_t run_end(const struct reading *reading)
{
    return (reading->walk.from + reading->walk.elements) * reading->element_bytes;
}

/* The first byte behind the block of byte `at`. */
static int64_t block_end(const struct manifest_part *part, int64_t at)
{
    const int64_t end = (at / part->block_bytes + 1) * part->block_bytes;

    return end < part->bytes ? end : part->bytes;
}

/* Reads whole blocks from `begin` to `end` and checks them. */
static int read_blocks(struct reading *reading, int64_t begin, int64_t end, char *memory, struct error *error)
{
    struct checkpoint *checkpoint = reading->checkpoint;
    const struct manifest_part *part = reading->part;
    char path[PATH_MAX], found[CHECKSUM_TEXT_BYTES], wanted[CHECKSUM_TEXT_BYTES];
    int result;

    file_join(path, sizeof path, checkpoint->folder, checkpoint->manifest.files[part->file].name);
    if (checkpoint->handles[part->file] < 0 &&
        (result = checkpoint_hold_shard(checkpoint, part->file, path, error)) != STATUS_OK)
        return result;
    result = file_read_range(checkpoint->fs, checkpoint->handles[part->file], path, part->offset + begin, memory,
                             end - begin, error);
    if (result != STATUS_OK)
        return error_prefix(error, "tensor '%.200s'", reading->tensor->name);
    checkpoint->bytes_read += end - begin;
    for (int64_t at = begin; at < end; at = block_end(part, at)) {
        const uint64_t checksum = hash_bytes(memory + (at - begin), (size_t)(block_end(part, at) - at));

        if (checksum != part->blocks[at / part->block_bytes])
            return error_set(error, STATUS_INPUT, "%s is damaged: tensor '%.200s' has the checksum %s, %s was written",
                             path, reading->tensor->name, checksum_print(checksum, found),
                             checksum_print(part->blocks[at / part->block_bytes], wanted));
    }
    return STATUS_OK;
}

static void next_run(struct reading *reading)
{
    reading->more = box_walk_next(&reading->walk);
}

/* The first `bytes` bytes of the run are there. */
static void advance(struct reading *reading, int64_t bytes)
{
    const int64_t elements = bytes / reading->element_bytes;

    reading->walk.from += elements;
    reading->walk.to += elements;
    reading->walk.elements -= elements;
    if (reading->walk.elements == 0)
        next_run(reading);
}

/* Blocks follow as long as each holds something of the box. `reading` is a copy, whose runs are used up. */
static int64_t staged_end(struct reading reading, int64_t begin)
{
    int64_t end = block_end(reading.part, begin);

    while (end < reading.part->bytes && block_end(reading.part, end) - begin <= STAGED_BYTES) {
        while (reading.more && run_end(&reading) <= end)
            next_run(&reading);
        if (!reading.more || run_begin(&reading) >= block_end(reading.part, end))
            break;
        end = block_end(reading.part, end);
    }
    return end;
}

static int read_staged(struct reading *reading, int64_t begin, struct error *error)
{
    const struct manifest_part *part = reading->part;
    const int64_t end = staged_end(*reading, begin);
    const int64_t most = part->block_bytes > STAGED_BYTES ? part->block_bytes : STAGED_BYTES;
    int result;

    if (reading->staged == NULL &&
        (reading->staged = malloc((size_t)(most < part->bytes ? most : part->bytes))) == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to read %lld bytes of tensor '%.200s'", (long long)most,
                         reading->tensor->name);
    result = read_blocks(reading, begin, end, reading->staged, error);
    while (result == STATUS_OK && reading->more && run_begin(reading) < end) {
        const int64_t at = run_begin(reading), bytes = (run_end(reading) < end ? run_end(reading) : end) - at;

        memcpy(reading->memory + reading->walk.to * reading->element_bytes, reading->staged + (at - begin),
               (size_t)bytes);
        advance(reading, bytes);
    }
    return result;
}

static int read_part(struct reading *reading, struct error *error)
{
    const struct manifest_part *part = reading->part;
    int result = STATUS_OK;

    for (next_run(reading); reading->more && result == STATUS_OK;) {
        const int64_t at = run_begin(reading), begin = at / part->block_bytes * part->block_bytes;
        int64_t end = begin;

        while (at == begin && end < part->bytes && block_end(part, end) <= run_end(reading) &&
               block_end(part, end) - begin <= (part->block_bytes > DIRECT_BYTES ? part->block_bytes : DIRECT_BYTES))
            end = block_end(part, end);
        if (end > begin) {
            result =
                read_blocks(reading, begin, end, reading->memory + reading->walk.to * reading->element_bytes, error);
            advance(reading, end - begin);
        } else {
            result = read_staged(reading, begin, error);
        }
    }
    free(reading->staged);
    return result;
}

int checkpoint_read_box(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, const struct box *box,
                        void *memory, struct error *error)
{
    char text[BOX_TEXT_BYTES], shape[SHAPE_TEXT_BYTES];
    struct box common;
    int result = STATUS_OK;

    if (!box_is_within(box, &tensor->shape))
        return error_set(error, STATUS_BUG, "tensor '%.200s' is %s, and %s of it is asked for", tensor->name,
                         shape_print(&tensor->shape, shape), box_print(box, tensor->shape.rank, text));
    for (int64_t i = 0; i < tensor->part_count && result == STATUS_OK; i++) {
        struct reading reading = {.checkpoint = checkpoint,
                                  .tensor = tensor,
                                  .part = &tensor->parts[i],
                                  .element_bytes = dtype_bytes(tensor->dtype),
                                  .memory = memory};

        if (!box_intersect(&reading.part->box, box, tensor->shape.rank, &common))
            continue;
        box_walk_begin(&reading.walk, tensor->shape.rank, &common, &reading.part->box, box);
        result = read_part(&reading, error);
    }
    return result;
}

int checkpoint_read(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, void *memory, int64_t bytes,
                    struct error *error)
{
    const struct box whole = box_whole(&tensor->shape);

    if (bytes != tensor->bytes)
        return error_set(error, STATUS_BUG, "tensor '%.200s' has %lld bytes; memory of %lld was given", tensor->name,
                         (long long)tensor->bytes, (long long)bytes);
    return checkpoint_read_box(checkpoint, tensor, &whole, memory, error);
}
