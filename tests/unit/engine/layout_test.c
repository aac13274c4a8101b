/* The mesh of a config over the ranks that there are. Expected: products by hand. */
#include "engine/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_tp_and_pp_leave_is_dp(void **state)
{
    struct config config = {.parallel = {.tp = 2, .pp = 3}};
    struct mesh mesh;
    struct error error;

    (void)state;
    assert_int_equal(layout_mesh(&config, 12, 7, &mesh, &error), STATUS_OK);
    assert_int_equal(mesh.sizes[MESH_TP], 2);
    assert_int_equal(mesh.sizes[MESH_PP], 3);
    assert_int_equal(mesh.sizes[MESH_DP], 2);
    assert_int_equal(mesh_rank(&mesh), 7); /* tp 1, dp 1, pp 1: 1 + 2 (1 + 2) */
    assert_int_equal(mesh.index[MESH_TP], 1);
    assert_int_equal(mesh.index[MESH_DP], 1);
    assert_int_equal(mesh.index[MESH_PP], 1);
}

static void a_world_that_is_no_multiple_is_refused_with_one_that_is(void **state)
{
    struct config config = {.parallel = {.tp = 2, .pp = 2}};
    struct mesh mesh;
    struct error error;

    (void)state;
    assert_int_equal(layout_mesh(&config, 6, 0, &mesh, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "parallel.tp 2 x parallel.pp 2 are 4 ranks, and there are 6"));
    assert_non_null(strstr(error.message, "for example 4"));
    assert_int_equal(layout_mesh(&config, 1, 0, &mesh, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "launch -n 4"));
}

static void a_zero_group_divides_dp(void **state)
{
    struct config config = {.parallel = {.tp = 1, .pp = 1, .zero = 1, .zero_group = 4}};
    struct mesh mesh;
    struct error error;

    (void)state;
    assert_int_equal(layout_mesh(&config, 8, 5, &mesh, &error), STATUS_OK);
    assert_int_equal(mesh_group_size(&mesh, MESH_SHARDS), 4);
    assert_int_equal(mesh_group_index(&mesh, MESH_SHARDS), 1);
    config.parallel.zero_group = 8;
    assert_int_equal(layout_mesh(&config, 8, 5, &mesh, &error), STATUS_OK);
    assert_false(mesh_has_shard_groups(&mesh));
    config.parallel.zero_group = 3;
    assert_int_equal(layout_mesh(&config, 8, 5, &mesh, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "parallel.zero_group is 3 and does not divide the 8 ranks"));
    assert_non_null(strstr(error.message, "take 2, or 0"));
    config.parallel.zero_group = 16;
    assert_int_equal(layout_mesh(&config, 8, 5, &mesh, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "take 8, or 0"));
}

static void sequence_parallelism_follows_tp(void **state)
{
    struct config config = {.parallel = {.tp = 2, .pp = 1, .sp = CONFIG_SP_AUTO}};
    struct mesh mesh = mesh_single();
    struct error error;
    bool sp;

    (void)state;
    assert_int_equal(layout_sequence_parallel(&config, &mesh, &sp, &error), STATUS_OK);
    assert_false(sp);
    config.parallel.sp = CONFIG_SP_TRUE;
    assert_int_equal(layout_sequence_parallel(&config, &mesh, &sp, &error), STATUS_USAGE);
    mesh.sizes[MESH_TP] = 2;
    assert_int_equal(layout_sequence_parallel(&config, &mesh, &sp, &error), STATUS_OK);
    assert_true(sp);
    config.parallel.sp = CONFIG_SP_FALSE;
    assert_int_equal(layout_sequence_parallel(&config, &mesh, &sp, &error), STATUS_OK);
    assert_false(sp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_tp_and_pp_leave_is_dp),
                                       cmocka_unit_test(a_world_that_is_no_multiple_is_refused_with_one_that_is),
                                       cmocka_unit_test(a_zero_group_divides_dp),
                                       cmocka_unit_test(sequence_parallelism_follows_tp)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
