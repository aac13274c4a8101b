#include <stdlib.h>
#include <string.h>

#include "schedule/build.h"

/* The accumulators that B, or W, of one chunk writes. */
struct accumulator {
    int32_t next; /* the microbatch that writes next */
    int32_t due;  /* the last microbatch of a group that is complete and not combined, else -1 */
    bool zeroed;  /* for the group of `next` */
};

/* The rules that one rank's table keeps or breaks alone. */
struct checker {
    const struct pipeline_shape *shape;
    struct pipeline_slots slots, used;
    uint8_t *forward; /* [chunks][microbatches]: F has run */
    struct accumulator b[PIPELINE_CHUNKS_MAX], w[PIPELINE_CHUNKS_MAX];
};

static bool is_group_edge(const struct checker *checker, int32_t microbatch)
{
    return microbatch % (checker->shape->microbatches / checker->shape->groups) == 0;
}

static int check_write(const struct checker *checker, struct accumulator *accumulator, int32_t microbatch,
                       struct error *error)
{
    if (microbatch != accumulator->next)
        return error_set(error, STATUS_BUG, "not in ascending order, microbatch %d is next", accumulator->next);
    if (accumulator->due >= 0)
        return error_set(error, STATUS_BUG, "writes before the group that ends with microbatch %d is combined",
                         accumulator->due);
    if (checker->shape->zero && is_group_edge(checker, microbatch) && !accumulator->zeroed)
        return error_set(error, STATUS_BUG, "writes before its group is zeroed");
    accumulator->next++;
    accumulator->zeroed = false;
    if (is_group_edge(checker, accumulator->next))
        accumulator->due = accumulator->next - 1;
    return STATUS_OK;
}

static int check_zero(const struct checker *checker, struct accumulator *accumulator, int32_t microbatch,
                      struct error *error)
{
    if (!checker->shape->zero)
        return error_set(error, STATUS_BUG, "the first write of a group overwrites here");
    if (accumulator->due >= 0)
        return error_set(error, STATUS_BUG, "comes before the group that ends with microbatch %d is combined",
                         accumulator->due);
    if (microbatch != accumulator->next || !is_group_edge(checker, microbatch))
        return error_set(error, STATUS_BUG, "no group begins here, microbatch %d is next", accumulator->next);
    accumulator->zeroed = true;
    return STATUS_OK;
}

static int check_combine(const struct checker *checker, struct accumulator *accumulator,
                         const struct pipeline_entry *entry, struct error *error)
{
    int32_t each = checker->shape->microbatches / checker->shape->groups;

    if (entry->microbatch != accumulator->due)
        return error_set(error, STATUS_BUG, "no group ends here, microbatch %d is next", accumulator->next);
    if (entry->level != pipeline_closed_levels(entry->microbatch / each))
        return error_set(error, STATUS_BUG, "level %d, wanted %d", entry->level,
                         pipeline_closed_levels(entry->microbatch / each));
    accumulator->due = -1;
    return STATUS_OK;
}

static int check_run(struct checker *checker, const struct pipeline_entry *entry, struct error *error)
{
    int32_t microbatch = entry->microbatch;
    uint8_t *forward = &checker->forward[(int64_t)entry->chunk * checker->shape->microbatches + microbatch];
    struct pipeline_slots *used = &checker->used;
    bool f = entry->action == PIPELINE_F, both = entry->action == PIPELINE_BW;
    bool b = entry->action == PIPELINE_B || both, w = entry->action == PIPELINE_W || both;
    int status = STATUS_OK;

    if (f && *forward)
        return error_set(error, STATUS_BUG, "comes twice");
    if (b && !*forward)
        return error_set(error, STATUS_BUG, "comes before its F");
    if (b)
        status = check_write(checker, &checker->b[entry->chunk], microbatch, error);
    if (status == STATUS_OK && w && microbatch >= checker->b[entry->chunk].next)
        return error_set(error, STATUS_BUG, "comes before its B");
    if (status == STATUS_OK && w)
        status = check_write(checker, &checker->w[entry->chunk], microbatch, error);
    *forward |= f;
    used->f_to_b += f - b;
    used->b_to_w += b - w;
    used->f_to_w += f - w;
    return status;
}

static int check_slots(int32_t used, int32_t slots, const char *from, const char *to, struct error *error)
{
    if (used <= slots)
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "%d are between %s and %s, more than the %d slots", used, from, to, slots);
}

