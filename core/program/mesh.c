#include "program/mesh.h"

/* From the one that counts fastest. */
static const enum mesh_axis order[MESH_AXES] = {MESH_TP, MESH_CP, MESH_DP, MESH_PP};

struct mesh mesh_single(void)
{
    return (struct mesh){.sizes = {1, 1, 1, 1}};
}

void mesh_place(struct mesh *mesh, int32_t rank)
{
    for (int i = 0; i < MESH_AXES; i++) {
        mesh->index[order[i]] = rank % mesh->sizes[order[i]];
        rank /= mesh->sizes[order[i]];
    }
}

int32_t mesh_world(const struct mesh *mesh)
{
    int32_t world = 1;

    for (int i = 0; i < MESH_AXES; i++)
        world *= mesh->sizes[i];
    return world;
}

int32_t mesh_rank(const struct mesh *mesh)
{
    int32_t rank = 0;

    for (int i = MESH_AXES - 1; i >= 0; i--)
        rank = rank * mesh->sizes[order[i]] + mesh->index[order[i]];
    return rank;
}

int32_t mesh_neighbour(const struct mesh *mesh, enum mesh_axis axis, int32_t index)
{
    struct mesh other = *mesh;

    other.index[axis] = index;
    return mesh_rank(&other);
}

static int32_t shards_of(const struct mesh *mesh)
{
    return mesh->shards > 0 ? mesh->shards : mesh->sizes[MESH_DP];
}

int32_t mesh_group_size(const struct mesh *mesh, int group)
{
    return group < MESH_AXES      ? mesh->sizes[group]
           : group == MESH_SHARDS ? shards_of(mesh)
                                  : mesh->sizes[MESH_DP] / shards_of(mesh);
}

int32_t mesh_group_index(const struct mesh *mesh, int group)
{
    return group < MESH_AXES      ? mesh->index[group]
           : group == MESH_SHARDS ? mesh->index[MESH_DP] % shards_of(mesh)
                                  : mesh->index[MESH_DP] / shards_of(mesh);
}

int32_t mesh_group_member(const struct mesh *mesh, int group, int32_t index)
{
    const int32_t shards = shards_of(mesh), own = mesh->index[MESH_DP];

    if (group < MESH_AXES)
        return mesh_neighbour(mesh, (enum mesh_axis)group, index);
    return mesh_neighbour(mesh, MESH_DP,
                          group == MESH_SHARDS ? own / shards * shards + index : index * shards + own % shards);
}

const char *mesh_group_name(int group)
{
    return group == MESH_SHARDS   ? "shards of dp"
           : group == MESH_COPIES ? "copies of dp"
                                  : mesh_axis_name((enum mesh_axis)group);
}

bool mesh_has_shard_groups(const struct mesh *mesh)
{
    return shards_of(mesh) < mesh->sizes[MESH_DP];
}

int mesh_group_of_split(const struct mesh *mesh, enum mesh_axis axis, int32_t parts)
{
    return axis == MESH_DP && parts < mesh->sizes[MESH_DP] ? MESH_SHARDS : (int)axis;
}

bool mesh_is_owner(const struct mesh *mesh, uint32_t divided)
{
    for (uint32_t i = 0; i < MESH_AXES; i++)
        if (!(divided >> i & 1) && mesh->index[i] != 0 && !(i == MESH_DP && (divided >> MESH_SHARDS & 1)))
            return false;
    return !(divided >> MESH_SHARDS & 1) || mesh_group_index(mesh, MESH_COPIES) == 0;
}

const char *mesh_axis_name(enum mesh_axis axis)
{
    static const char *const names[MESH_AXES] = {
        [MESH_CP] = "cp", [MESH_TP] = "tp", [MESH_DP] = "dp", [MESH_PP] = "pp"};

    return axis < MESH_AXES ? names[axis] : "?";
}
