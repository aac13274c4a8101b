/* The commands of each job: in which order they stand, and what memory holds while they run. */
#include "compile/commands.h"
#include "model/family.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/compile.h"
#include "program/op_table.h"

#define BATCH 8 /* sequences of a step */

static struct compile_request small_request(void)
{
    struct compile_request request = {.model = {.family = &family_gpt2,
                                                .n_layer = 4,
                                                .n_embd = 16,
                                                .n_head = 2,
                                                .n_positions = 8,
                                                .vocab_size = 50,
                                                .layer_norm_epsilon = 1e-5,
                                                .initializer_range = 0.2,
                                                .tie_word_embeddings = true}, /* two uses of one parameter */
                                      .seed = 1,
                                      .sequence = 8,
                                      .global_batch = BATCH,
                                      .micro_batch = 1,
                                      .batch_parts = 1,
                                      .train = true,
                                      .dropout = 0.1f,
                                      .compute_dtype = LLMRUN_BF16,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1},
                                      .exact = true};

    return request;
}

static void compile(const struct compile_request *request, struct compiled *compiled)
{
    struct error error;

    if (compile_step(request, compiled, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* Plans what was compiled anew, for rank `rank` of `ranks`, as if that had all layers that the program has. */
static void plan_rank(struct compiled *compiled, enum pipeline_kind kind, int32_t ranks, int32_t rank,
                      struct pipeline *tables)
{
    struct pipeline_shape shape = compiled->pipeline.shape;
    struct error error;
    int status;

    shape.ranks = ranks;
    flow_finish(&compiled->flow);
    commands_finish(&compiled->commands);
    memory_plan_finish(&compiled->plan);
    status = pipeline_of_kind(kind, &shape, tables, &error);
    if (status == STATUS_OK)
        status = flow_make(&compiled->program, &shape, &tables->ranks[rank], &compiled->flow, &error);
    if (status == STATUS_OK)
        status = commands_make(&compiled->program, &shape, &tables->ranks[rank], &compiled->flow,
                               compiled->io.microbatch_losses, &compiled->commands, &error);
    if (status == STATUS_OK)
        status = memory_plan_make(&compiled->program, &compiled->flow, compiled->microbatches, 0, false, 0,
                                  &compiled->plan, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.message);
}

/* What each PLAN_ALIGNMENT bytes of the arena hold. */
struct cell {
    int32_t value; /* NO_VALUE: nothing that is known */
    int32_t owner; /* microbatch; NO_ONE */
};

#define NO_ONE (-1)

struct machine {
    const struct compiled *compiled;
    struct cell *cells;
    int64_t count;
    int32_t *zeroed;   /* [accumulators]: how often */
    uint64_t uploaded; /* 1: the inputs are staged */
    bool received;     /* the compute lane waited for them */
    bool consumed;
    uint64_t inputs, losses; /* microbatches whose inputs came in, and whose losses went out */
};

static void start(struct machine *machine, const struct compiled *compiled)
{
    memset(machine, 0, sizeof *machine);
    machine->compiled = compiled;
    machine->count = compiled->plan.total_bytes / PLAN_ALIGNMENT;
    machine->cells = malloc((size_t)machine->count * sizeof *machine->cells);
    machine->zeroed = calloc((size_t)compiled->plan.accumulator_count + 1, sizeof *machine->zeroed);
    assert_non_null(machine->cells);
    assert_non_null(machine->zeroed);
    for (int64_t i = 0; i < machine->count; i++)
        machine->cells[i] = (struct cell){NO_VALUE, NO_ONE};
}

static void stop(struct machine *machine)
{
    free(machine->cells);
    free(machine->zeroed);
}

/* The first cell of a value in the slot that an entry of the schedule has. */
static struct cell *place(const struct machine *machine, int32_t value, int64_t entry, int64_t *count)
{
    const struct compiled *compiled = machine->compiled;
    const struct placement *at = &compiled->plan.placements[value];
    int32_t slot = 0;
    int64_t offset;

    assert_true(at->placed);
    if (at->pool != NO_POOL) {
        slot = entry >= 0 ? compiled->flow.slots[entry * compiled->flow.pools + at->pool] : -1;
        if (slot < 0)
            fail_msg("%s has no slot at entry %lld", compiled->program.values[value].name, (long long)entry);
    }
    offset = memory_plan_offset(&compiled->plan, value, slot);
    assert_int_equal(offset % PLAN_ALIGNMENT, 0);
    *count = (value_bytes(&compiled->program.values[value]) + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT;
    assert_true(offset / PLAN_ALIGNMENT + *count <= machine->count);
    return &machine->cells[offset / PLAN_ALIGNMENT];
}

static void write(struct machine *machine, int32_t value, int64_t entry, int32_t owner)
{
    const int32_t root = program_root(&machine->compiled->program, value);
    int64_t count;
    struct cell *cells = place(machine, root, entry, &count);

    for (int64_t i = 0; i < count; i++)
        cells[i] = (struct cell){root, owner};
}

static bool holds(const struct machine *machine, int32_t value, int64_t entry, int32_t owner)
{
    const int32_t root = program_root(&machine->compiled->program, value);
    int64_t count;
    const struct cell *cells = place(machine, root, entry, &count);

    for (int64_t i = 0; i < count; i++)
        if (cells[i].value != root || cells[i].owner != owner)
            return false;
    return true;
}

/* Activations, inputs of a microbatch and its losses are those of one. */
static int32_t owner_of(const struct machine *machine, int32_t value, int32_t microbatch)
{
    const struct compiled *compiled = machine->compiled;

    return compiled->program.values[value].kind == VALUE_ACTIVATION ||
                   compiled->flow.pool[program_root(&compiled->program, value)] == POOL_INPUT ||
                   value == compiled->io.microbatch_losses
               ? microbatch
               : NO_ONE;
}

/* Op `n` of a section writes a slot of a table, whose others are there if an op before it wrote theirs. */
static bool begins_table(const struct program *program, const struct section *section, int32_t n)
{
    const struct op *op = &program->ops[section->first_op + n];

    return op->op == LLMRUN_OP_SUM_SQUARES && (n == 0 || op[-1].op != LLMRUN_OP_SUM_SQUARES);
}

static void launch(struct machine *machine, const struct command *command)
{
    const struct program *program = &machine->compiled->program;
    const struct section *section = &program->sections[command->what];

    for (int32_t n = 0; n < section->op_count; n++) {
        const struct op *op = &program->ops[section->first_op + n];
        const struct op_info *info = op_info_find(op->op);
        const int32_t *operands = program_operands(program, op);

        for (uint32_t k = 0; info->operands[k].name != NULL; k++)
            if (operands[k] != NO_VALUE && (info->operands[k].direction != OPERAND_OUT || (op->accumulate >> k & 1)) &&
                !(k == LLMRUN_SUM_SQUARES_SUMS && begins_table(program, section, n)) &&
                !holds(machine, operands[k], command->entry, owner_of(machine, operands[k], command->microbatch)))
                fail_msg("section %s %d layer %d, microbatch %d: %s reads %s, and something else is there",
                         section_kind_name(section->kind), section->chunk, section->layer, command->microbatch,
                         info->name, program->values[operands[k]].name);
        for (uint32_t k = 0; info->operands[k].name != NULL; k++)
            if (operands[k] != NO_VALUE && info->operands[k].direction != OPERAND_IN)
                write(machine, operands[k], command->entry, owner_of(machine, operands[k], command->microbatch));
    }
}

/* Becomes zero before the microbatches of a group add to it. */
static void zero(struct machine *machine, int32_t what)
{
    const struct compiled *compiled = machine->compiled;
    const struct plan_range *range = &compiled->plan.accumulators[what];
    int64_t bytes = 0;

    if (what >= compiled->plan.accumulator_count)
        return;
    for (int32_t i = 0; i < compiled->program.value_count; i++) {
        const struct placement *at = &compiled->plan.placements[i];
        const bool within = at->region == REGION_GRADIENTS && at->placed && at->offset >= range->offset &&
                            at->offset < range->offset + range->bytes;

        assert_int_equal(within, compiled->flow.accumulator[i] == what);
        if (within) {
            bytes += (value_bytes(&compiled->program.values[i]) + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT * PLAN_ALIGNMENT;
            write(machine, i, -1, NO_ONE);
        }
    }
    assert_int_equal(bytes, range->bytes);
    machine->zeroed[what]++;
}

static void copy_in(struct machine *machine, const struct command *command)
{
    const struct compiled *compiled = machine->compiled;

    assert_true(machine->received);
    for (int32_t i = 0; i < compiled->program.value_count; i++)
        if (compiled->program.values[i].kind == VALUE_INPUT && !(compiled->program.values[i].flags & VALUE_VIEW) &&
            (compiled->flow.pool[i] == POOL_INPUT) == (command->microbatch >= 0))
            write(machine, i, command->entry, command->microbatch);
    if (command->microbatch >= 0) {
        assert_false(machine->inputs >> command->microbatch & 1);
        machine->inputs |= UINT64_C(1) << command->microbatch;
    }
}

static void copy_out(struct machine *machine, const struct command *command)
{
    assert_int_equal(command->what, machine->compiled->io.microbatch_losses);
    assert_true(holds(machine, command->what, -1, command->microbatch));
    assert_false(machine->losses >> command->microbatch & 1);
    machine->losses |= UINT64_C(1) << command->microbatch;
    write(machine, machine->compiled->io.losses, -1, NO_ONE);
}

static void fill(struct machine *machine, int32_t region)
{
    for (int32_t i = 0; i < machine->compiled->program.value_count; i++)
        if (machine->compiled->plan.placements[i].region == region && machine->compiled->plan.placements[i].placed)
            write(machine, i, -1, NO_ONE);
}

static void record(struct machine *machine, const struct command *command)
{
    if (command->what == POINT_UPLOADED) {
        assert_int_equal(command->lane, LANE_COPY);
        assert_true(machine->uploaded);
    } else if (command->what == POINT_CONSUMED) {
        assert_int_equal(command->lane, LANE_COMPUTE);
        assert_false(machine->consumed);
        machine->consumed = true;
    }
}

static void run(struct machine *machine, enum job job)
{
    const struct command_list *list = &machine->compiled->commands.jobs[job];

    assert_true(list->count > 0);
    machine->uploaded = machine->received = machine->consumed = false;
    machine->inputs = machine->losses = 0;
    for (int64_t i = 0; i < list->count; i++) {
        const struct command *command = &list->commands[i];

        switch ((enum command_kind)command->kind) {
        case COMMAND_UPLOAD:
            machine->uploaded = true;
            break;
        case COMMAND_COPY_IN:
            assert_false(machine->consumed); /* the next inputs may have arrived in their place */
            copy_in(machine, command);
            break;
        case COMMAND_LAUNCH:
            launch(machine, command);
            break;
        case COMMAND_COLLECTIVE:
            fail_msg("one rank communicates with nobody");
            break;
        case COMMAND_FILL:
            fill(machine, command->what);
            break;
        case COMMAND_ZERO:
            zero(machine, command->what);
            break;
        case COMMAND_COPY_OUT:
            copy_out(machine, command);
            break;
        case COMMAND_RECORD:
            record(machine, command);
            break;
        case COMMAND_WAIT:
            machine->received |= command->lane == LANE_COMPUTE && command->what == POINT_UPLOADED;
            break;
        case COMMAND_DOWNLOAD:
            assert_int_equal(i, list->count - 2);
            break;
        }
    }
    assert_true(machine->consumed);
    assert_int_equal(list->commands[list->count - 1].kind, COMMAND_RECORD);
    assert_int_equal(list->commands[list->count - 1].what, POINT_DONE);
    assert_int_equal(list->commands[list->count - 1].lane, LANE_COMPUTE);
}

/* Two steps: nothing of the first one serves the second in place of its own, but for what lives as long as the run. */
static void run_steps(const struct compiled *compiled)
{
    const uint64_t all = (UINT64_C(1) << compiled->microbatches) - 1;
    struct machine machine;

    start(&machine, compiled);
    for (int32_t i = 0; i < compiled->program.value_count; i++)
        if (compiled->program.values[i].kind == VALUE_CONSTANT)
            write(&machine, i, -1, NO_ONE);
    run(&machine, JOB_INIT);
    write(&machine, compiled->io.found_inf, -1, NO_ONE); /* by the host */
    for (int step = 0; step < 2; step++) {
        run(&machine, JOB_STEP);
        assert_int_equal(machine.inputs, all);
        assert_int_equal(machine.losses, all);
        assert_true(holds(&machine, compiled->io.losses, -1, NO_ONE));
        assert_true(holds(&machine, compiled->io.grad_norm, -1, NO_ONE));
        for (int32_t i = 0; i < compiled->program.value_count; i++) { /* what was computed does not come back */
            const enum value_kind kind = compiled->program.values[i].kind;

            for (int64_t n = 0; n < machine.count; n++)
                if (machine.cells[n].value == i &&
                    (kind == VALUE_ACTIVATION || kind == VALUE_INPUT || kind == VALUE_GRADIENT ||
                     kind == VALUE_PARTIAL_ROWS || kind == VALUE_PENDING || i == compiled->io.microbatch_losses))
                    machine.cells[n].value = NO_VALUE;
        }
    }
    stop(&machine);
}

static const struct schedule {
    enum pipeline_kind kind;
    int32_t chunks;
} schedules[] = {{PIPELINE_ONE_F_ONE_B, 1}, {PIPELINE_GPIPE, 1},       {PIPELINE_INTERLEAVED, 2},
                 {PIPELINE_INTERLEAVED, 3}, {PIPELINE_INTERLEAVED, 4}, {PIPELINE_ZERO_BUBBLE, 1},
                 {PIPELINE_ZERO_BUBBLE, 2}};

#define SCHEDULES (sizeof schedules / sizeof schedules[0])

static void what_is_read_is_what_was_written_for_this_microbatch(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++)
            for (int64_t parts = 1; parts <= 8; parts *= 2) {
                struct compile_request request = small_request();
                struct compiled compiled;

                request.schedule = schedules[s].kind;
                request.chunks = schedules[s].chunks;
                request.recompute = (enum recompute)mode;
                request.batch_parts = parts;
                compile(&request, &compiled);
                run_steps(&compiled);
                compiled_finish(&compiled);
            }
}

/* The tables of several ranks have more microbatches in flight, in other orders. */
static void so_it_is_on_each_rank_of_a_pipeline(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int32_t ranks = 2; ranks <= 4; ranks *= 2)
            for (int32_t rank = 0; rank < ranks; rank++) {
                struct compile_request request = small_request();
                struct pipeline tables;
                struct compiled compiled;

                request.schedule = schedules[s].kind;
                request.chunks = schedules[s].chunks;
                compile(&request, &compiled);
                plan_rank(&compiled, schedules[s].kind, ranks, rank, &tables);
                run_steps(&compiled);
                pipeline_finish(&tables);
                compiled_finish(&compiled);
            }
}

/* A group of microbatches begins with zeros where they add up; where each is one there is nothing to add to. */
static void each_group_begins_with_zeros(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int64_t parts = 1; parts <= 8; parts *= 2) {
            struct compile_request request = small_request();
            const int64_t each = BATCH / parts;
            struct compiled compiled;
            int64_t microbatches[PIPELINE_CHUNKS_MAX][2] = {{0}}, zeros[PIPELINE_CHUNKS_MAX][2] = {{0}};

            request.schedule = schedules[s].kind;
            request.chunks = schedules[s].chunks;
            request.batch_parts = parts;
            compile(&request, &compiled);
            for (int64_t i = 0; i < compiled.commands.jobs[JOB_STEP].count; i++) {
                const struct command *command = &compiled.commands.jobs[JOB_STEP].commands[i];
                const struct command *before = command - 1;
                const struct section *section =
                    command->kind == COMMAND_LAUNCH ? &compiled.program.sections[command->what] : NULL;
                const bool first = i > 0 && (before->kind != COMMAND_LAUNCH || before->entry != command->entry);
                const bool b = section != NULL && first &&
                               (section->kind == SECTION_BACKWARD || section->kind == SECTION_BACKWARD_INPUT);
                const bool w = section != NULL && first && section->kind == SECTION_BACKWARD_WEIGHT;

                if (command->kind == COMMAND_ZERO)
                    zeros[command->what / 2][command->what % 2]++;
                for (int role = 0; role < 2; role++)
                    if (role == 0 ? b : w) {
                        const int64_t group = microbatches[section->chunk][role]++ / each;

                        assert_int_equal(zeros[section->chunk][role], each > 1 ? group + 1 : 0);
                    }
            }
            for (int32_t chunk = 0; chunk < schedules[s].chunks; chunk++)
                for (int role = 0; role < 2; role++) /* where B and W are one section, all is B's */
                    assert_int_equal(microbatches[chunk][role],
                                     role == 0 || pipeline_splits(schedules[s].kind) ? BATCH : 0);
            compiled_finish(&compiled);
        }
}

static int32_t levels_closed(int64_t group)
{
    int32_t levels = 0;

    for (group++; group % 2 == 0; group /= 2)
        levels++;
    return levels;
}

/* These sections add sums up: twice would count them twice. */
static void sums_of_a_group_are_combined_once_and_reduced_when_all_have_met(void **state)
{
    (void)state;
    for (size_t s = 0; s < SCHEDULES; s++)
        for (int64_t parts = 1; parts <= 8; parts *= 2) {
            struct compile_request request = small_request();
            struct compiled compiled;
            const struct command_list *list = &compiled.commands.jobs[JOB_STEP];
            int64_t last_combine = -1, first_reduce = INT64_MAX;

            request.schedule = schedules[s].kind;
            request.chunks = schedules[s].chunks;
            request.batch_parts = parts;
            compile(&request, &compiled);
            for (int64_t k = 0; k < compiled.program.section_count; k++) {
                const struct section *section = &compiled.program.sections[k];
                const bool combine = section->kind == SECTION_COMBINE_INPUT || section->kind == SECTION_COMBINE_WEIGHT;
                int64_t wanted = section->kind == SECTION_REDUCE, found = 0;

                for (int64_t group = 0; combine && group < parts; group++)
                    wanted += levels_closed(group) == section->level;
                for (int64_t i = 0; i < list->count; i++) {
                    if (list->commands[i].kind != COMMAND_LAUNCH || list->commands[i].what != k)
                        continue;
                    found++;
                    if (combine && i > last_combine)
                        last_combine = i;
                    if (section->kind == SECTION_REDUCE && i < first_reduce)
                        first_reduce = i;
                }
                if ((combine || section->kind == SECTION_REDUCE) && found != wanted)
                    fail_msg("%d chunks, %lld groups: %s %d layer %d level %d runs %lld times, wanted %lld",
                             schedules[s].chunks, (long long)parts, section_kind_name(section->kind), section->chunk,
                             section->layer, section->level, (long long)found, (long long)wanted);
            }
            assert_true((last_combine >= 0) == (parts > 1)); /* one group of one batch part has met when it is made */
            assert_true(first_reduce < INT64_MAX);
            assert_true(last_combine < first_reduce);
            compiled_finish(&compiled);
        }
}

static void other_jobs_read_what_they_wrote_too(void **state)
{
    static const enum job jobs[] = {JOB_EVALUATE, JOB_PREFILL, JOB_DECODE, JOB_CAST_WEIGHTS};

    (void)state;
    for (int train = 0; train < 2; train++) {
        struct compile_request request = small_request();
        struct compiled compiled;
        struct machine machine;

        request.train = train;
        request.eval_batch = 2;
        request.generate = true;
        compile(&request, &compiled);
        start(&machine, &compiled);
        fill(&machine, REGION_CONSTANTS);
        fill(&machine, REGION_CACHES);
        run(&machine, JOB_INIT);
        for (int again = 0; again < 2; again++)
            for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
                run(&machine, jobs[i]);
                assert_int_equal(machine.inputs, 0);
                assert_int_equal(machine.losses, 0);
            }
        assert_true(holds(&machine, compiled.io.logits, -1, NO_ONE));
        stop(&machine);
        compiled_finish(&compiled);
    }
}

static void a_program_has_the_jobs_that_it_has_sections_for(void **state)
{
    (void)state;
    for (int uses = 1; uses < 8; uses++) {
        struct compile_request request = small_request();
        struct compiled compiled;

        request.train = uses & 1;
        request.eval_batch = uses & 2;
        request.generate = uses & 4;
        compile(&request, &compiled);
        assert_true(compiled.commands.jobs[JOB_INIT].count > 0);
        assert_true(compiled.commands.jobs[JOB_CAST_WEIGHTS].count > 0);
        assert_int_equal(compiled.commands.jobs[JOB_STEP].count > 0, request.train);
        assert_int_equal(compiled.commands.jobs[JOB_EVALUATE].count > 0, request.eval_batch > 0);
        assert_int_equal(compiled.commands.jobs[JOB_PREFILL].count > 0, request.generate);
        assert_int_equal(compiled.commands.jobs[JOB_DECODE].count > 0, request.generate);
        compiled_finish(&compiled);
    }
}

static void expect_job(const struct compiled *compiled, enum job job, const char *wanted)
{
    struct text text = {0};
    char *found, *end;

    commands_print(&compiled->program, &compiled->flow, &compiled->commands, &text);
    assert_false(text.failed);
    text_add(&text, "job ");
    found = strstr(text.data, job_name(job));
    assert_non_null(found);
    end = strstr(found, "job ");
    *end = '\0';
    assert_string_equal(strchr(found, '\n') + 1, wanted);
    text_finish(&text);
}

static void the_commands_of_a_small_model_are_these(void **state)
{
    struct compile_request request = small_request();
    struct compiled compiled;

    (void)state;
    request.model.n_layer = 1;
    request.global_batch = 2;
    request.eval_batch = 1;
    request.generate = true;
    compile(&request, &compiled);
    expect_job(&compiled, JOB_INIT,
               "  copy    wait consumed\n"
               "  copy    upload\n"
               "  copy    record uploaded\n"
               "  compute wait uploaded\n"
               "  compute copy in\n"
               "  compute record consumed\n"
               "  compute fill optimizer state\n"
               "  compute launch init 0\n"
               "  compute launch cast_weights 0\n"
               "  compute download\n"
               "  compute record done\n");
    expect_job(&compiled, JOB_STEP,
               "  copy    wait consumed\n"
               "  copy    upload\n"
               "  copy    record uploaded\n"
               "  compute wait uploaded\n"
               "  compute copy in\n"
               "  compute copy in microbatch 0 slots 0:0\n"
               "  compute launch forward 0 microbatch 0 slots 0:0\n"
               "  compute launch forward 0 layer 0 microbatch 0 slots 0:0\n"
               "  compute launch forward 0 layer 1 microbatch 0 slots 0:0\n"
               "  compute zero B 0\n"
               "  compute launch backward 0 layer 1 microbatch 0 slots 0:0\n"
               "  compute launch backward 0 layer 0 microbatch 0 slots 0:0\n"
               "  compute launch backward 0 microbatch 0 slots 0:0\n"
               "  compute copy out losses.microbatch microbatch 0 slots 0:0\n"
               "  compute copy in microbatch 1 slots 0:0\n"
               "  compute record consumed\n"
               "  compute launch forward 0 microbatch 1 slots 0:0\n"
               "  compute launch forward 0 layer 0 microbatch 1 slots 0:0\n"
               "  compute launch forward 0 layer 1 microbatch 1 slots 0:0\n"
               "  compute launch backward 0 layer 1 microbatch 1 slots 0:0\n"
               "  compute launch backward 0 layer 0 microbatch 1 slots 0:0\n"
               "  compute launch backward 0 microbatch 1 slots 0:0\n"
               "  compute copy out losses.microbatch microbatch 1 slots 0:0\n"
               "  compute launch reduce 0 layer 1\n"
               "  compute launch reduce 0 layer 0\n"
               "  compute launch reduce 0\n"
               "  compute launch update 0\n"
               "  compute download\n"
               "  compute record done\n");
    expect_job(&compiled, JOB_EVALUATE,
               "  copy    wait consumed\n"
               "  copy    upload\n"
               "  copy    record uploaded\n"
               "  compute wait uploaded\n"
               "  compute copy in\n"
               "  compute record consumed\n"
               "  compute launch evaluate 0\n"
               "  compute launch evaluate 0 layer 0\n"
               "  compute launch evaluate 0 layer 1\n"
               "  compute download\n"
               "  compute record done\n");
    compiled_finish(&compiled);
}

static void those_of_a_step_whose_microbatches_wait_for_w_are_these(void **state)
{
    struct compile_request request = small_request();
    struct compiled compiled;

    (void)state;
    request.model.n_layer = 2;
    request.global_batch = 2;
    request.chunks = 2;
    request.batch_parts = 2;
    request.schedule = PIPELINE_ZERO_BUBBLE;
    compile(&request, &compiled);
    assert_false(compiled.flow.serial);
    for (int64_t i = 0, copies = 0; i < compiled.commands.jobs[JOB_STEP].count; i++) {
        const struct command *command = &compiled.commands.jobs[JOB_STEP].commands[i];

        if (command->kind == COMMAND_COPY_OUT) { /* the chunk that has the loss */
            const struct command *before = command - 1;

            assert_int_equal(before->kind, COMMAND_LAUNCH);
            assert_int_equal(compiled.program.sections[before->what].kind, SECTION_BACKWARD_INPUT);
            assert_int_equal(compiled.program.sections[before->what].chunk, 1);
            assert_int_equal(command->microbatch, copies++);
            assert_int_equal(command->entry, before->entry);
        }
    }
    compiled_finish(&compiled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_commands_of_a_small_model_are_these),
        cmocka_unit_test(those_of_a_step_whose_microbatches_wait_for_w_are_these),
        cmocka_unit_test(a_program_has_the_jobs_that_it_has_sections_for),
        cmocka_unit_test(what_is_read_is_what_was_written_for_this_microbatch),
        cmocka_unit_test(so_it_is_on_each_rank_of_a_pipeline),
        cmocka_unit_test(each_group_begins_with_zeros),
        cmocka_unit_test(sums_of_a_group_are_combined_once_and_reduced_when_all_have_met),
        cmocka_unit_test(other_jobs_read_what_they_wrote_too),
    };

    return cmocka_run_group_tests_name("compile commands", tests, NULL, NULL);
}
