#include "passes/flow.h"

#include <stdlib.h>
#include <string.h>

#include "passes/flow_links.h"
#include "program/op_table.h"

enum step_line { LINE_F, LINE_B, LINE_W, STEP_LINES };
enum other_line { LINE_UPDATE, LINE_EVALUATE, LINE_PREFILL, LINE_DECODE };

/* The lines that use an activation. */
struct use {
    int32_t first;    /* NO_LINE: none does */
    int32_t forward;  /* the last chunk whose F does; -1: none */
    int32_t backward; /* the last one in its order, that is the lowest, whose B does; -1: none */
    uint64_t weight;  /* chunks whose W does */
    bool several;     /* lines */
};

struct making {
    const struct program *program;
    const struct pipeline_rank *rank;
    struct flow *flow;
    int32_t chunks, microbatches;
    struct use *uses;   /* [values] */
    struct use *ends;   /* [pools] */
    int64_t *positions; /* [line][microbatch]: the entry that runs it */
    int32_t links;      /* the first pool that is the buffers of a link */
    struct error *error;
};

static int32_t line_of(const struct making *making, enum section_kind kind, int32_t chunk)
{
    const int32_t chunks = making->chunks;

    switch (kind) {
    case SECTION_FORWARD:
        return LINE_F * chunks + chunk;
    case SECTION_BACKWARD:
    case SECTION_BACKWARD_INPUT:
        return LINE_B * chunks + chunk;
    case SECTION_BACKWARD_WEIGHT:
        return LINE_W * chunks + chunk;
    case SECTION_UPDATE:
        return STEP_LINES * chunks + LINE_UPDATE;
    case SECTION_EVALUATE:
        return STEP_LINES * chunks + LINE_EVALUATE;
    case SECTION_PREFILL:
        return STEP_LINES * chunks + LINE_PREFILL;
    case SECTION_DECODE:
        return STEP_LINES * chunks + LINE_DECODE;
    default:
        return NO_LINE;
    }
}

static bool is_step_line(const struct making *making, int32_t line)
{
    return line != NO_LINE && line < STEP_LINES * making->chunks;
}

static int check_sections(const struct making *making)
{
    const struct program *program = making->program;

    for (int64_t i = 0; i < making->rank->count; i++) {
        const struct pipeline_entry *entry = &making->rank->entries[i];
        const enum section_kind kind = flow_section_kind(entry);
        int64_t s = 0;

        while (s < program->section_count && kind < SECTION_KINDS &&
               (program->sections[s].kind != kind || program->sections[s].chunk != entry->chunk))
            s++;
        if (s == program->section_count)
            return error_set(making->error, STATUS_BUG, "the schedule has a section %s of chunk %d, the program none",
                             section_kind_name(kind), entry->chunk);
    }
    for (int64_t s = 0; s < program->section_count; s++) {
        const int32_t line = line_of(making, program->sections[s].kind, program->sections[s].chunk);

        if (is_step_line(making, line) && making->positions[(int64_t)line * making->microbatches] < 0)
            return error_set(making->error, STATUS_BUG, "the program has a section %s of chunk %d, the schedule none",
                             section_kind_name(program->sections[s].kind), program->sections[s].chunk);
    }
    return STATUS_OK;
}

static void find_positions(struct making *making)
{
    for (int64_t i = 0; i < (int64_t)STEP_LINES * making->chunks * making->microbatches; i++)
        making->positions[i] = -1;
    for (int64_t i = 0; i < making->rank->count; i++) {
        const struct pipeline_entry *entry = &making->rank->entries[i];
        const int32_t line = line_of(making, flow_section_kind(entry), entry->chunk);

        if (line != NO_LINE)
            making->positions[(int64_t)line * making->microbatches + entry->microbatch] = i;
    }
}

/* Every microbatch's entries stand together, in the order of those of the first one. */
static bool is_serial(const struct making *making)
{
    int32_t order[STEP_LINES * PIPELINE_CHUNKS_MAX]; /* lines of the first microbatch */
    int64_t each = 0, at = 0;

    for (int64_t i = 0; i < making->rank->count; i++) {
        const struct pipeline_entry *entry = &making->rank->entries[i];
        const int32_t line = line_of(making, flow_section_kind(entry), entry->chunk);

        if (line == NO_LINE)
            continue;
        if (entry->microbatch == 0 && at == each)
            order[each++] = line;
        else if (each == 0 || entry->microbatch != at / each || line != order[at % each])
            return false;
        at++;
    }
    return true;
}

