/* The mesh of ranks. A rank's number counts tp fastest, then cp, dp, pp: neighbours in tp are neighbours in number, as
 * they should be neighbours in hardware. */
#ifndef LLMRUN_PROGRAM_MESH_H
#define LLMRUN_PROGRAM_MESH_H

#include <stdbool.h>
#include <stdint.h>

/* The axes of the mesh over which values are divided, in the order in which splits cut. Over pp only results are: norm
 * slots and losses. */
enum mesh_axis { MESH_CP, MESH_TP, MESH_DP, MESH_PP, MESH_AXES };

/* One rank's place. */
struct mesh {
    int32_t sizes[MESH_AXES]; /* at least 1 */
    int32_t index[MESH_AXES]; /* of this rank along each axis */
};

/* One rank, alone. */
struct mesh mesh_single(void);

/* Sets `index` of a mesh whose sizes are set. `rank` is below mesh_world. */
void mesh_place(struct mesh *mesh, int32_t rank);

int32_t mesh_world(const struct mesh *mesh);
int32_t mesh_rank(const struct mesh *mesh);

/* The number of the rank that differs from this one only along `axis`, where it has `index`. */
int32_t mesh_neighbour(const struct mesh *mesh, enum mesh_axis axis, int32_t index);

/* Of the ranks that have the same part of what is divided over the axes of `divided` (bits), the one that has index 0
 * along all other axes: it stands for them, where something is to be done once. */
bool mesh_is_owner(const struct mesh *mesh, uint32_t divided);

const char *mesh_axis_name(enum mesh_axis axis);

#endif
