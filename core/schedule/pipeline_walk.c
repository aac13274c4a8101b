#include <stdlib.h>

#include "schedule/build.h"

/* Between a virtual stage and a neighbour, one direction. `sent` and `received` are microbatches, -1: none. */
struct link {
    int32_t sender, receiver;    /* ranks */
    int32_t waiting;             /* output whose send is posted */
    int32_t arrived;             /* input that nobody has begun to read */
    int64_t posted_at, sent_at;  /* of `waiting`; when the send before it was over */
    int64_t free_at, arrived_at; /* since when the receiver can take the next one; of `arrived` */
};

struct walker {
    int64_t entry; /* the next one, or the one that runs */
    int64_t clock, first, work;
    bool begun;  /* the entry has run, and waits to send its output */
    bool queued; /* in walk.queue */
};

struct walk {
    const struct pipeline *pipeline;
    const struct pipeline_costs *costs;
    struct pipeline_span *const *spans; /* [ranks][entries]; NULL: not asked for */
    struct link *down, *up;             /* [stages + 1]: into stage s from s - 1; into stage s - 1 from s */
    struct walker *walkers;             /* [ranks] */
    int32_t *queue;                     /* ranks that may go on, a stack */
    int32_t queued;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void wake(struct walk *walk, int32_t rank)
{
    if (!walk->walkers[rank].queued)
        walk->queue[walk->queued++] = rank;
    walk->walkers[rank].queued = true;
}

/* The transfer, once both sides have posted theirs. */
static void transfer(struct walk *walk, struct link *link)
{
    if (link->waiting < 0 || link->arrived >= 0)
        return;
    link->arrived_at = later(link->posted_at, link->free_at);
    if (link->sender != link->receiver)
        link->arrived_at += walk->costs->transfer;
    link->sent_at = link->arrived_at;
    link->arrived = link->waiting;
    link->waiting = -1;
    wake(walk, link->sender);
    wake(walk, link->receiver);
}

static struct link *input_of(const struct walk *walk, int32_t rank, const struct pipeline_entry *entry)
{
    int32_t stage = pipeline_stage(walk->pipeline, rank, entry->chunk);
    int32_t stages = walk->pipeline->shape.ranks * walk->pipeline->shape.chunks;

    if (entry->action == PIPELINE_F)
        return stage > 0 ? &walk->down[stage] : NULL;
    return stage < stages - 1 ? &walk->up[stage + 1] : NULL;
}

static struct link *output_of(const struct walk *walk, int32_t rank, const struct pipeline_entry *entry)
{
    int32_t stage = pipeline_stage(walk->pipeline, rank, entry->chunk);
    int32_t stages = walk->pipeline->shape.ranks * walk->pipeline->shape.chunks;