/* One line of all entries of a microbatch: its sections in the order in which the first microbatch runs them. */
static void place_serial(struct making *making)
{
    const struct program *program = making->program;
    int64_t now = 0;

    for (int64_t i = 0; i < making->rank->count; i++) {
        const struct pipeline_entry *entry = &making->rank->entries[i];
        const enum section_kind kind = flow_section_kind(entry);

        for (int64_t s = 0; entry->microbatch == 0 && s < program->section_count; s++)
            if (program->sections[s].kind == kind && program->sections[s].chunk == entry->chunk) {
                making->flow->line[s] = 0;
                making->flow->time[s] = now;
                now += program->sections[s].op_count;
            }
    }
}

static int place_sections(struct making *making)
{
    const struct program *program = making->program;
    struct flow *flow = making->flow;
    int status = STATUS_OK;

    for (int64_t s = 0; s < program->section_count; s++) {
        flow->line[s] = line_of(making, program->sections[s].kind, program->sections[s].chunk);
        flow->time[s] = program->sections[s].first_op;
    }
    if (making->rank == NULL)
        return STATUS_OK;
    find_positions(making);
    status = check_sections(making);
    flow->serial = status == STATUS_OK && is_serial(making);
    if (flow->serial)
        place_serial(making);
    return status;
}

/* A section on step line `line` uses the value. */
static void add_use(const struct making *making, struct use *use, int32_t line)
{
    const int32_t chunk = line % making->chunks;

    if (use->first == NO_LINE)
        use->first = line;
    use->several |= use->first != line;
    if (line / making->chunks == LINE_F && chunk > use->forward)
        use->forward = chunk;
    else if (line / making->chunks == LINE_B && (use->backward < 0 || chunk < use->backward))
        use->backward = chunk;
    else if (line / making->chunks == LINE_W)
        use->weight |= UINT64_C(1) << chunk;
}

/* STATUS_BUG for a value that two of them add to: it would become zero in between. */
static int own_accumulators(struct making *making, const struct section *section, const struct op *op)
{
    const int32_t owner = flow_accumulators(section->chunk, section->kind == SECTION_BACKWARD_WEIGHT);
    const int32_t *operands = program_operands(making->program, op);

    for (uint32_t i = 0; i < op_operand_count(op_info_find(op->op)); i++) {
        int32_t *now =
            operands[i] != NO_VALUE ? &making->flow->accumulator[program_root(making->program, operands[i])] : NULL;

        if (!(op->accumulate >> i & 1) || now == NULL)
            continue;
        if (*now >= 0 && *now != owner)
            return error_set(making->error, STATUS_BUG, "%s is added to by %s of chunk %d and by another section",
                             making->program->values[operands[i]].name, section_kind_name(section->kind),
                             section->chunk);
        *now = owner;
    }
    return STATUS_OK;
}

static int find_uses(struct making *making)
{
    const struct program *program = making->program;
    int32_t *lines = malloc(((size_t)program->value_count + 1) * sizeof *lines);
    int32_t *section_of = making->flow->section;
    int status = STATUS_OK;

    if (lines == NULL)
        return error_set(making->error, STATUS_MEMORY, "no memory for the slots of a step");
    for (int64_t i = 0; i < program->value_count; i++) {
        making->uses[i] = (struct use){.first = NO_LINE, .forward = -1, .backward = -1};
        lines[i] = NO_LINE;
    }
    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        const int32_t line = line_of(making, section->kind, section->chunk);
        const bool step = is_step_line(making, line);

        for (int32_t n = 0; line != NO_LINE && status == STATUS_OK && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const int32_t *operands = program_operands(program, op);

            status = step ? own_accumulators(making, section, op) : STATUS_OK;
            for (uint32_t k = 0; status == STATUS_OK && k < op_operand_count(op_info_find(op->op)); k++) {
                const int32_t root = operands[k] != NO_VALUE ? program_root(program, operands[k]) : NO_VALUE;

                if (root == NO_VALUE || program->values[root].kind != VALUE_ACTIVATION)
                    continue;
                if (lines[root] != NO_LINE && lines[root] != line && !(step && is_step_line(making, lines[root])))
                    status =
                        error_set(making->error, STATUS_BUG, "%s is used by sections that do not run together, like %s",
                                  program->values[root].name, section_kind_name(section->kind));
                section_of[root] = lines[root] == NO_LINE || section_of[root] == s ? (int32_t)s : -1;
                lines[root] = line;
                if (step)
                    add_use(making, &making->uses[root], line);
            }
        }
    }
    /* What has views stays memory that the host knows. */
    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].flags & VALUE_VIEW)
            section_of[program_root(program, (int32_t)i)] = -1;
    free(lines);
    return status;
}

