#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/control_calls.h"
#include "dist/rank_list.h"

#define KEY_BYTES    128
#define TEXT_BYTES   160
#define VALUES_SHOWN 3

/* One item of one rank. */
struct told {
    bool known;
    uint64_t hash;
    char text[TEXT_BYTES];
};

/* The items of all ranks as they came. */
struct board {
    int32_t world;
    struct wire_reader *items; /* [world] */
    struct told *told;         /* [world], of the key at hand */
    bool *set;                 /* [world] */
};

static bool next_item(struct wire_reader *reader, char key[KEY_BYTES], struct told *told)
{
    if (reader->at == reader->end)
        return false;
    wire_take_text(reader, key, KEY_BYTES);
    told->hash = wire_take_u64(reader);
    wire_take_text(reader, told->text, sizeof told->text);
    told->known = true;
    return !reader->failed;
}

/* What all ranks say of the key; true where they agree. */
static bool look_up(const struct board *board, const char *key)
{
    bool same = true;

    for (int32_t rank = 0; rank < board->world; rank++) {
        struct wire_reader reader = board->items[rank];
        struct told *told = &board->told[rank];
        char name[KEY_BYTES];

        do
            *told = (struct told){0};
        while (next_item(&reader, name, told) && strcmp(name, key) != 0);
        same &= told->known == board->told[0].known && told->hash == board->told[0].hash;
    }
    return same;
}

/* "ranks 0, 1 have 4", for the ranks that say what `rank` says. */
static int tell_value(const struct board *board, int32_t rank, char *text, size_t bytes)
{
    const struct told *one = &board->told[rank];
    char ranks[RANK_LIST_BYTES];
    int32_t count = 0;

    for (int32_t i = 0; i < board->world; i++) {
        board->set[i] = board->told[i].known == one->known && board->told[i].hash == one->hash;
        count += board->set[i];
    }
    rank_list_text(board->set, board->world, ranks);
    if (!one->known)
        return snprintf(text, bytes, "%s %s it not", ranks, count == 1 ? "has" : "have");
    if (one->text[0] == '\0')
        return snprintf(text, bytes, "%s %s %016llx (a hash)", ranks, count == 1 ? "has" : "have",
                        (unsigned long long)one->hash);
    return snprintf(text, bytes, "%s %s %s", ranks, count == 1 ? "has" : "have", one->text);
}

/* Whether an earlier rank says the same. */
static bool is_repeated(const struct board *board, int32_t rank)
{
    for (int32_t i = 0; i < rank; i++)
        if (board->told[i].known == board->told[rank].known && board->told[i].hash == board->told[rank].hash)
            return true;
    return false;
}

static int tell(const struct board *board, const char *key, struct error *error)
{
    char values[900] = "";
    size_t used = 0;
    int shown = 0, more = 0;

    for (int32_t rank = 0; rank < board->world; rank++) {
        if (is_repeated(board, rank))
            continue;
        if (shown == VALUES_SHOWN || used > sizeof values - 250) {
            more++;
            continue;
        }
        if (shown++ > 0)
            used += (size_t)snprintf(values + used, sizeof values - used, ", ");
        used += (size_t)tell_value(board, rank, values + used, sizeof values - used);
        used = used < sizeof values ? used : sizeof values - 1;
    }
    return error_set(error, STATUS_USAGE, "the ranks differ in %s: %s%s", key, values,
                     more > 0 ? ", and there are further values" : "");
}

/* Whether rank 0 has the key: then it is compared already. */
static bool root_has(const struct board *board, const char *key)
{
    struct wire_reader reader = board->items[0];
    char name[KEY_BYTES];
    struct told told;

    while (next_item(&reader, name, &told))
        if (strcmp(name, key) == 0)
            return true;
    return false;
}

/* Keys in the order of rank 0, then those that only later ranks have. */
static int compare(const struct board *board, struct error *error)
{
    for (int32_t rank = 0; rank < board->world; rank++) {
        struct wire_reader reader = board->items[rank];
        char key[KEY_BYTES];
        struct told told;

        while (next_item(&reader, key, &told))
            if ((rank == 0 || !root_has(board, key)) && !look_up(board, key))
                return tell(board, key, error);
    }
    return STATUS_OK;
}

static void lay_out(const struct board *board, const struct gathered *gathered)
{
    const uint8_t *at = gathered->data;

    for (int32_t i = 0; i < board->world; i++) {
        const int64_t bytes = gathered_size(gathered, i);

        board->items[i] = (struct wire_reader){at, at + bytes, false};
        at += bytes;
    }
}

int control_agree(struct control *control, const struct control_item *items, int32_t count, struct error *error)
{
    struct board board = {.world = control_world(control)};
    struct gathered gathered = {0};
    struct wire wire = {0};
    int status;

    for (int32_t i = 0; i < count; i++) {
        wire_put_text(&wire, items[i].key);
        wire_put_u64(&wire, items[i].hash);
        wire_put_text(&wire, items[i].text);
    }
    board.items = calloc((size_t)board.world, sizeof *board.items);
    board.told = calloc((size_t)board.world, sizeof *board.told);
    board.set = calloc((size_t)board.world, sizeof *board.set);
    if (wire.failed || board.items == NULL || board.told == NULL || board.set == NULL)
        status =
            error_set(error, STATUS_MEMORY, "no memory to compare %d items of %d ranks", (int)count, (int)board.world);
    else
        status = control_gather(control, GATHER_AGREE, NULL, wire.data, wire.length, &gathered, error);
    if (status == STATUS_OK) {
        lay_out(&board, &gathered);
        status = compare(&board, error);
    }
    gathered_finish(&gathered);
    free(wire.data);
    free(board.items);
    free(board.told);
    free(board.set);
    return status;
}
