#include "dist/recorder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct entry {
    int64_t number; /* of all operations, from 1; 0: none */
    int64_t place;  /* in the group, from 1; 0: of a pair */
    int64_t bytes, step, posted_ns, ended_ns;
    int32_t group, peer;
    enum record_state state;
    char op[RECORDER_OP_BYTES];
};

struct group {
    char name[RECORDER_NAME_BYTES];
    int32_t *ranks;
    int32_t count;
    int64_t posted;
};

struct recorder {
    pthread_mutex_t mutex;
    const struct clock *clock;
    int64_t count, began_ns;
    int32_t group_count;
    struct group groups[RECORDER_GROUPS];
    struct entry entries[RECORDER_ENTRIES];
};

int recorder_create(const struct clock *clock, struct recorder **recorder, struct error *error)
{
    *recorder = calloc(1, sizeof **recorder);
    if (*recorder == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the record of collectives");
    (*recorder)->clock = clock;
    (*recorder)->began_ns = clock->monotonic_ns(clock);
    pthread_mutex_init(&(*recorder)->mutex, NULL);
    return STATUS_OK;
}

void recorder_destroy(struct recorder *recorder)
{
    if (recorder == NULL)
        return;
    for (int32_t i = 0; i < recorder->group_count; i++)
        free(recorder->groups[i].ranks);
    pthread_mutex_destroy(&recorder->mutex);
    free(recorder);
}

int32_t recorder_group(struct recorder *recorder, const char *name, const int32_t *ranks, int32_t count)
{
    int32_t *copy = malloc((size_t)count * sizeof *copy);
    int32_t number = -1;

    if (copy != NULL)
        memcpy(copy, ranks, (size_t)count * sizeof *copy);
    pthread_mutex_lock(&recorder->mutex);
    if (copy != NULL && recorder->group_count < RECORDER_GROUPS) {
        struct group *group = &recorder->groups[recorder->group_count];

        snprintf(group->name, sizeof group->name, "%s", name);
        group->ranks = copy;
        group->count = count;
        number = recorder->group_count++;
        copy = NULL;
    }
    pthread_mutex_unlock(&recorder->mutex);
    free(copy);
    return number;
}

static int64_t post(struct recorder *recorder, int32_t group, const char *op, int32_t peer, int64_t bytes, int64_t step)
{
    struct entry *entry;
    int64_t number;

    pthread_mutex_lock(&recorder->mutex);
    number = ++recorder->count;
    entry = &recorder->entries[number % RECORDER_ENTRIES];
    *entry = (struct entry){.number = number, .bytes = bytes, .step = step, .group = group, .peer = peer};
    entry->posted_ns = recorder->clock->monotonic_ns(recorder->clock);
    if (group >= 0 && group < recorder->group_count && peer < 0)
        entry->place = ++recorder->groups[group].posted;
    snprintf(entry->op, sizeof entry->op, "%s", op);
    pthread_mutex_unlock(&recorder->mutex);
    return number;
}

int64_t recorder_post(struct recorder *recorder, int32_t group, const char *op, int64_t bytes, int64_t step)
{
    return post(recorder, group, op, -1, bytes, step);
}

int64_t recorder_post_pair(struct recorder *recorder, int32_t group, const char *op, int32_t peer, int64_t bytes,
                           int64_t step)
{
    return post(recorder, group, op, peer, bytes, step);
}

void recorder_end(struct recorder *recorder, int64_t posted, enum record_state state)
{
    struct entry *entry = &recorder->entries[posted % RECORDER_ENTRIES];

    pthread_mutex_lock(&recorder->mutex);
    if (entry->number == posted) {
        entry->state = state;
        entry->ended_ns = recorder->clock->monotonic_ns(recorder->clock);
    }
    pthread_mutex_unlock(&recorder->mutex);
}

int64_t recorder_count(struct recorder *recorder)
{
    int64_t count;

    pthread_mutex_lock(&recorder->mutex);
    count = recorder->count;
    pthread_mutex_unlock(&recorder->mutex);
    return count;
}

static void print_entry(const struct recorder *recorder, const struct entry *entry, struct text *text)
{
    static const char *const states[] = {"posted", "done", "failed", "late"};
    const bool known = entry->group >= 0 && entry->group < recorder->group_count;
    const int64_t end_ns =
        entry->state == RECORD_POSTED ? recorder->clock->monotonic_ns(recorder->clock) : entry->ended_ns;

    text_add(text, "%8lld  %-10s ", (long long)entry->number, known ? recorder->groups[entry->group].name : "-");
    if (entry->peer < 0)
        text_add(text, "%8lld", (long long)entry->place);
    else
        text_add(text, "  with %d", (int)entry->peer);
    text_add(text, "  %-15s %12lld  %8lld  %-6s  %12.6f  %10.6f\n", entry->op, (long long)entry->bytes,
             (long long)entry->step, states[entry->state], 1e-9 * (double)(entry->posted_ns - recorder->began_ns),
             1e-9 * (double)(end_ns - entry->posted_ns));
}

static void print(struct recorder *recorder, struct text *text)
{
    int64_t first;

    pthread_mutex_lock(&recorder->mutex);
    first = recorder->count > RECORDER_ENTRIES ? recorder->count - RECORDER_ENTRIES + 1 : 1;
    text_add(text,
             "# the last %lld of %lld collective operations; seconds since the start, and how long each took or "
             "has waited\n#  number  group      in group  operation              bytes      step  state   "
             "     posted        took\n",
             (long long)(recorder->count - first + 1), (long long)recorder->count);
    for (; first <= recorder->count; first++)
        print_entry(recorder, &recorder->entries[first % RECORDER_ENTRIES], text);
    pthread_mutex_unlock(&recorder->mutex);
}

int recorder_write(struct recorder *recorder, const struct file_system *fs, const char *path, struct error *error)
{
    struct text text = {0};
    char folder[1024];
    const char *slash = strrchr(path, '/');
    int handle, status = STATUS_OK;

    print(recorder, &text);
    if (text.failed)
        status = error_set(error, STATUS_MEMORY, "%s: no memory for the record of collectives", path);
    if (status == STATUS_OK && slash != NULL && slash > path && slash - path < (ptrdiff_t)sizeof folder) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        status = file_make_folders(fs, folder, error);
    }
    handle = status == STATUS_OK ? fs->open(fs, path, FILE_CREATE) : -1;
    if (status == STATUS_OK && handle < 0)
        status = error_set(error, STATUS_STORAGE, "%s: could not create: %s", path, file_problem_text(-handle));
    if (status == STATUS_OK)
        status = file_write_all(fs, handle, path, text.data, (size_t)text.length, error);
    if (handle >= 0)
        fs->close(fs, handle);
    text_finish(&text);
    return status;
}