/* Only what ends a life is left: B of a chunk comes after every F, and before W of that chunk. */
static struct use end_of(struct use use)
{
    if (use.backward >= 0 && use.weight >> use.backward & 1)
        use.backward = -1;
    if (use.backward >= 0 || use.weight != 0)
        use.forward = -1;
    return use;
}

static bool same_end(const struct use *a, const struct use *b)
{
    return a->first == b->first && a->forward == b->forward && a->backward == b->backward && a->weight == b->weight;
}

static int32_t pool_of(struct making *making, const struct use *end)
{
    struct flow *flow = making->flow;

    for (int32_t i = POOL_INPUT + 1; i < flow->pools; i++)
        if (same_end(&making->ends[i], end))
            return i;
    making->ends[flow->pools] = *end;
    return flow->pools++;
}

/* An input is there from the first entry of its microbatch to the last. */
static void make_pools(struct making *making)
{
    const struct program *program = making->program;
    struct flow *flow = making->flow;

    flow->pools = POOL_INPUT + 1;
    for (int64_t i = 0; i < program->value_count; i++) {
        const struct use *use = &making->uses[i];

        if (program->values[i].flags & VALUE_PER_MICROBATCH)
            flow->pool[i] = POOL_INPUT;
        else if (use->several && !flow->serial) {
            const struct use end = end_of(*use);

            flow->pool[i] = pool_of(making, &end);
        }
    }
}

static uint64_t rotate_right(uint64_t bits, int32_t by)
{
    return by == 0 ? bits : bits >> by | bits << (64 - by);
}

/* As seen from the chunk that takes the slot. */
static struct use relative(const struct making *making, struct use end)
{
    const int32_t chunk = end.first % making->chunks;

    end.first /= making->chunks;
    end.forward = end.forward < 0 ? INT32_MIN : end.forward - chunk;
    end.backward = end.backward < 0 ? INT32_MIN : end.backward - chunk;
    end.weight = rotate_right(end.weight, chunk);
    return end;
}

static void make_groups(struct making *making)
{
    struct flow *flow = making->flow;

    flow->group[POOL_INPUT] = 0;
    flow->groups = 1;
    for (int32_t i = POOL_INPUT + 1; i < making->links; i++) {
        const struct use mine = relative(making, making->ends[i]);
        int32_t group = flow->groups;

        for (int32_t j = POOL_INPUT + 1; group == flow->groups && j < i; j++) {
            const struct use other = relative(making, making->ends[j]);

            if (same_end(&other, &mine))
                group = flow->group[j];
        }
        flow->group[i] = group;
        flow->groups += group == flow->groups;
    }
    for (int32_t i = making->links; i < flow->pools; i++)
        flow->group[i] = flow->groups++;
}

static int64_t position(const struct making *making, int32_t line, int32_t microbatch)
{
    return making->positions[(int64_t)line * making->microbatches + microbatch];
}

/* The entries between which a microbatch holds its slot of a pool. */
static void hold(const struct making *making, int32_t pool, int32_t microbatch, int64_t *first, int64_t *last)
{
    const struct use *end = &making->ends[pool];
    const int32_t chunks = making->chunks;

    if (pool == POOL_INPUT) {
        *first = INT64_MAX;
        *last = -1;
        for (int32_t line = 0; line < STEP_LINES * chunks; line++) {
            const int64_t at = position(making, line, microbatch);

            *first = at >= 0 && at < *first ? at : *first;
            *last = at > *last ? at : *last;
        }
        return;
    }
    *first = *last = position(making, end->first, microbatch);
    if (end->forward >= 0 && position(making, LINE_F * chunks + end->forward, microbatch) > *last)
        *last = position(making, LINE_F * chunks + end->forward, microbatch);
    if (end->backward >= 0 && position(making, LINE_B * chunks + end->backward, microbatch) > *last)
        *last = position(making, LINE_B * chunks + end->backward, microbatch);
    for (int32_t chunk = 0; chunk < chunks; chunk++)
        if (end->weight >> chunk & 1 && position(making, LINE_W * chunks + chunk, microbatch) > *last)
            *last = position(making, LINE_W * chunks + chunk, microbatch);
}

/* Walks the schedule: at each entry pools take the lowest free slot of their group, behind it they give it back. `held`
 * is [pool][microbatch], `taken` [group][slot]; a group has at most pools x microbatches slots in use. */
