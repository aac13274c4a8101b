/* Expected: ranks counted by hand, tp fastest, then cp, dp, pp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "program/mesh.h"

static void ranks_count_tp_fastest_then_cp_dp_pp(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_TP] = 2, [MESH_CP] = 3, [MESH_DP] = 2, [MESH_PP] = 2}};

    (void)state;
    assert_int_equal(mesh_world(&mesh), 24);
    mesh_place(&mesh, 17); /* 1 + 2 (2 + 3 (0 + 2 * 1)) = 17 */
    assert_int_equal(mesh.index[MESH_TP], 1);
    assert_int_equal(mesh.index[MESH_CP], 2);
    assert_int_equal(mesh.index[MESH_DP], 0);
    assert_int_equal(mesh.index[MESH_PP], 1);
    for (int32_t rank = 0; rank < 24; rank++) {
        mesh_place(&mesh, rank);
        assert_int_equal(mesh_rank(&mesh), rank);
    }
}

static void neighbours_differ_along_one_axis(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_TP] = 2, [MESH_CP] = 1, [MESH_DP] = 2, [MESH_PP] = 2}};

    (void)state;
    mesh_place(&mesh, 3);
    assert_int_equal(mesh_neighbour(&mesh, MESH_TP, 0), 2);
    assert_int_equal(mesh_neighbour(&mesh, MESH_DP, 0), 1);
    assert_int_equal(mesh_neighbour(&mesh, MESH_PP, 1), 7);
    assert_int_equal(mesh_neighbour(&mesh, MESH_CP, 0), 3);
}

static void every_part_has_one_owner(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_TP] = 2, [MESH_CP] = 1, [MESH_DP] = 2, [MESH_PP] = 2}};

    (void)state;
    for (uint32_t divided = 0; divided < 1u << MESH_AXES; divided++) {
        int owners = 0, parts = 1;

        for (int axis = 0; axis < MESH_AXES; axis++)
            parts *= divided >> axis & 1 ? mesh.sizes[axis] : 1;
        for (int32_t rank = 0; rank < mesh_world(&mesh); rank++) {
            mesh_place(&mesh, rank);
            owners += mesh_is_owner(&mesh, divided);
        }
        assert_int_equal(owners, parts);
    }
}

/* Eight ranks of dp, four shards: 0 1 2 3 hold them, 4 5 6 7 the same again. */
static void ranks_of_dp_share_shards_with_neighbours(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_TP] = 2, [MESH_CP] = 1, [MESH_DP] = 8, [MESH_PP] = 2}, .shards = 4};

    (void)state;
    mesh_place(&mesh, 16 + 2 * 6 + 1); /* dp 6, tp 1, pp 1 */
    assert_true(mesh_has_shard_groups(&mesh));
    assert_int_equal(mesh_group_size(&mesh, MESH_SHARDS), 4);
    assert_int_equal(mesh_group_index(&mesh, MESH_SHARDS), 2);
    assert_int_equal(mesh_group_member(&mesh, MESH_SHARDS, 0), 16 + 2 * 4 + 1);
    assert_int_equal(mesh_group_member(&mesh, MESH_SHARDS, 2), mesh_rank(&mesh));
    assert_int_equal(mesh_group_size(&mesh, MESH_COPIES), 2);
    assert_int_equal(mesh_group_index(&mesh, MESH_COPIES), 1);
    assert_int_equal(mesh_group_member(&mesh, MESH_COPIES, 0), 16 + 2 * 2 + 1);
    assert_int_equal(mesh_group_of_split(&mesh, MESH_DP, 4), MESH_SHARDS);
    assert_int_equal(mesh_group_of_split(&mesh, MESH_DP, 8), MESH_DP);
    assert_int_equal(mesh_group_of_split(&mesh, MESH_TP, 2), MESH_TP);
}

static void a_shard_has_one_owner_among_its_copies(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_TP] = 2, [MESH_CP] = 1, [MESH_DP] = 8, [MESH_PP] = 1}, .shards = 4};

    (void)state;
    for (int32_t rank = 0; rank < mesh_world(&mesh); rank++) {
        mesh_place(&mesh, rank);
        assert_int_equal(mesh_is_owner(&mesh, 1u << MESH_SHARDS | 1u << MESH_TP), rank < 8);
        assert_int_equal(mesh_is_owner(&mesh, 1u << MESH_SHARDS), rank < 8 && rank % 2 == 0);
        assert_int_equal(mesh_is_owner(&mesh, 1u << MESH_TP), rank < 2);
    }
}

static void one_rank_is_alone(void **state)
{
    const struct mesh mesh = mesh_single();

    (void)state;
    assert_int_equal(mesh_world(&mesh), 1);
    assert_int_equal(mesh_rank(&mesh), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_count_tp_fastest_then_cp_dp_pp),
                                       cmocka_unit_test(ranks_of_dp_share_shards_with_neighbours),
                                       cmocka_unit_test(a_shard_has_one_owner_among_its_copies),
                                       cmocka_unit_test(neighbours_differ_along_one_axis),
                                       cmocka_unit_test(every_part_has_one_owner),
                                       cmocka_unit_test(one_rank_is_alone)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
