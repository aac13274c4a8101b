#include "dist/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "dist/rank_list.h"
#include "dist/recorder.h"

#define DESCRIBED_BYTES 160

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
    uint32_t open_pairs; /* sends and receives that have not ended */
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
    record->open_pairs = wire_take_u32(reader);
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

static const struct operation *last_of(const struct record *record)
{
    return record->tail_count > 0 ? &record->tail[record->tail_count - 1] : NULL;
}

/* Whether the rank is held up in another group than this one, and so calls nothing here. */
static bool waits_elsewhere(const struct records *records, const struct record *here)
{
    for (int64_t i = 0; i < records->count; i++) {
        const struct record *record = &records->items[i];
        const struct operation *last = last_of(record);

        if (record->rank == here->rank && !same_group(record, here) &&
            (record->open_pairs > 0 || (last != NULL && last->state != RECORD_DONE)))
            return true;
    }
    return false;
}

/* "collective 6 of dp (all_reduce of 64 bytes, step 7)" */
static void describe(const struct record *record, const struct operation *operation, char text[DESCRIBED_BYTES])
{
    snprintf(text, DESCRIBED_BYTES, "collective %lld of %s (%s of %lld bytes, step %lld)", (long long)operation->place,
             record->name, operation->op, (long long)operation->bytes, (long long)operation->step);
}

/* Ranks that wait in an operation which others of the group have not called; with `free_only` those alone that are not
 * held up in another group. */
static bool tell_missing(const struct records *records, const struct record *a, bool free_only,
                         char sentence[RECORDS_SENTENCE], int32_t *culprit)
{
    const struct operation *last = last_of(a);
    char waiting[RANK_LIST_BYTES], missing[RANK_LIST_BYTES], what[DESCRIBED_BYTES];
    bool *set;
    int32_t first, count = 0;

    if (last == NULL || last->state == RECORD_DONE)
        return false;
    set = calloc((size_t)records->world, sizeof *set);
    for (int64_t k = 0; k < records->count && set != NULL; k++) {
        const struct record *other = &records->items[k];

        if (!same_group(a, other) || other->posted >= last->place || (free_only && waits_elsewhere(records, other)))
            continue;
        *culprit = count++ == 0 ? other->rank : *culprit;
        set[other->rank] = true;
    }
    if (count > 0) {
        rank_list_text(set, records->world, missing);
        list_ranks(records, a, last, true, waiting, &first);
        describe(a, last, what);
        snprintf(sentence, RECORDS_SENTENCE, "%s called %s and %s did not", waiting, what, missing);
    }
    free(set);
    return count > 0;
}

/* An operation that every rank of the group called and none has seen the end of, while others wait elsewhere. */
static bool tell_stuck(const struct records *records, const struct record *a, char sentence[RECORDS_SENTENCE])
{
    const struct operation *last = last_of(a);
    char what[DESCRIBED_BYTES];
    uint32_t count = 0;

    if (last == NULL || last->state == RECORD_DONE)
        return false;
    for (int64_t k = 0; k < records->count; k++) {
        const struct record *other = &records->items[k];
        const struct operation *theirs = same_group(a, other) ? at_place(other, last->place) : NULL;

        count += theirs != NULL && theirs->state != RECORD_DONE;
    }
    if (count < a->count)
        return false;
    describe(a, last, what);
    snprintf(sentence, RECORDS_SENTENCE, "%s was called by all of its ranks and has ended on none", what);
    return true;
}

/* After an error, which ends operations at once, other ranks are in the middle of something, and who has not called an
 * operation yet is no culprit. Where a rank has waited in vain for its whole time, all others have come as far as they
 * can; what fails then fails because it gave up. */
static bool is_standstill(const struct records *records)
{
    bool failed = false, late = false;

    for (int64_t i = 0; i < records->count; i++)
        for (uint32_t k = 0; k < records->items[i].tail_count; k++) {
            failed |= records->items[i].tail[k].state == RECORD_FAILED;
            late |= records->items[i].tail[k].state == RECORD_LATE;
        }
    return late || !failed;
}

/* Without a difference: who is waited for. */
static enum records_answer find_missing(const struct records *records, char sentence[RECORDS_SENTENCE],
                                        int32_t *culprit)
{
    enum records_answer found = RECORDS_FIT;
    bool missing = false;

    for (int64_t i = 0; i < records->count && found == RECORDS_FIT; i++)
        if (tell_missing(records, &records->items[i], true, sentence, culprit))
            found = RECORDS_DIFFER;
    for (int64_t i = 0; i < records->count && found == RECORDS_FIT; i++)
        missing |= tell_missing(records, &records->items[i], false, sentence, culprit);
    /* Where nobody waits for others, the rank that was late says more: what it waited for. */
    for (int64_t i = 0; i < records->count && found == RECORDS_FIT && missing; i++)
        if (tell_stuck(records, &records->items[i], sentence))
            found = RECORDS_STUCK;
    return found == RECORDS_FIT && missing ? RECORDS_DIFFER : found;
}

static void read_all(struct records *records, const struct record_bytes *ranks, int32_t world)
{
    *records = (struct records){.world = world};
    for (int32_t i = 0; i < world; i++)
        read_rank(records, &ranks[i], i);
}

enum records_answer records_compare(const struct record_bytes *ranks, int32_t world, char sentence[RECORDS_SENTENCE],
                                    int32_t *culprit)
{
    enum records_answer found = RECORDS_FIT;
    struct records records;

    read_all(&records, ranks, world);
    for (int64_t i = 0; i < records.count && found == RECORDS_FIT; i++) {
        const struct operation *other, *one = first_difference(&records, &records.items[i], &other);

        if (one != NULL && tell_difference(&records, &records.items[i], one, other, sentence, culprit))
            found = RECORDS_DIFFER;
    }
    if (found == RECORDS_FIT && is_standstill(&records))
        found = find_missing(&records, sentence, culprit);
    free(records.items);
    return found;
}

static bool has_rank(const struct record *record, int32_t rank)
{
    for (uint32_t i = 0; i < record->count; i++)
        if (wire_load_u32(record->ranks + 4 * (size_t)i) == (uint32_t)rank)
            return true;
    return false;
}

bool records_tell_lost(const struct record_bytes *ranks, int32_t world, int32_t lost, char sentence[RECORDS_SENTENCE])
{
    char waiting[RANK_LIST_BYTES], what[DESCRIBED_BYTES];
    struct records records;
    bool found = false;
    int32_t first;

    read_all(&records, ranks, world);
    for (int64_t i = 0; i < records.count && !found; i++) {
        const struct record *record = &records.items[i];
        const struct operation *last = last_of(record);

        if (record->rank == lost || last == NULL || last->state == RECORD_DONE || !has_rank(record, lost))
            continue;
        found = true;
        describe(record, last, what);
        list_ranks(&records, record, last, true, waiting, &first);
        snprintf(sentence, RECORDS_SENTENCE, "%s called %s with it", waiting, what);
    }
    free(records.items);
    return found;
}
