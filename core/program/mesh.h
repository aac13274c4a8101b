/* The mesh of ranks. A rank's number counts tp fastest, then cp, dp, pp: neighbours in tp are neighbours in number, as
 * they should be neighbours in hardware. */
#ifndef LLMRUN_PROGRAM_MESH_H
#define LLMRUN_PROGRAM_MESH_H

#include <stdbool.h>
#include <stdint.h>

/* The axes of the mesh over which values are divided, in the order in which splits cut. Over pp only results are: norm
 * slots and losses. */
enum mesh_axis { MESH_CP, MESH_TP, MESH_DP, MESH_PP, MESH_AXES };

/* Groups of ranks that exchange: those along an axis, by its number, and two kinds within dp, where `shards` is less
 * than dp. */
enum mesh_group {
    MESH_SHARDS =
        MESH_AXES, /* neighbours in dp that share one optimizer state, a shard each (passes/data_parallel.h) */
    MESH_COPIES,   /* the ranks of dp that have the same shard */
    MESH_GROUPS
};

/* One rank's place. */
struct mesh {
    int32_t sizes[MESH_AXES]; /* at least 1 */
    int32_t index[MESH_AXES]; /* of this rank along each axis */
    int32_t shards;           /* ranks of a group MESH_SHARDS, which divides dp; 0: all of dp */
};

/* One rank, alone. */
struct mesh mesh_single(void);

/* Sets `index` of a mesh whose sizes are set. `rank` is below mesh_world. */
void mesh_place(struct mesh *mesh, int32_t rank);

int32_t mesh_world(const struct mesh *mesh);
int32_t mesh_rank(const struct mesh *mesh);

/* The number of the rank that differs from this one only along `axis`, where it has `index`. */
int32_t mesh_neighbour(const struct mesh *mesh, enum mesh_axis axis, int32_t index);

/* The same of a group of ranks: how many they are, the number of this rank among them, the number in the mesh of one.
 */
int32_t mesh_group_size(const struct mesh *mesh, int group);
int32_t mesh_group_index(const struct mesh *mesh, int group);
int32_t mesh_group_member(const struct mesh *mesh, int group, int32_t index);
const char *mesh_group_name(int group);
/* MESH_SHARDS and MESH_COPIES are other groups than dp. */
bool mesh_has_shard_groups(const struct mesh *mesh);

/* The group over which `parts` parts of dp are split: MESH_DP, or MESH_SHARDS where they are fewer. */
int mesh_group_of_split(const struct mesh *mesh, enum mesh_axis axis, int32_t parts);

/* Of the ranks that have the same part of what is divided over the groups of `divided` (bits of axes, and of
 * MESH_SHARDS), the one that has index 0 among them along all other axes: it stands for them, where something is to be
 * done once. */
bool mesh_is_owner(const struct mesh *mesh, uint32_t divided);

const char *mesh_axis_name(enum mesh_axis axis);

#endif
