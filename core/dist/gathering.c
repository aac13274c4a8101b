#include "dist/gathering.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "dist/rank_list.h"

static const char *const kind_names[GATHER_KINDS] = {"an exchange", "a gather of texts", "a broadcast", "an agreement",
                                                     "a barrier"};

int gathering_init(struct gathering *gathering, int32_t world, struct error *error)
{
    *gathering = (struct gathering){.world = world, .left = calloc((size_t)world, sizeof(bool))};
    if (gathering->left == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %d ranks", (int)world);
    return STATUS_OK;
}

static void gather_finish(struct gather *gather)
{
    for (int32_t i = 0; i < gather->count && gather->parts != NULL; i++)
        free(gather->parts[i].memory);
    free(gather->parts);
    free(gather->ranks);
}

void gathering_finish(struct gathering *gathering)
{
    for (int64_t i = 0; i < gathering->count; i++)
        gather_finish(&gathering->items[i]);
    free(gathering->items);
    free(gathering->left);
    *gathering = (struct gathering){0};
}

void gathering_drop(struct gathering *gathering, struct gather *gather)
{
    gather_finish(gather);
    *gather = gathering->items[--gathering->count];
}

void gather_encode(struct wire *wire, uint64_t call, uint32_t kind, uint32_t channel, const int32_t *ranks,
                   int32_t count)
{
    wire_put_u64(wire, call);
    wire_put_u32(wire, kind);
    wire_put_u32(wire, channel);
    wire_put_u32(wire, (uint32_t)count);
    for (int32_t i = 0; i < count; i++)
        wire_put_u32(wire, (uint32_t)ranks[i]);
}

/* A frame taken apart. */
struct request {
    uint64_t call;
    uint32_t kind, channel;
    int32_t *ranks;       /* [count], malloc */
    int32_t count, place; /* place: the sender's in the group */
    const uint8_t *data;
    int64_t bytes;
};

static int damaged(int32_t rank, struct error *error)
{
    return error_set(error, STATUS_PEER, "rank %d sent a request over the control channel that has no sense",
                     (int)rank);
}

static int read_group(struct wire_reader *reader, int32_t rank, int32_t world, struct request *request,
                      struct error *error)
{
    const uint32_t given = wire_take_u32(reader);
    const int32_t count = given == 0 ? world : (int32_t)given;

    if (given > (uint32_t)world)
        return damaged(rank, error);
    request->ranks = malloc((size_t)count * sizeof *request->ranks);
    if (request->ranks == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a group of %d ranks", (int)count);
    request->count = count;
    request->place = -1;
    for (int32_t i = 0; i < count; i++) {
        const uint32_t member = given == 0 ? (uint32_t)i : wire_take_u32(reader);

        if (member >= (uint32_t)world || (i > 0 && (int32_t)member <= request->ranks[i - 1]))
            return damaged(rank, error);
        request->ranks[i] = (int32_t)member;
        if ((int32_t)member == rank)
            request->place = i;
    }
    return request->place >= 0 ? STATUS_OK : damaged(rank, error);
}

static int read_request(const struct frame *frame, int32_t rank, int32_t world, struct request *request,
                        struct error *error)
{
    struct wire_reader reader = wire_read(frame->data, frame->bytes);
    int status;

    *request = (struct request){.call = wire_take_u64(&reader)};
    request->kind = wire_take_u32(&reader);
    request->channel = wire_take_u32(&reader);
    status = read_group(&reader, rank, world, request, error);
    if (status != STATUS_OK)
        return status;
    request->data = reader.at;
    request->bytes = reader.end - reader.at;
    if (reader.failed || request->kind >= GATHER_KINDS || request->bytes > GATHER_PART_MOST)
        return damaged(rank, error);
    return STATUS_OK;
}

static struct gather *find(struct gathering *gathering, const struct request *request)
{
    for (int64_t i = 0; i < gathering->count; i++) {
        struct gather *gather = &gathering->items[i];

        if (gather->channel == request->channel && gather->count == request->count &&
            memcmp(gather->ranks, request->ranks, (size_t)gather->count * sizeof *gather->ranks) == 0)
            return gather;
    }
    return NULL;
}

/* A new one, which takes the list of ranks over. */
static struct gather *add(struct gathering *gathering, struct request *request, int64_t now_ns)
{
    struct gather *grown =
        array_reserve(gathering->items, gathering->count, 1, &gathering->capacity, sizeof *gathering->items);
    struct gather gather = {.channel = request->channel, .kind = request->kind, .count = request->count};

    if (grown == NULL)
        return NULL;
    gathering->items = grown;
    gather.parts = calloc((size_t)request->count, sizeof *gather.parts);
    if (gather.parts == NULL)
        return NULL;
    gather.ranks = request->ranks;
    gather.began_ns = now_ns;
    request->ranks = NULL;
    grown[gathering->count] = gather;
    return &grown[gathering->count++];
}

/* Whether all call the same: the first that came says what. */
static int compare(const struct gather *gather, int32_t rank, const struct request *request, struct error *error)
{
    int32_t first = 0;

    while (first < gather->count - 1 && !gather->parts[first].here)
        first++;
    if (gather->kind != request->kind)
        return error_set(error, STATUS_PEER,
                         "the ranks do not do the same: rank %d calls %s where rank %d calls %s (control channel %u)",
                         (int)rank, kind_names[request->kind], (int)gather->ranks[first], kind_names[gather->kind],
                         (unsigned)gather->channel);
    if (request->kind == GATHER_EXCHANGE && gather->parts[first].bytes != request->bytes)
        return error_set(error, STATUS_PEER,
                         "the ranks do not do the same: rank %d exchanges %lld bytes where rank %d exchanges %lld "
                         "(control channel %u)",
                         (int)rank, (long long)request->bytes, (int)gather->ranks[first],
                         (long long)gather->parts[first].bytes, (unsigned)gather->channel);
    return STATUS_OK;
}

/* Nobody waits for a rank that has closed the channel. */
static int check_left(const struct gathering *gathering, const struct gather *gather, struct error *error)
{
    for (int32_t i = 0; i < gather->count; i++)
        if (!gather->parts[i].here && gathering->left[gather->ranks[i]])
            return error_set(error, STATUS_PEER,
                             "the ranks do not do the same: rank %d has ended while others wait for it in %s",
                             (int)gather->ranks[i], kind_names[gather->kind]);
    return STATUS_OK;
}

static int put(struct gathering *gathering, int32_t rank, struct request *request, struct frame *frame, int64_t now_ns,
               struct gather **complete, struct error *error)
{
    struct gather *gather = find(gathering, request);
    struct gather_part *part;
    int status;

    if (gather != NULL && gather->parts[request->place].here)
        return error_set(error, STATUS_PEER,
                         "rank %d calls %s on channel %u of the control channel while it waits for another there",
                         (int)rank, kind_names[request->kind], (unsigned)request->channel);
    if (gather != NULL && (status = compare(gather, rank, request, error)) != STATUS_OK)
        return status;
    if (gather == NULL && (gather = add(gathering, request, now_ns)) == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a gather of %d ranks", (int)request->count);
    part = &gather->parts[request->place];
    *part = (struct gather_part){true, request->call, frame->data, request->data, request->bytes};
    frame->data = NULL;
    gather->arrived++;
    *complete = gather->arrived == gather->count ? gather : NULL;
    return check_left(gathering, gather, error);
}

int gathering_take(struct gathering *gathering, int32_t rank, struct frame *frame, int64_t now_ns,
                   struct gather **complete, struct error *error)
{
    struct request request;
    int status = read_request(frame, rank, gathering->world, &request, error);

    *complete = NULL;
    if (status == STATUS_OK)
        status = put(gathering, rank, &request, frame, now_ns, complete, error);
    free(request.ranks);
    free(frame->data);
    frame->data = NULL;
    return status;
}

int gathering_leave(struct gathering *gathering, int32_t rank, struct error *error)
{
    gathering->left[rank] = true;
    for (int64_t i = 0; i < gathering->count; i++) {
        const int status = check_left(gathering, &gathering->items[i], error);

        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

int gathering_check_time(const struct gathering *gathering, int64_t now_ns, int64_t limit_ns, struct error *error)
{
    for (int64_t i = 0; i < gathering->count && limit_ns > 0; i++) {
        const struct gather *gather = &gathering->items[i];
        char text[RANK_LIST_BYTES];
        bool *missing;

        if (now_ns - gather->began_ns <= limit_ns)
            continue;
        missing = calloc((size_t)gathering->world, sizeof *missing);
        for (int32_t k = 0; missing != NULL && k < gather->count; k++)
            missing[gather->ranks[k]] = !gather->parts[k].here;
        if (missing != NULL)
            rank_list_text(missing, gathering->world, text);
        error_set(error, STATUS_PEER, "%s of %d ranks waited %lld s for %s", kind_names[gather->kind],
                  (int)gather->count, (long long)(limit_ns / 1000000000), missing != NULL ? text : "some of them");
        free(missing);
        return STATUS_PEER;
    }
    return STATUS_OK;
}
