/* Weights of ranks between their devices and checkpoints, through the programs that the ranks have: saved in one layout
 * and loaded in another. */
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "checkpoint/fixture.h"
#include "checkpoint/rank_threads.h"
#include "engine/state_dict.h"
#include "program/part.h"
#include "program/text.h"
#include "runtime/device_compile.h"

#define ROWS 10 /* of w */
#define K    64 /* its columns: what a product sums over */

/* tp cuts the columns of w; dp cuts the rows of its moment, in parts of ceil(10 / dp). The norm is whole. */
struct layout {
    int tp, dp;
};

struct rank {
    struct mesh mesh;
    struct compiled compiled;
    struct device *device;
    struct executor *executor;
    struct state_dict list;
    char *memory; /* of a snapshot */
};

static void write_program(const struct mesh *mesh, struct text *text)
{
    const int tp = mesh->sizes[MESH_TP], i = mesh->index[MESH_TP], dp = mesh->sizes[MESH_DP], d = mesh->index[MESH_DP];
    const int columns = K / tp, each = (ROWS + dp - 1) / dp;
    const int rows = ROWS - d * each < 0 ? 0 : ROWS - d * each < each ? ROWS - d * each : each;
    char over_tp[40] = "", over_dp[40] = "";

    if (tp > 1)
        snprintf(over_tp, sizeof over_tp, " tp split 1.0 %d/%d", i, tp);
    if (dp > 1)
        snprintf(over_dp, sizeof over_dp, " dp split 0.0 %d/%d", d, dp);
    text_add(text, "llmrun-program 1\n");
    text_add(text, "%%0 = input f32[4,%d] \"x\" full [4,%d]%s\n", columns, K, over_tp);
    text_add(text, "%%1 = parameter f32[%d,%d] \"w\" full [%d,%d]%s\n", ROWS, columns, ROWS, K, over_tp);
    text_add(text, "%%2 = state f32[%d,%d] \"w.m\" full [%d,%d]%s%s\n", rows, columns, ROWS, K, over_tp, over_dp);
    text_add(text, "%%3 = parameter f32[%d] \"norm\"\n", K);
    text_add(text, "%%4 = result f32[4,%d] \"y\"\nsection evaluate 0\n", ROWS);
    text_add(text, "  matmul(%%0, %%1, _ -> %%4, _) {activation: 0, feature_parts: %d} F\n", 8 / tp);
}

static void open_rank(struct rank *rank, const struct layout *layout, int32_t number)
{
    const struct compile_request request = {.eval_batch = 2, .exact = true};
    struct compiled *compiled = &rank->compiled;
    struct text text = {0};
    struct error error;

    *rank = (struct rank){.mesh = mesh_single(), .device = tiny_device("cpu-ref", NULL, NULL)};
    rank->mesh.sizes[MESH_TP] = layout->tp;
    rank->mesh.sizes[MESH_DP] = layout->dp;
    mesh_place(&rank->mesh, number);
    write_program(&rank->mesh, &text);
    program_init(&compiled->program);
    tiny_ok_(program_parse(&compiled->program, text.data, &error), &error);
    text_finish(&text);
    compiled->mesh = rank->mesh;
    compiled->form.exact = true;
    compiled->alignment = PLAN_ALIGNMENT;
    compiled->microbatches = 1;
    compiled->io.microbatch_losses = NO_VALUE;
    tiny_ok_(device_compile_plan(rank->device, &request, compiled, &error), &error);
    tiny_ok_(executor_create(rank->device, compiled, NULL, &rank->executor, &error), &error);
    tiny_ok_(state_dict_make(&compiled->program, &rank->list, &error), &error);
    state_dict_own(&rank->list, &compiled->program, &rank->mesh);
    rank->memory = malloc((size_t)rank->list.bytes + 1);
}

static void close_rank(struct rank *rank)
{
    free(rank->memory);
    state_dict_finish(&rank->list);
    executor_destroy(rank->executor);
    compiled_finish(&rank->compiled);
    device_close(rank->device);
}

/* Element j of value i of the whole model. */
static float element(int64_t i, int64_t j)
{
    return (float)(1000000 * i + j);
}

static void fill(struct rank *rank)
{
    struct error error;

    for (int64_t i = 0; i < rank->list.count; i++) {
        const int64_t elements = shape_elements(&rank->list.forms[i].shape);
        float *whole = malloc((size_t)elements * sizeof *whole);

        for (int64_t j = 0; j < elements; j++)
            whole[j] = element(i, j);
        tiny_ok_(executor_write_whole(rank->executor, rank->list.values[i], whole, &error), &error);
        free(whole);
    }
}

