#include "dist/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "dist/rank_list.h"
#include "dist/recorder.h"

struct operation {
    int64_t place, bytes, step;
    uint32_t state;
    char op[RECORDER_OP_BYTES];
};

/* One rank's record of one group. */
struct record {
    int32_t rank;
    char name[RECORDER_NAME_BYTES];
    const uint8_t *ranks; /* count x u32, in place */
    uint32_t count;
    int64_t posted;
    uint32_t tail_count;
    struct operation tail[RECORD_TAIL];
};

struct records {
    struct record *items;
    int64_t count, capacity;
    int32_t world;
    bool failed;
};

static void read_record(struct wire_reader *reader, int32_t rank, struct record *record)
{
    memset(record, 0, sizeof *record);
    record->rank = rank;
    wire_take_text(reader, record->name, sizeof record->name);
    record->count = wire_take_u32(reader);
    record->ranks = wire_take(reader, 4 * (uint64_t)record->count);
    record->posted = (int64_t)wire_take_u64(reader);
    record->tail_count = wire_take_u32(reader);
    if (record->tail_count > RECORD_TAIL)
        reader->failed = true;
    for (uint32_t i = 0; i < record->tail_count && !reader->failed; i++) {
        struct operation *operation = &record->tail[i];

        operation->place = (int64_t)wire_take_u64(reader);
        operation->bytes = (int64_t)wire_take_u64(reader);
        operation->step = (int64_t)wire_take_u64(reader);
        operation->state = wire_take_u32(reader);
        wire_take_text(reader, operation->op, sizeof operation->op);
    }
}

static void read_rank(struct records *records, const struct record_bytes *bytes, int32_t rank)
{
    struct wire_reader reader = wire_read(bytes->data, bytes->bytes);
    const uint32_t groups = bytes->data != NULL ? wire_take_u32(&reader) : 0;

    for (uint32_t g = 0; g < groups && g < RECORDER_GROUPS && !reader.failed; g++) {
        struct record *grown =
            array_reserve(records->items, records->count, 1, &records->capacity, sizeof *records->items);

        if (grown == NULL)
            return;
        records->items = grown;
        read_record(&reader, rank, &grown[records->count]);
        records->count += !reader.failed;
    }
}

static bool same_group(const struct record *a, const struct record *b)
{
    return a->count == b->count && strcmp(a->name, b->name) == 0 &&
           memcmp(a->ranks, b->ranks, 4 * (size_t)a->count) == 0;
}

static const struct operation *at_place(const struct record *record, int64_t place)
{
    for (uint32_t i = 0; i < record->tail_count; i++)
        if (record->tail[i].place == place)
            return &record->tail[i];
    return NULL;
}

static bool same_operation(const struct operation *a, const struct operation *b)
{
    return strcmp(a->op, b->op) == 0 && a->bytes == b->bytes;
}

/* The ranks of the group of `record` whose operation at its place is `operation` (`like`), or another. */
static int32_t list_ranks(const struct records *records, const struct record *record, const struct operation *operation,
                          bool like, char text[RANK_LIST_BYTES], int32_t *first)
{
    bool *set = calloc((size_t)records->world, sizeof *set);
    int32_t count = 0;

    *first = -1;
    for (int64_t i = 0; i < records->count && set != NULL; i++) {
        const struct record *other = &records->items[i];
        const struct operation *theirs = same_group(record, other) ? at_place(other, operation->place) : NULL;

        if (theirs == NULL || same_operation(theirs, operation) != like)
            continue;
        set[other->rank] = true;
        count++;
        if (*first < 0 || other->rank < *first)
            *first = other->rank;
    }
    snprintf(text, RANK_LIST_BYTES, "other ranks");
    if (set != NULL)
        rank_list_text(set, records->world, text);
    free(set);
    return count;
}

static bool tell_difference(const struct records *records, const struct record *a, const struct operation *one,
                            const struct operation *two, char sentence[RECORDS_SENTENCE], int32_t *culprit)
{
    char ones[RANK_LIST_BYTES], twos[RANK_LIST_BYTES];
    int32_t first_one, first_two;
    const int32_t count_one = list_ranks(records, a, one, true, ones, &first_one);
    const int32_t count_two = list_ranks(records, a, two, true, twos, &first_two);
    const bool swap = count_two > count_one || (count_two == count_one && first_two < first_one);
    const struct operation *most = swap ? two : one, *few = swap ? one : two;

    *culprit = swap ? first_one : first_two;
    snprintf(sentence, RECORDS_SENTENCE,
             "collective %lld of %s differs: %s called %s of %lld bytes (step %lld) where %s called %s of %lld bytes "
             "(step %lld)",
             (long long)one->place, a->name, swap ? ones : twos, few->op, (long long)few->bytes, (long long)few->step,
             swap ? twos : ones, most->op, (long long)most->bytes, (long long)most->step);
    return true;
}

/* The earliest place at which another rank of the group did something else than `a`. */
static const struct operation *first_difference(const struct records *records, const struct record *a,
                                                const struct operation **other)
{
    for (uint32_t i = 0; i < a->tail_count; i++)
        for (int64_t k = 0; k < records->count; k++) {
            const struct record *b = &records->items[k];
            const struct operation *theirs = same_group(a, b) ? at_place(b, a->tail[i].place) : NULL;

            if (theirs != NULL && !same_operation(&a->tail[i], theirs)) {
                *other = theirs;
                return &a->tail[i];
            }
        }
    return NULL;
}

/* Ranks that wait in an operation which others of the group have not called. */
static bool tell_missing(const struct records *records, const struct record *a, char sentence[RECORDS_SENTENCE],
                         int32_t *culprit)
{
    const struct operation *last = a->tail_count > 0 ? &a->tail[a->tail_count - 1] : NULL;
    char waiting[RANK_LIST_BYTES], missing[RANK_LIST_BYTES];
    bool *set;
    int32_t first, count = 0;

    if (last == NULL || last->state == RECORD_DONE)
        return false;
    set = calloc((size_t)records->world, sizeof *set);
    for (int64_t k = 0; k < records->count && set != NULL; k++)
        if (same_group(a, &records->items[k]) && records->items[k].posted < last->place) {
            *culprit = count++ == 0 ? records->items[k].rank : *culprit;
            set[records->items[k].rank] = true;
        }
    if (count > 0) {
        rank_list_text(set, records->world, missing);
        list_ranks(records, a, last, true, waiting, &first);
        snprintf(sentence, RECORDS_SENTENCE,
                 "%s called collective %lld of %s (%s of %lld bytes, step %lld) and %s did not", waiting,
                 (long long)last->place, a->name, last->op, (long long)last->bytes, (long long)last->step, missing);
    }
    free(set);
    return count > 0;
}

bool records_compare(const struct record_bytes *ranks, int32_t world, char sentence[RECORDS_SENTENCE], int32_t *culprit)
{
    struct records records = {.world = world};
    bool found = false;

    for (int32_t i = 0; i < world; i++)
        read_rank(&records, &ranks[i], i);
    for (int64_t i = 0; i < records.count && !found; i++) {
        const struct operation *other, *one = first_difference(&records, &records.items[i], &other);

        found = one != NULL && tell_difference(&records, &records.items[i], one, other, sentence, culprit);
    }
    for (int64_t i = 0; i < records.count && !found; i++)
        found = tell_missing(&records, &records.items[i], sentence, culprit);
    free(records.items);
    return found;
}
