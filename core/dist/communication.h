/* What a rank needs of the others while it computes: its communicators. */
#ifndef LLMRUN_DIST_COMMUNICATION_H
#define LLMRUN_DIST_COMMUNICATION_H

#include "dist/communicator.h"
#include "program/mesh.h"

/* Of each group of ranks (enum mesh_axis, enum mesh_group); NULL where there is one rank, or no such group. */
struct communication {
    struct communicator *groups[MESH_GROUPS];
    struct communicator *upward; /* of the odd links of pp, which have an order of their own */
};

#endif
