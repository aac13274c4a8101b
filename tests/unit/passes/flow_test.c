#include "passes/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "program/op_table.h"
#include "program/text.h"

#define MICROBATCHES 8

static void parse(const char *text, struct program *program)
{
    struct error error;

    program_init(program);
    if (program_parse(program, text, &error) != STATUS_OK)
        fail_msg("%s\n%s", error.message, text);
}

static void make_table(enum pipeline_kind kind, const struct pipeline_shape *shape, struct pipeline *pipeline)
{
    struct error error;

    if (pipeline_of_kind(kind, shape, pipeline, &error) != STATUS_OK || pipeline_check(pipeline, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void make_flow(const struct program *program, const struct pipeline_shape *shape,
                      const struct pipeline_rank *rank, struct flow *flow)
{
    struct error error;

    if (flow_make(program, shape, rank, flow, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* Of each chunk: F makes "fb" for B, "fw" for W and "f" for nobody else; B makes "bw" for W; W makes "w". Without a
 * split B and W are one section. With `links`, F of a chunk makes "ff" for F of the next one, B "bb" for B of the one
 * before it, and F of chunk 0 "all", which everything uses. */
static void add_chunks(struct text *text, int32_t chunks, bool split, bool links)
{
    static const char *const names[] = {"fb", "fw", "f", "bw", "w", "ff", "bb"};
    enum { FB = 1, FW, F, BW, W, FF, BB, NAMES = 7 };
    const char *b = split ? "backward_input" : "backward";

    text_add(text, "llmrun-program 1\n%%0 = input f32[4] \"x\" per-microbatch\n");
    for (int32_t c = 0; c < chunks; c++)
        for (int32_t i = 0; i < NAMES; i++)
            text_add(text, "%%%d = activation f32[4] \"%s%d\"\n", c * NAMES + i + 1, names[i], c);
    text_add(text, "%%%d = activation f32[4] \"all\"\n", chunks * NAMES + 1);
#define ID(chunk, name)   ((chunk)*NAMES + (name))
#define OP(role, in, out) text_add(text, "  gelu(%%%d -> %%%d) " role "\n", in, out)
    for (int32_t c = 0; c < chunks; c++) {
        text_add(text, "section forward %d\n", c);
        OP("F", 0, ID(c, FB));
        OP("F", 0, ID(c, FW));
        OP("F", ID(c, FB), ID(c, F));
        if (links && c == 0)
            OP("F", ID(c, F), chunks * NAMES + 1);
        if (links && c > 0)
            OP("F", ID(c - 1, FF), ID(c, F));
        if (links)
            OP("F", chunks * NAMES + 1, ID(c, FF));
    }
    for (int32_t c = chunks - 1; c >= 0; c--) {
        text_add(text, "section %s %d\n", b, c);
        OP("B", ID(c, FB), ID(c, BW));
        if (links && c + 1 < chunks)
            OP("B", ID(c + 1, BB), ID(c, BW));
        if (links)
            OP("B", chunks * NAMES + 1, ID(c, BB));
        if (!split)
            OP("W", ID(c, FW), ID(c, W));
    }
    for (int32_t c = chunks - 1; split && c >= 0; c--) {
        text_add(text, "section backward_weight %d\n", c);
        OP("W", ID(c, FW), ID(c, W));
        OP("W", ID(c, BW), ID(c, W));
        if (links)
            OP("W", chunks * NAMES + 1, ID(c, W));
    }
#undef OP
#undef ID
}

static void chunk_program(int32_t chunks, bool split, bool links, struct program *program)
{
    struct text text = {0};

    add_chunks(&text, chunks, split, links);
    parse(text.data, program);
    text_finish(&text);
}

static bool uses(const struct program *program, const struct section *section, int32_t value)
{
    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];

        for (uint32_t k = 0; k < op_operand_count(op_info_find(op->op)); k++)
            if (program_operands(program, op)[k] == value)
                return true;
    }
    return false;
}

static bool entry_uses(const struct program *program, const struct pipeline_entry *entry, int32_t value)
{
    for (int64_t s = 0; s < program->section_count; s++)
        if (program->sections[s].kind == flow_section_kind(entry) && program->sections[s].chunk == entry->chunk &&
            uses(program, &program->sections[s], value))
            return true;
    return false;
}

/* When a microbatch needs its slot of a pool: by the values in it, from the first entry that uses one to the last. */
struct stay {
    int64_t first, last;
    int32_t slot, pool, microbatch;
};

static struct stay stay_of(const struct program *program, const struct pipeline_rank *rank, const struct flow *flow,
                           int32_t pool, int32_t microbatch)
{
    struct stay stay = {.first = -1, .last = -1, .slot = -1, .pool = pool, .microbatch = microbatch};

    for (int64_t i = 0; i < rank->count; i++) {
        const struct pipeline_entry *entry = &rank->entries[i];
        bool needed = pool == POOL_INPUT && flow_section_kind(entry) != SECTION_KINDS;

        for (int32_t v = 0; !needed && v < program->value_count; v++)
            needed = flow->pool[v] == pool && entry_uses(program, entry, v);
        if (!needed || entry->microbatch != microbatch)
            continue;
        stay.first = stay.first < 0 ? i : stay.first;
        stay.last = i;
    }
    assert_true(stay.first >= 0);
    stay.slot = flow->slots[stay.first * flow->pools + pool];
    return stay;
}

/* A microbatch has one slot from its first use to its last and none before or after, and meanwhile no one else has it;
 * a group has no more slots than are used at once. */
static void check_slots(const struct program *program, const struct pipeline_rank *rank, const struct flow *flow,
                        int32_t microbatches)
{
    const int32_t count = flow->pools * microbatches;
    struct stay *stays = malloc(((size_t)count + 1) * sizeof *stays);

    assert_non_null(stays);
    for (int32_t n = 0; n < count; n++) {
        struct stay *stay = &stays[n];

        *stay = stay_of(program, rank, flow, n / microbatches, n % microbatches);
        assert_in_range(stay->slot, 0, flow->group_slots[flow->group[stay->pool]] - 1);
        for (int64_t i = 0; i < rank->count; i++)
            if (rank->entries[i].microbatch == stay->microbatch &&
                flow_section_kind(&rank->entries[i]) != SECTION_KINDS)
                assert_int_equal(flow->slots[i * flow->pools + stay->pool],
                                 i >= stay->first && i <= stay->last ? stay->slot : -1);
        for (int32_t k = 0; k < n; k++)
            if (flow->group[stays[k].pool] == flow->group[stay->pool] && stays[k].slot == stay->slot)
                assert_true(stays[k].last < stay->first || stay->last < stays[k].first);
    }
    for (int32_t g = 0; g < flow->groups; g++) {
        int32_t most = 0;

        for (int64_t i = 0; i < rank->count; i++) {
            int32_t now = 0;

            for (int32_t n = 0; n < count; n++)
                now += flow->group[stays[n].pool] == g && stays[n].first <= i && i <= stays[n].last;
            most = now > most ? now : most;
        }
        assert_int_equal(flow->group_slots[g], most);
    }
    free(stays);
}

static const struct schedule {
    enum pipeline_kind kind;
    int32_t chunks;
} schedules[] = {{PIPELINE_ONE_F_ONE_B, 1}, {PIPELINE_GPIPE, 1},       {PIPELINE_INTERLEAVED, 2},
                 {PIPELINE_INTERLEAVED, 3}, {PIPELINE_ZERO_BUBBLE, 1}, {PIPELINE_ZERO_BUBBLE, 2}};

#define SCHEDULES (sizeof schedules / sizeof schedules[0])

static int32_t pool_named(const struct program *program, const struct flow *flow, const char *name)
{
    assert_int_not_equal(program_find(program, name), NO_VALUE);
    return flow->pool[program_find(program, name)];
}

/* Slots of the group of a value; 1 where all is alive once. */
static int32_t slots_named(const struct program *program, const struct flow *flow, const char *name)
{
    const int32_t pool = pool_named(program, flow, name);

    if (flow->serial)
        assert_int_equal(pool, NO_POOL);
    else
        assert_true(pool > POOL_INPUT);
    return flow->serial ? 1 : flow->group_slots[flow->group[pool]];
}

static void slots_are_as_many_as_those_of_the_table(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int32_t ranks = 1; ranks <= 4; ranks *= 2)
            for (int32_t groups = 1; groups <= 2; groups++) {
                const struct pipeline_shape shape = {ranks, schedules[s].chunks, MICROBATCHES, groups, groups == 2};
                const bool split = pipeline_splits(schedules[s].kind);
                struct pipeline pipeline;
                struct program program;

                chunk_program(shape.chunks, split, false, &program);
                make_table(schedules[s].kind, &shape, &pipeline);
                for (int32_t r = 0; r < ranks; r++) {
                    const struct pipeline_rank *rank = &pipeline.ranks[r];
                    struct flow flow;

                    make_flow(&program, &shape, rank, &flow);
                    assert_int_equal(slots_named(&program, &flow, "fb0"), rank->slots.f_to_b);
                    assert_int_equal(slots_named(&program, &flow, "fw0"), rank->slots.f_to_w);
                    if (split)
                        assert_int_equal(slots_named(&program, &flow, "bw0"), rank->slots.b_to_w);
                    else
                        assert_int_equal(pool_named(&program, &flow, "bw0"), NO_POOL);
                    assert_int_equal(pool_named(&program, &flow, "f0"), NO_POOL);
                    assert_int_equal(pool_named(&program, &flow, "w0"), NO_POOL);
                    assert_int_equal(pool_named(&program, &flow, "x"), POOL_INPUT);
                    check_slots(&program, rank, &flow, MICROBATCHES);
                    flow_finish(&flow);
                }
                pipeline_finish(&pipeline);
                program_finish(&program);
            }
}

/* Without a split "fb" and "fw" end with the same section, so they are one pool; chunks share groups. */
static void values_that_live_equally_long_share_a_pool_and_pools_of_chunks_a_group(void **state)
{
    const struct pipeline_shape shape = {.ranks = 2, .chunks = 2, .microbatches = MICROBATCHES, .groups = 1};

    (void)state;
    for (int split = 0; split < 2; split++) {
        struct pipeline pipeline;
        struct program program;
        struct flow flow;

        chunk_program(2, split, false, &program);
        make_table(split ? PIPELINE_ZERO_BUBBLE : PIPELINE_INTERLEAVED, &shape, &pipeline);
        make_flow(&program, &shape, &pipeline.ranks[1], &flow);
        assert_int_equal(pool_named(&program, &flow, "fb1") == pool_named(&program, &flow, "fw1"), !split);
        assert_int_not_equal(pool_named(&program, &flow, "fb0"), pool_named(&program, &flow, "fb1"));
        assert_int_equal(flow.group[pool_named(&program, &flow, "fb0")],
                         flow.group[pool_named(&program, &flow, "fb1")]);
        assert_int_equal(flow.pools, split ? 1 + 3 * 2 : 1 + 2);
        assert_int_equal(flow.groups, split ? 1 + 3 : 1 + 1);
        flow_finish(&flow);
        pipeline_finish(&pipeline);
        program_finish(&program);
    }
}

/* What goes from one chunk to another, and what everything uses; check_slots goes by the uses themselves. */
static void a_value_of_another_chunk_lives_until_its_last_use(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int32_t ranks = 1; ranks <= 4; ranks *= 2) {
            const struct pipeline_shape shape = {ranks, schedules[s].chunks, MICROBATCHES, 1, false};
            struct pipeline pipeline;
            struct program program;

            chunk_program(shape.chunks, pipeline_splits(schedules[s].kind), true, &program);
            make_table(schedules[s].kind, &shape, &pipeline);
            for (int32_t r = 0; r < ranks; r++) {
                struct flow flow;

                make_flow(&program, &shape, &pipeline.ranks[r], &flow);
                if (!flow.serial && shape.chunks > 1) {
                    assert_true(pool_named(&program, &flow, "ff0") > POOL_INPUT);
                    assert_true(pool_named(&program, &flow, "bb1") > POOL_INPUT);
                }
                check_slots(&program, &pipeline.ranks[r], &flow, MICROBATCHES);
                flow_finish(&flow);
            }
            pipeline_finish(&pipeline);
            program_finish(&program);
        }
}

/* From text: "F0 B1/1": action, microbatch, chunk. */
static struct pipeline_rank table_of(const char *text, struct pipeline_entry *entries)
{
    struct pipeline_rank rank = {.entries = entries};

    while (*text != '\0') {
        struct pipeline_entry *entry = &entries[rank.count++];
        char action[4];
        int microbatch, chunk = 0, used = 0;

        assert_int_equal(sscanf(text, "%3[A-Z]%d%n", action, &microbatch, &used), 2);
        text += used;
        if (*text == '/') {
            assert_int_equal(sscanf(text, "/%d%n", &chunk, &used), 1);
            text += used;
        }
        *entry = (struct pipeline_entry){.chunk = (uint16_t)chunk, .microbatch = microbatch};
        while (strcmp(pipeline_action_name(entry->action), action) != 0)
            entry->action++;
        text += *text == ' ';
    }
    return rank;
}

static void microbatches_one_after_the_other_are_told_from_others(void **state)
{
    static const struct {
        const char *table;
        int32_t chunks, microbatches;
        bool split, serial;
    } cases[] = {
        {"F0 BW0", 1, 1, false, true},
        {"F0 BW0 F1 BW1 F2 BW2", 1, 3, false, true},
        {"F0 F1 BW0 BW1", 1, 2, false, false},
        {"F0 F1 BW0 F2 BW1 BW2", 1, 3, false, false},
        {"F0 B0 W0 F1 B1 W1", 1, 2, true, true},
        {"F0 B0 F1 W0 B1 W1", 1, 2, true, false},
        {"F0 F0/1 BW0/1 BW0 F1 F1/1 BW1/1 BW1", 2, 2, false, true},
        {"F0 F0/1 BW0/1 F1 BW0 F1/1 BW1/1 BW1", 2, 2, false, false},
        {"F0 F0/1 B0/1 B0 W0 W0/1 F1 F1/1 B1/1 B1 W1 W1/1", 2, 2, true, true},
        {"F0 F0/1 B0/1 B0 W0 W0/1 F1 F1/1 B1/1 B1 W1/1 W1", 2, 2, true, false}, /* in another order */
        {"F0 F0/1 B0/1 W0/1 B0 W0 F1 F1/1 B1/1 B1 W1/1 W1", 2, 2, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pipeline_entry entries[32];
        const struct pipeline_rank rank = table_of(cases[i].table, entries);
        const struct pipeline_shape shape = {
            .ranks = 1, .chunks = cases[i].chunks, .microbatches = cases[i].microbatches, .groups = 1};
        struct program program;
        struct flow flow;

        chunk_program(cases[i].chunks, cases[i].split, true, &program);
        make_flow(&program, &shape, &rank, &flow);
        if (flow.serial != cases[i].serial)
            fail_msg("%s is%s serial", cases[i].table, cases[i].serial ? "" : " not");
        if (flow.serial) {
            assert_int_equal(flow.pools, 1);
            assert_int_equal(flow.group_slots[flow.group[POOL_INPUT]], 1);
        }
        check_slots(&program, &rank, &flow, cases[i].microbatches);
        flow_finish(&flow);
        program_finish(&program);
    }
}

/* All of a microbatch is one line then, on which its sections follow each other as the table says. */
static void on_the_line_of_a_serial_schedule_sections_run_in_the_order_of_the_table(void **state)
{
    static const char text[] = "llmrun-program 1\n"
                               "%0 = activation f32[4] \"x\"\n"
                               "section init 0\n"
                               "section forward 0 layer 0\n  gelu(%0 -> %0) F\n  gelu(%0 -> %0) F\n"
                               "section forward 0 layer 1\n  gelu(%0 -> %0) F\n"
                               "section forward 1 layer 2\n  gelu(%0 -> %0) F\n"
                               "section backward_input 1 layer 2\n  gelu(%0 -> %0) B\n"
                               "section backward_input 0 layer 1\n"
                               "section backward_weight 1 layer 2\n  gelu(%0 -> %0) W\n"
                               "section backward_weight 0 layer 1\n  gelu(%0 -> %0) W\n"
                               "section reduce 0\n"
                               "section update 0\n";
    static const int64_t times[] = {-1, 0, 2, 3, 4, 6, 5, 6, -1}; /* W of chunk 1 comes before B of chunk 0 */
    const struct pipeline_shape shape = {.ranks = 1, .chunks = 2, .microbatches = 2, .groups = 1};
    struct pipeline_entry entries[32];
    const struct pipeline_rank rank = table_of("F0 F0/1 B0/1 W0/1 B0 W0 F1 F1/1 B1/1 W1/1 B1 W1", entries);
    struct program program;
    struct flow flow;

    (void)state;
    parse(text, &program);
    make_flow(&program, &shape, &rank, &flow);
    assert_true(flow.serial);
    for (int s = 0; s < 9; s++) {
        assert_int_equal(flow.line[s] == NO_LINE, times[s] < 0);
        if (times[s] >= 0) {
            assert_int_equal(flow.line[s], flow.line[1]);
            assert_int_equal(flow.time[s], times[s]);
        }
    }
    assert_int_not_equal(flow.line[9], NO_LINE); /* the update is on a line of its own */
    assert_int_not_equal(flow.line[9], flow.line[1]);
    flow_finish(&flow);
    program_finish(&program);
}

static void without_a_step_there_are_lines_of_their_own_and_no_pools(void **state)
{
    static const char text[] = "llmrun-program 1\n"
                               "%0 = activation f32[4] \"inside\"\n"
                               "%1 = activation f32[4] \"across\"\n"
                               "%2 = activation f32[4] \"decoded\"\n"
                               "%3 = parameter f32[4] \"w\"\n"
                               "section init 0\n"
                               "section evaluate 0\n  gelu(%3 -> %0) F\n  gelu(%0 -> %1) F\n"
                               "section evaluate 0 layer 0\n  gelu(%1 -> %1) F\n"
                               "section prefill 0\n"
                               "section decode 0\n  gelu(%3 -> %2) F\n";
    struct program program;
    struct flow flow;

    (void)state;
    parse(text, &program);
    make_flow(&program, NULL, NULL, &flow);
    assert_int_equal(flow.pools, 0);
    assert_false(flow.serial);
    assert_int_equal(flow.line[0], NO_LINE);
    assert_int_equal(flow.line[1], flow.line[2]);
    assert_true(flow.time[2] >= flow.time[1] + 2);
    for (int s = 3; s <= 4; s++) {
        assert_int_not_equal(flow.line[s], NO_LINE);
        assert_int_not_equal(flow.line[s], flow.line[s - 1]);
    }
    assert_int_not_equal(flow.line[4], flow.line[2]);
    assert_int_equal(flow.section[0], 1);
    assert_int_equal(flow.section[1], -1);
    assert_int_equal(flow.section[2], 4);
    assert_int_equal(flow.section[3], -1); /* no activation */
    flow_finish(&flow);
    program_finish(&program);
}

#define GRADIENTS                                                                                                      \
    "llmrun-program 1\n"                                                                                               \
    "%0 = parameter f32[4,4] \"w\"\n"                                                                                  \
    "%1 = activation f32[4,4] \"x\"\n"                                                                                 \
    "%2 = gradient f32[4,4] \"g\" of %0\n"                                                                             \
    "%3 = gradient f32[4,4] \"h\" of %0\n"                                                                             \
    "%4 = gradient f32[4,4] \"new\" of %0\n"

static void accumulators_belong_to_b_or_w_of_a_chunk(void **state)
{
    static const char whole[] = GRADIENTS "section forward 0\n  gelu(%0 -> %1) F\n"
                                          "section forward 1\n"
                                          "section backward 1\n"
                                          "  matmul_weight_grad(%1, %1 -> +%2) {batch_parts: 1, reserved: 0} B\n"
                                          "  matmul_weight_grad(%1, %1 -> +%2) {batch_parts: 1, reserved: 0} W\n"
                                          "  matmul_weight_grad(%1, %1 -> %4) {batch_parts: 1, reserved: 0} W\n"
                                          "section backward 0\n"
                                          "  matmul_weight_grad(%1, %1 -> +%3) {batch_parts: 1, reserved: 0} W\n";
    static const char parts[] = GRADIENTS "section forward 0\n  gelu(%0 -> %1) F\n"
                                          "section forward 1\n"
                                          "section backward_input 1\n"
                                          "  matmul_weight_grad(%1, %1 -> +%2) {batch_parts: 1, reserved: 0} B\n"
                                          "section backward_input 0\n"
                                          "section backward_weight 1\n"
                                          "  matmul_weight_grad(%1, %1 -> %4) {batch_parts: 1, reserved: 0} W\n"
                                          "section backward_weight 0\n"
                                          "  matmul_weight_grad(%1, %1 -> +%3) {batch_parts: 1, reserved: 0} W\n";
    const struct pipeline_shape shape = {.ranks = 1, .chunks = 2, .microbatches = 2, .groups = 1};

    (void)state;
    for (int32_t chunk = 0; chunk < 4; chunk++)
        for (int weight = 0; weight < 2; weight++)
            assert_int_equal(flow_accumulators(chunk, weight), 2 * chunk + weight);
    for (int split = 0; split < 2; split++) {
        struct pipeline pipeline;
        struct program program;
        struct flow flow;

        parse(split ? parts : whole, &program);
        make_table(split ? PIPELINE_ZERO_BUBBLE : PIPELINE_INTERLEAVED, &shape, &pipeline);
        make_flow(&program, &shape, &pipeline.ranks[0], &flow);
        assert_int_equal(flow.accumulator[2], flow_accumulators(1, false));
        assert_int_equal(flow.accumulator[3], flow_accumulators(0, split)); /* where B and W are one, all is B's */
        assert_int_equal(flow.accumulator[4], -1);                          /* written over, not added to */
        assert_int_equal(flow.accumulator[1], -1);
        flow_finish(&flow);
        pipeline_finish(&pipeline);
        program_finish(&program);
    }
}

static void refused(const char *text, const char *table, int32_t chunks, const char *message)
{
    const struct pipeline_shape shape = {.ranks = 1, .chunks = chunks, .microbatches = 1, .groups = 1};
    struct pipeline_entry entries[32];
    const struct pipeline_rank rank = table_of(table, entries);
    struct program program;
    struct error error = {0};
    struct flow flow;

    parse(text, &program);
    assert_int_equal(flow_make(&program, &shape, &rank, &flow, &error), STATUS_BUG);
    assert_string_equal(error.message, message);
    assert_null(flow.line);
    program_finish(&program);
}

static void a_program_and_a_schedule_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    refused("llmrun-program 1\nsection forward 0\n", "F0 BW0", 1,
            "the schedule has a section backward of chunk 0, the program none");
    refused("llmrun-program 1\nsection forward 0\nsection backward 0\n", "F0 F0/1 BW0/1 BW0", 2,
            "the schedule has a section forward of chunk 1, the program none");
    refused("llmrun-program 1\nsection forward 0\nsection backward_input 0\n", "F0 BW0", 1,
            "the schedule has a section backward of chunk 0, the program none");
    refused("llmrun-program 1\nsection forward 0\nsection backward 0\nsection backward_weight 0\n", "F0 BW0", 1,
            "the program has a section backward_weight of chunk 0, the schedule none");
    refused("llmrun-program 1\n%0 = activation f32[4] \"y\"\n"
            "section forward 0\n  gelu(%0 -> %0) F\nsection backward 0\nsection prefill 0\n  gelu(%0 -> %0) F\n",
            "F0 BW0", 1, "y is used by sections that do not run together, like prefill");
}

/* The second of three ranks receives and sends both ways, the last one runs its microbatches one after the other. */
static void the_two_buffers_of_a_link_are_used_in_turn(void **state)
{
    static const char text[] =
        "llmrun-program 1\n"
        "%0 = activation f32[4] \"x\"\n%1 = activation f32[4] \"d\"\n"
        "%2 = scratch f32[4] \"x.received\"\n%3 = scratch f32[4] \"d.sent\"\n"
        "section forward 0\n  receive(%2 -> %0) {axis: 3, peer: 0, link: 0, reserved: 0} F\n"
        "section backward 0\n  gelu(%0 -> %1) B\n  send(%1 -> %3) {axis: 3, peer: 0, link: 1, reserved: 0} B\n";
    const struct pipeline_shape shape = {.ranks = 3, .chunks = 1, .microbatches = 5, .groups = 1};
    struct pipeline pipeline;
    struct program program;

    (void)state;
    parse(text, &program);
    make_table(PIPELINE_ONE_F_ONE_B, &shape, &pipeline);
    for (int32_t r = 1; r < 3; r++) {
        const struct pipeline_rank *rank = &pipeline.ranks[r];
        struct flow flow;

        make_flow(&program, &shape, rank, &flow);
        assert_int_equal(flow.serial, r == 2);
        for (int32_t value = 2; value < 4; value++) {
            const int32_t pool = flow.pool[value], other = flow.pool[5 - value];

            assert_true(pool > POOL_INPUT);
            assert_int_not_equal(flow.group[pool], flow.group[other]);
            assert_int_equal(flow.group_slots[flow.group[pool]], 2);
            for (int64_t i = 0; i < rank->count; i++) {
                const struct pipeline_entry *entry = &rank->entries[i];
                const bool uses_link = entry->action == (value == 2 ? PIPELINE_F : PIPELINE_BW);

                assert_int_equal(flow.slots[i * flow.pools + pool], uses_link ? entry->microbatch % 2 : -1);
            }
        }
        flow_finish(&flow);
    }
    pipeline_finish(&pipeline);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_buffers_of_a_link_are_used_in_turn),
        cmocka_unit_test(slots_are_as_many_as_those_of_the_table),
        cmocka_unit_test(values_that_live_equally_long_share_a_pool_and_pools_of_chunks_a_group),
        cmocka_unit_test(a_value_of_another_chunk_lives_until_its_last_use),
        cmocka_unit_test(microbatches_one_after_the_other_are_told_from_others),
        cmocka_unit_test(on_the_line_of_a_serial_schedule_sections_run_in_the_order_of_the_table),
        cmocka_unit_test(without_a_step_there_are_lines_of_their_own_and_no_pools),
        cmocka_unit_test(accumulators_belong_to_b_or_w_of_a_chunk),
        cmocka_unit_test(a_program_and_a_schedule_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests_name("passes flow", tests, NULL, NULL);
}