static void walk(struct making *making, int32_t *held, uint8_t *taken)
{
    struct flow *flow = making->flow;
    const int64_t room = (int64_t)flow->pools * making->microbatches;

    for (int64_t i = 0; i < making->rank->count; i++) {
        const struct pipeline_entry *entry = &making->rank->entries[i];
        int32_t *row = &flow->slots[i * flow->pools];

        for (int32_t p = 0; p < flow->pools; p++) {
            int32_t *slot = &held[(int64_t)p * making->microbatches + entry->microbatch];
            uint8_t *group = &taken[flow->group[p] * room];
            int64_t first, last;

            row[p] = -1;
            if (p >= making->links || line_of(making, flow_section_kind(entry), entry->chunk) == NO_LINE)
                continue;
            hold(making, p, entry->microbatch, &first, &last);
            if (first == i) {
                *slot = 0;
                while (group[*slot])
                    (*slot)++;
                group[*slot] = 1;
                if (*slot + 1 > flow->group_slots[flow->group[p]])
                    flow->group_slots[flow->group[p]] = *slot + 1;
            }
            if (first <= i && i <= last)
                row[p] = *slot;
        }
        for (int32_t p = 0; p < flow->pools; p++) {
            int64_t first, last;

            if (row[p] < 0)
                continue;
            hold(making, p, entry->microbatch, &first, &last);
            if (last == i)
                taken[flow->group[p] * room + row[p]] = 0;
        }
    }
}

static int give_slots(struct making *making)
{
    struct flow *flow = making->flow;
    const size_t held_count = (size_t)flow->pools * (size_t)making->microbatches;
    int32_t *held = calloc(held_count + 1, sizeof *held);
    uint8_t *taken = calloc(held_count * (size_t)flow->groups + 1, 1);
    int status = STATUS_OK;

    flow->slots = malloc(((size_t)making->rank->count * (size_t)flow->pools + 1) * sizeof *flow->slots);
    flow->group_slots = calloc((size_t)flow->groups + 1, sizeof *flow->group_slots);
    if (held == NULL || taken == NULL || flow->slots == NULL || flow->group_slots == NULL)
        status = error_set(making->error, STATUS_MEMORY, "no memory for the slots of a step");
    else
        walk(making, held, taken);
    free(held);
    free(taken);
    return status;
}

static int allocate(struct making *making)
{
    struct flow *flow = making->flow;
    const size_t values = (size_t)making->program->value_count + 1,
                 sections = (size_t)making->program->section_count + 1;
    const size_t lines = (size_t)STEP_LINES * (size_t)making->chunks;

    flow->line = malloc(sections * sizeof *flow->line);
    flow->time = malloc(sections * sizeof *flow->time);
    flow->section = malloc(values * sizeof *flow->section);
    flow->accumulator = malloc(values * sizeof *flow->accumulator);
    flow->pool = malloc(values * sizeof *flow->pool);
    flow->group = malloc(values * sizeof *flow->group);
    making->uses = malloc(values * sizeof *making->uses);
    making->ends = malloc(values * sizeof *making->ends);
    making->positions = malloc((lines * (size_t)making->microbatches + 1) * sizeof *making->positions);
    if (flow->line == NULL || flow->time == NULL || flow->section == NULL || flow->accumulator == NULL ||
        flow->pool == NULL || flow->group == NULL || making->uses == NULL || making->ends == NULL ||
        making->positions == NULL)
        return error_set(making->error, STATUS_MEMORY, "no memory for the slots of a step");
    for (size_t i = 0; i < values; i++) {
        flow->pool[i] = NO_POOL;
        flow->section[i] = flow->accumulator[i] = -1;
    }
    return STATUS_OK;
}

int flow_make(const struct program *program, const struct pipeline_shape *shape, const struct pipeline_rank *rank,
              struct flow *flow, struct error *error)
{
    struct making making = {.program = program,
                            .rank = rank,
                            .flow = flow,
                            .chunks = rank != NULL ? shape->chunks : 1,
                            .microbatches = rank != NULL ? shape->microbatches : 0,
                            .error = error};
    int status;

    memset(flow, 0, sizeof *flow);
    status = allocate(&making);
    if (status == STATUS_OK)
        status = place_sections(&making);
    if (status == STATUS_OK)
        status = find_uses(&making);
    if (status == STATUS_OK && rank != NULL) {
        make_pools(&making);
        making.links = flow->pools;
        flow_add_links(program, flow);
        make_groups(&making);
        status = give_slots(&making);
        if (status == STATUS_OK)
            flow_fill_links(program, rank, flow);
    }
    free(making.uses);
    free(making.ends);
    free(making.positions);
    if (status != STATUS_OK)
        flow_finish(flow);
    return status;
}

void flow_finish(struct flow *flow)
{
    free(flow->line);
    free(flow->time);
    free(flow->section);
    free(flow->accumulator);
    free(flow->pool);
    free(flow->group);
    free(flow->group_slots);
    free(flow->slots);
    memset(flow, 0, sizeof *flow);
}