    if (entry->action == PIPELINE_F)
        return stage < stages - 1 ? &walk->down[stage + 1] : NULL;
    return stage > 0 ? &walk->up[stage] : NULL;
}

static int64_t cost_of(const struct pipeline_costs *costs, int action)
{
    switch (action) {
    case PIPELINE_F:
        return costs->f;
    case PIPELINE_B:
        return costs->b;
    case PIPELINE_W:
        return costs->w;
    default:
        return action == PIPELINE_BW ? costs->b + costs->w : 0;
    }
}

/* Waits for the entry's input, reads it and runs. False where it waits. */
static bool begin(struct walk *walk, int32_t rank, const struct pipeline_entry *entry, struct link *input)
{
    struct walker *walker = &walk->walkers[rank];
    int64_t cost = cost_of(walk->costs, entry->action);

    if (input != NULL) {
        if (input->arrived != entry->microbatch)
            return false;
        walker->clock = later(walker->clock, input->arrived_at);
        input->free_at = walker->clock;
        input->arrived = -1;
        transfer(walk, input);
    }
    if (walker->work == 0)
        walker->first = walker->clock;
    if (walk->spans != NULL)
        walk->spans[rank][walker->entry] = (struct pipeline_span){walker->clock, walker->clock + cost};
    walker->clock += cost;
    walker->work += cost;
    return true;
}

/* Posts the send of the entry's output. False where the send before it is not over. */
static bool finish(struct walk *walk, int32_t rank, const struct pipeline_entry *entry, struct link *output)
{
    struct walker *walker = &walk->walkers[rank];

    if (output == NULL)
        return true;
    if (output->waiting >= 0)
        return false;
    walker->clock = later(walker->clock, output->sent_at);
    output->waiting = entry->microbatch;
    output->posted_at = walker->clock;
    transfer(walk, output);
    return true;
}

/* As far as the rank gets. */
static void run(struct walk *walk, int32_t rank)
{
    const struct pipeline_rank *table = &walk->pipeline->ranks[rank];
    struct walker *walker = &walk->walkers[rank];

    for (; walker->entry < table->count; walker->entry++) {
        const struct pipeline_entry *entry = &table->entries[walker->entry];
        bool linked = entry->action == PIPELINE_F || entry->action == PIPELINE_B || entry->action == PIPELINE_BW;

        if (!walker->begun && !begin(walk, rank, entry, linked ? input_of(walk, rank, entry) : NULL))
            return;
        walker->begun = true;
        if (!finish(walk, rank, entry, linked ? output_of(walk, rank, entry) : NULL))
            return;
        walker->begun = false;
    }
}

/* The link that a rank that has not come to its end waits for. */
static const struct link *awaited(const struct walk *walk, int32_t rank)
{
    const struct walker *walker = &walk->walkers[rank];
    const struct pipeline_entry *entry = &walk->pipeline->ranks[rank].entries[walker->entry];

    return walker->begun ? output_of(walk, rank, entry) : input_of(walk, rank, entry);
}

/* Says which rank waits for which; `rank` is one that waits. From it along the waits, far enough to be in a circle. */
static int stuck(const struct walk *walk, int32_t rank, struct error *error)
{
    for (int32_t steps = walk->pipeline->shape.ranks;; steps--) {
        const struct walker *walker = &walk->walkers[rank];
        const struct pipeline_entry *entry = &walk->pipeline->ranks[rank].entries[walker->entry];
        const struct link *link = awaited(walk, rank);
        int32_t peer = walker->begun ? link->receiver : link->sender;

        if (!walker->begun && link->arrived >= 0)
            return error_set(error, STATUS_BUG,
                             "rank %d, entry %lld: %s of chunk %d, microbatch %d: rank %d sends that of microbatch %d "
                             "first",
                             rank, (long long)walker->entry, pipeline_action_name(entry->action), entry->chunk,
                             entry->microbatch, peer, link->arrived);
        if (steps == 0)
            return error_set(error, STATUS_BUG,
                             "rank %d, entry %lld: %s of chunk %d, microbatch %d: deadlock, waits to %s rank %d, which "
                             "waits at entry %lld",
                             rank, (long long)walker->entry, pipeline_action_name(entry->action), entry->chunk,
                             entry->microbatch, walker->begun ? "send to" : "receive from", peer,
                             (long long)walk->walkers[peer].entry);
        rank = peer;
    }
}

static void init_links(struct walk *walk)
{
    const struct pipeline *pipeline = walk->pipeline;
    int32_t stages = pipeline->shape.ranks * pipeline->shape.chunks;

    for (int32_t stage = 1; stage < stages; stage++) {
        int32_t above = pipeline_holder(pipeline, stage - 1), below = pipeline_holder(pipeline, stage);

        walk->down[stage] = (struct link){.sender = above, .receiver = below, .waiting = -1, .arrived = -1};
        walk->up[stage] = (struct link){.sender = below, .receiver = above, .waiting = -1, .arrived = -1};
    }
}

int pipeline_spans(const struct pipeline *pipeline, const struct pipeline_costs *costs, struct pipeline_times *times,
                   struct pipeline_span *const *spans, struct error *error)
{
    int32_t ranks = pipeline->shape.ranks;
    size_t links = (size_t)ranks * (size_t)pipeline->shape.chunks;
    struct walk walk = {.pipeline = pipeline, .costs = costs, .spans = spans};
    struct pipeline_times result = {0, 0};
    int status = STATUS_OK;

    walk.down = calloc(links, sizeof *walk.down);
    walk.up = calloc(links, sizeof *walk.up);
    walk.walkers = calloc((size_t)ranks, sizeof *walk.walkers);
    walk.queue = calloc((size_t)ranks, sizeof *walk.queue);
    if (walk.down == NULL || walk.up == NULL || walk.walkers == NULL || walk.queue == NULL) {
        status = error_set(error, STATUS_MEMORY, "no memory to walk the schedule of %d ranks", ranks);
        goto out;
    }
    init_links(&walk);
    for (int32_t rank = ranks - 1; rank >= 0; rank--)
        wake(&walk, rank);
    while (walk.queued > 0) {
        int32_t rank = walk.queue[--walk.queued];

        walk.walkers[rank].queued = false;
        run(&walk, rank);
    }
    for (int32_t rank = 0; status == STATUS_OK && rank < ranks; rank++) {
        const struct walker *walker = &walk.walkers[rank];

        if (walker->entry < pipeline->ranks[rank].count)
            status = stuck(&walk, rank, error);
        result.makespan = later(result.makespan, walker->clock);
        result.bubble = later(result.bubble, walker->clock - walker->first - walker->work);
    }
    if (status == STATUS_OK && times != NULL)
        *times = result;
out:
    free(walk.down);
    free(walk.up);
    free(walk.walkers);
    free(walk.queue);
    return status;
}

int pipeline_time(const struct pipeline *pipeline, const struct pipeline_costs *costs, struct pipeline_times *times,
                  struct error *error)
{
    return pipeline_spans(pipeline, costs, times, NULL, error);
}