/* What the device holds is its part of the model, as program/part.h cuts it. */
static void expect_filled(struct rank *rank)
{
    const char *at = rank->memory;
    struct error error;

    tiny_ok_(state_dict_snapshot(rank->executor, &rank->list, rank->memory, &error), &error);
    for (int64_t i = 0; i < rank->list.count; i++) {
        const struct value *value = &rank->compiled.program.values[rank->list.values[i]];
        const int64_t elements = shape_elements(&rank->list.forms[i].shape);
        float *whole = malloc((size_t)elements * sizeof *whole), *part = malloc((size_t)value_bytes(value) + 1);

        for (int64_t j = 0; j < elements; j++)
            whole[j] = element(i, j);
        tiny_ok_(value_take_part(value, whole, part, &error), &error);
        assert_memory_equal(at, part, (size_t)value_bytes(value));
        at += value_bytes(value);
        free(whole);
        free(part);
    }
}

static int save_one(struct rank_thread *thread, struct error *error)
{
    return checkpoint_save(thread->task, NULL, error);
}

static void save(struct rank *ranks, int32_t count, const char *ckpt)
{
    struct checkpoint_snapshot snapshots[RANKS_MOST];
    const void *data[RANKS_MOST][3];
    struct rank_threads group;
    struct error error;

    rank_threads_init(&group, count);
    for (int32_t r = 0; r < count; r++) {
        const char *at = ranks[r].memory;

        tiny_ok_(state_dict_snapshot(ranks[r].executor, &ranks[r].list, ranks[r].memory, &error), &error);
        for (int64_t i = 0; i < 3; i++) {
            data[r][i] = at;
            at += state_dict_box_bytes(&ranks[r].list, i);
        }
        snapshots[r] = (struct checkpoint_snapshot){
            .target = {.fs = &file_system_real, .folder = ckpt, .step = 1, .run_id = "run"},
            .forms = ranks[r].list.forms,
            .data = data[r],
            .count = ranks[r].list.count,
            .ranks = &group.threads[r].ranks,
            .slices = ranks[r].list.slices};
        group.threads[r].task = &snapshots[r];
    }
    rank_threads_run(&group, save_one);
    for (int32_t r = 0; r < count; r++)
        tiny_ok_(group.threads[r].status, &group.threads[r].error);
    rank_threads_finish(&group);
}

static void load(const struct layout *layout, const char *folder)
{
    for (int32_t r = 0; r < layout->tp * layout->dp; r++) {
        struct checkpoint checkpoint;
        struct rank rank;
        struct error error;

        open_rank(&rank, layout, r);
        tiny_ok_(checkpoint_open(&file_system_real, folder, &checkpoint, &error), &error);
        tiny_ok_(state_dict_load(rank.executor, &rank.list, &checkpoint, &error), &error);
        expect_filled(&rank);
        checkpoint_close(&checkpoint);
        close_rank(&rank);
    }
}

static void a_layout_goes_on_from_what_another_saved(void **state)
{
    /* 10 rows over 4 ranks: 3, 3, 3, 1; over 6: 2 each and none for the last. */
    static const struct layout layouts[] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {1, 4}, {1, 6}, {4, 1}};
    const size_t count = sizeof layouts / sizeof layouts[0];
    struct fixture *fixture = *state;

    for (size_t from = 0; from < count; from++) {
        const int32_t ranks = layouts[from].tp * layouts[from].dp;
        struct rank all[RANKS_MOST];

        for (int32_t r = 0; r < ranks; r++) {
            open_rank(&all[r], &layouts[from], r);
            fill(&all[r]);
        }
        save(all, ranks, fixture->ckpt);
        for (int32_t r = 0; r < ranks; r++)
            close_rank(&all[r]);
        for (size_t to = 0; to < count; to++)
            load(&layouts[to], fixture_path(fixture->ckpt, "step_00000001"));
        fixture_remove(fixture->ckpt);
    }
}

/* Never is what is missing taken for zero. */
static void a_moment_that_a_checkpoint_does_not_have_is_refused(void **state)
{
    static const struct layout one = {1, 1}, two = {1, 2};
    struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    struct rank rank;
    struct error error;
    int64_t moment = 0;

    open_rank(&rank, &one, 0);
    fill(&rank);
    save(&rank, 1, fixture->ckpt);
    close_rank(&rank);
    open_rank(&rank, &two, 1);
    while (strcmp(rank.list.forms[moment].name, "w.m") != 0)
        moment++;
    rank.list.forms[moment].name = "w.v";
    tiny_ok_(checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, &error),
             &error);
    assert_int_equal(state_dict_load(rank.executor, &rank.list, &checkpoint, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "step_00000001 has no tensor w.v"));
    checkpoint_close(&checkpoint);
    close_rank(&rank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_layout_goes_on_from_what_another_saved, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_moment_that_a_checkpoint_does_not_have_is_refused, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests_name("state of ranks", tests, NULL, NULL);
}