/* Sends and receives of a group that have not ended. */
static uint32_t count_open_pairs(const struct recorder *recorder, int32_t group)
{
    uint32_t count = 0;

    for (int i = 0; i < RECORDER_ENTRIES; i++) {
        const struct entry *entry = &recorder->entries[i];

        count += entry->number > 0 && entry->group == group && entry->place == 0 && entry->state != RECORD_DONE;
    }
    return count;
}

/* The numbers of the last operations of a group, newest first. */
static int32_t find_tail(const struct recorder *recorder, int32_t group, int64_t tail[RECORD_TAIL])
{
    int32_t found = 0;

    for (int64_t i = recorder->count; i > 0 && i > recorder->count - RECORDER_ENTRIES && found < RECORD_TAIL; i--) {
        const struct entry *entry = &recorder->entries[i % RECORDER_ENTRIES];

        if (entry->group == group && entry->place > 0)
            tail[found++] = i;
    }
    return found;
}

void recorder_encode(struct recorder *recorder, struct wire *wire)
{
    int64_t tail[RECORD_TAIL];

    pthread_mutex_lock(&recorder->mutex);
    wire_put_u32(wire, (uint32_t)recorder->group_count);
    for (int32_t g = 0; g < recorder->group_count; g++) {
        const struct group *group = &recorder->groups[g];
        const int32_t count = find_tail(recorder, g, tail);

        wire_put_text(wire, group->name);
        wire_put_u32(wire, (uint32_t)group->count);
        for (int32_t i = 0; i < group->count; i++)
            wire_put_u32(wire, (uint32_t)group->ranks[i]);
        wire_put_u64(wire, (uint64_t)group->posted);
        wire_put_u32(wire, count_open_pairs(recorder, g));
        wire_put_u32(wire, (uint32_t)count);
        for (int32_t i = count - 1; i >= 0; i--) {
            const struct entry *entry = &recorder->entries[tail[i] % RECORDER_ENTRIES];

            wire_put_u64(wire, (uint64_t)entry->place);
            wire_put_u64(wire, (uint64_t)entry->bytes);
            wire_put_u64(wire, (uint64_t)entry->step);
            wire_put_u32(wire, (uint32_t)entry->state);
            wire_put_text(wire, entry->op);
        }
    }
    pthread_mutex_unlock(&recorder->mutex);
}
