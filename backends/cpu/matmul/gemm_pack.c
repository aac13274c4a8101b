#include "matmul/gemm_plan.h"

/* Which lanes to pack: rows of a or columns of b. */
struct lanes {
    int of_a;
    int64_t first;
    int64_t count;
    int width;
};

static int64_t element_bytes(const struct gemm_plan *plan)
{
    return plan->problem->dtype == LLMRUN_F32 ? 4 : 2;
}

static int64_t segment_units(const struct gemm_plan *plan, const struct gemm_segment *segment)
{
    return gemm_parts(segment->k / plan->parts, plan->unit_k);
}

/* The elements of k of a segment that belong to `part` and to `units` of it; `base` is the segment's first unit. */
static struct gemm_range segment_k(const struct gemm_plan *plan, const struct gemm_segment *segment, int64_t part,
                                   int64_t base, struct gemm_range units)
{
    int64_t size = segment->k / plan->parts, begin = gemm_larger(units.begin - base, 0) * plan->unit_k;
    int64_t end = gemm_smaller((units.end - base) * plan->unit_k, size);
    return (struct gemm_range){part * size + begin, part * size + gemm_larger(begin, end)};
}

static uint32_t *pack_k(const struct gemm_plan *plan, const struct gemm_segment *segment, const struct lanes *lanes,
                        struct gemm_range k, int64_t distance, uint32_t *to)
{
    struct gemm_panels panels = {.k = k.end - k.begin, .lanes = lanes->count, .width = lanes->width};
    panels.lane_stride = lanes->of_a ? segment->a_row : segment->b_column;
    panels.k_stride = lanes->of_a ? segment->a_k : segment->b_k;
    panels.distance = distance;
    panels.source = (const char *)(lanes->of_a ? segment->a : segment->b) +
                    (lanes->first * panels.lane_stride + k.begin * panels.k_stride) * element_bytes(plan);
    plan->kernel->pack(&panels, to);
    return to + gemm_parts(panels.k, plan->unit_k) * plan->unit_steps * lanes->width;
}

static uint32_t *pack_part(const struct gemm_plan *plan, int64_t part, const struct lanes *lanes,
                           struct gemm_range units, int64_t distance, uint32_t *to)
{
    int64_t base = 0;
    for (int s = 0; s < plan->problem->segments; s++) {
        const struct gemm_segment *segment = &plan->problem->segment[s];
        int64_t count = segment_units(plan, segment);
        if (units.begin < base + count && units.end > base)
            to = pack_k(plan, segment, lanes, segment_k(plan, segment, part, base, units), distance, to);
        base += count;
    }
    return to;
}

/* One segment whose parts are whole units: then neighbouring parts are neighbours in memory too. */
static int parts_are_neighbours(const struct gemm_plan *plan)
{
    return plan->problem->segments == 1 && plan->problem->segment[0].k / plan->parts % plan->unit_k == 0;
}

static struct gemm_range neighbouring_k(const struct gemm_phase *phase, struct gemm_range units)
{
    const struct gemm_plan *plan = phase->plan;
    int64_t first = phase->part * (plan->problem->segment[0].k / plan->parts);
    return (struct gemm_range){first + units.begin * plan->unit_k, first + units.end * plan->unit_k};
}

static void pack_units(const struct gemm_phase *phase, const struct lanes *lanes, struct gemm_range units,
                       int64_t distance, uint32_t *to)
{
    const struct gemm_plan *plan = phase->plan;
    if (parts_are_neighbours(plan)) {
        pack_k(plan, plan->problem->segment, lanes, neighbouring_k(phase, units), distance, to);
        return;
    }
    for (int64_t part = units.begin / gemm_larger(plan->part_units, 1); part * plan->part_units < units.end; part++) {
        struct gemm_range range = {gemm_larger(units.begin - part * plan->part_units, 0),
                                   gemm_smaller(units.end - part * plan->part_units, plan->part_units)};
        to = pack_part(plan, phase->part + part, lanes, range, distance, to);
    }
}

void gemm_pack_rows(void *context, int64_t task, int thread)
{
    const struct gemm_phase *phase = context;
    const struct gemm_plan *plan = phase->plan;
    int rows = plan->kernel->rows;
    int64_t distance = gemm_panel_distance(gemm_kc_steps(phase), rows);
    struct gemm_range panels =
        gemm_part_of(phase->rows.end - phase->rows.begin, phase->row_groups, task % phase->row_groups);
    struct gemm_range units =
        gemm_part_of(phase->units.end - phase->units.begin, phase->unit_groups, task / phase->row_groups);
    int64_t first = (phase->rows.begin + panels.begin) * rows, skipped = units.begin * plan->unit_steps;
    int64_t end = gemm_smaller((phase->rows.begin + panels.end) * rows, plan->problem->m);
    int64_t full = (end - first) / rows, rest = (end - first) % rows;
    uint32_t *to = phase->left + panels.begin * distance;
    (void)thread;
    units.begin += phase->units.begin;
    units.end += phase->units.begin;
    if (full > 0) {
        struct lanes lanes = {1, first, full * rows, rows};
        pack_units(phase, &lanes, units, distance, to + skipped * rows);
    }
    if (rest > 0) {
        struct lanes lanes = {1, first + full * rows, rest, (int)rest};
        pack_units(phase, &lanes, units, distance, to + full * distance + skipped * rest);
    }
}

/* The columns of some panels of the MC x NC block. */
static struct lanes column_lanes(const struct gemm_phase *phase, struct gemm_range columns)
{
    const struct gemm_plan *plan = phase->plan;
    int width = plan->kernel->columns;
    int64_t first = (phase->columns.begin + columns.begin) * width;
    int64_t end = gemm_smaller((phase->columns.begin + columns.end) * width, plan->problem->n);
    return (struct lanes){0, first, end - first, width};
}

void gemm_pack_columns(const struct gemm_phase *phase, struct gemm_range columns, uint32_t *to)
{
    struct lanes lanes = column_lanes(phase, columns);
    pack_units(phase, &lanes, phase->units, gemm_panel_distance(gemm_kc_steps(phase), lanes.width), to);
}

struct gemm_fetch gemm_fetch_make(const struct gemm_phase *phase, struct gemm_range columns, int64_t tiles)
{
    const struct gemm_plan *plan = phase->plan;
    const struct gemm_segment *segment = plan->problem->segment;
    struct lanes lanes = column_lanes(phase, columns);
    int64_t base = 0, size = element_bytes(plan);
    struct gemm_range k;
    if (parts_are_neighbours(plan)) {
        k = neighbouring_k(phase, phase->units);
    } else {
        while (base + segment_units(plan, segment) <= phase->units.begin)
            base += segment_units(plan, segment++);
        k = segment_k(plan, segment, phase->part, base, phase->units);
    }
    int64_t first = k.begin * segment->b_k + lanes.first * segment->b_column;
    struct gemm_fetch fetch = {.row = (const char *)segment->b + first * size};
    int along_k = segment->b_k == 1;
    fetch.rows = along_k ? lanes.count : k.end - k.begin;
    fetch.bytes = (along_k ? k.end - k.begin : lanes.count) * size;
    fetch.row_bytes = (along_k ? segment->b_column : segment->b_k) * size;
    fetch.lines = gemm_parts(fetch.rows * gemm_parts(fetch.bytes, 64), tiles);
    return fetch;
}
