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

bool mesh_is_owner(const struct mesh *mesh, uint32_t divided)
{
    for (uint32_t i = 0; i < MESH_AXES; i++)
        if (!(divided >> i & 1) && mesh->index[i] != 0)
            return false;
    return true;
}

const char *mesh_axis_name(enum mesh_axis axis)
{
    static const char *const names[MESH_AXES] = {
        [MESH_CP] = "cp", [MESH_TP] = "tp", [MESH_DP] = "dp", [MESH_PP] = "pp"};

    return axis < MESH_AXES ? names[axis] : "?";
}