static int check_entry(struct checker *checker, const struct pipeline_entry *entry, struct error *error)
{
    bool combine = entry->action == PIPELINE_COMBINE_B || entry->action == PIPELINE_COMBINE_W;
    int status = STATUS_OK;

    if (entry->action > PIPELINE_COMBINE_W || entry->chunk >= checker->shape->chunks || entry->microbatch < 0 ||
        entry->microbatch >= checker->shape->microbatches || (entry->level != 0 && !combine))
        return error_set(error, STATUS_BUG, "there is no such section");
    switch (entry->action) {
    case PIPELINE_ZERO_B:
        return check_zero(checker, &checker->b[entry->chunk], entry->microbatch, error);
    case PIPELINE_ZERO_W:
        return check_zero(checker, &checker->w[entry->chunk], entry->microbatch, error);
    case PIPELINE_COMBINE_B:
        return check_combine(checker, &checker->b[entry->chunk], entry, error);
    case PIPELINE_COMBINE_W:
        return check_combine(checker, &checker->w[entry->chunk], entry, error);
    default:
        status = check_run(checker, entry, error);
    }
    if (status == STATUS_OK)
        status = check_slots(checker->used.f_to_b, checker->slots.f_to_b, "F", "B", error);
    if (status == STATUS_OK)
        status = check_slots(checker->used.b_to_w, checker->slots.b_to_w, "B", "W", error);
    if (status == STATUS_OK)
        status = check_slots(checker->used.f_to_w, checker->slots.f_to_w, "F", "W", error);
    return status;
}

/* Nothing is missing. */
static int check_end(const struct checker *checker, struct error *error)
{
    for (int32_t chunk = 0; chunk < checker->shape->chunks; chunk++) {
        const struct accumulator *b = &checker->b[chunk], *w = &checker->w[chunk];

        if (b->next < checker->shape->microbatches || w->next < checker->shape->microbatches)
            return error_set(error, STATUS_BUG, "the table ends before %s of chunk %d, microbatch %d",
                             b->next < checker->shape->microbatches ? "B" : "W", chunk,
                             b->next < checker->shape->microbatches ? b->next : w->next);
        if (b->due >= 0 || w->due >= 0)
            return error_set(error, STATUS_BUG, "the table ends before %s of chunk %d",
                             b->due >= 0 ? "COMBINE_B" : "COMBINE_W", chunk);
    }
    return STATUS_OK;
}

static int check_rank(struct checker *checker, const struct pipeline *pipeline, int32_t rank, struct error *error)
{
    const struct pipeline_rank *table = &pipeline->ranks[rank];

    for (int32_t chunk = 0; chunk < pipeline->shape.chunks; chunk++)
        checker->b[chunk] = checker->w[chunk] = (struct accumulator){0, -1, false};
    checker->used = (struct pipeline_slots){0, 0, 0};
    checker->slots = table->slots;
    memset(checker->forward, 0, (size_t)pipeline->shape.chunks * (size_t)pipeline->shape.microbatches);
    for (int64_t i = 0; i < table->count; i++) {
        const struct pipeline_entry *entry = &table->entries[i];

        if (check_entry(checker, entry, error) != STATUS_OK)
            return error_prefix(error, "rank %d, entry %lld: %s of chunk %d, microbatch %d", rank, (long long)i,
                                pipeline_action_name(entry->action), entry->chunk, entry->microbatch);
    }
    if (check_end(checker, error) != STATUS_OK)
        return error_prefix(error, "rank %d, entry %lld", rank, (long long)table->count);
    return STATUS_OK;
}

int pipeline_check(const struct pipeline *pipeline, struct error *error)
{
    static const struct pipeline_costs units = {1, 1, 1, 0};
    struct checker checker = {.shape = &pipeline->shape};
    int status = STATUS_OK;

    checker.forward = malloc((size_t)pipeline->shape.chunks * (size_t)pipeline->shape.microbatches);
    if (checker.forward == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to check the schedule");
    for (int32_t rank = 0; status == STATUS_OK && rank < pipeline->shape.ranks; rank++)
        status = check_rank(&checker, pipeline, rank, error);
    free(checker.forward);
    return status == STATUS_OK ? pipeline_time(pipeline, &units, NULL, error) : status;
}
