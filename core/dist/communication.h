/* What a rank needs of the others while it computes: its communicators. */
#ifndef LLMRUN_DIST_COMMUNICATION_H
#define LLMRUN_DIST_COMMUNICATION_H

#include "dist/communicator.h"
#include "program/mesh.h"

/* Along each axis of the mesh; NULL where there is one rank. */
struct communication {
    struct communicator *axes[MESH_AXES];
    struct communicator *upward; /* of the odd links of pp, which have an order of their own */
};

#endif
