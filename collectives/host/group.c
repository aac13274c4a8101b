#include "group.h"

#include <sched.h>
#include <stdlib.h>

#include <llmrun/plugin.h>

#include "meeting.h"
#include "message.h"
#include "request.h"

#define SPIN_US  50
#define DRAIN_NS INT64_C(1000000000) /* that a destroy waits for others to take what was sent to them */

static void destroy_mesh(struct mesh *mesh)
{
    for (int32_t i = 0; mesh->links != NULL && i < mesh->ranks; i++)
        link_destroy(mesh->links[i]);
    free(mesh->links);
    free(mesh->scratch);
    free(mesh);
}

static struct mesh *create_mesh(const struct llmrun_communicator_desc *desc, const struct options *options,
                                struct llmrun_error *error)
{
    struct mesh *mesh = calloc(1, sizeof *mesh);

    if (mesh != NULL) {
        mesh->rank = desc->rank;
        mesh->ranks = desc->ranks;
        mesh->options = *options;
        mesh->links = calloc((size_t)desc->ranks, sizeof(struct link *));
        mesh->scratch = malloc(SCRATCH_BYTES);
        if (mesh->links != NULL && mesh->scratch != NULL)
            return mesh;
        destroy_mesh(mesh);
    }
    llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a communicator of %d ranks", desc->ranks);
    return NULL;
}

/* A processor that polls is one that another rank of this machine may need. */
static void choose_spin(struct mesh *mesh)
{
    cpu_set_t processors;

    mesh->crowded =
        sched_getaffinity(0, sizeof processors, &processors) != 0 || mesh->neighbours > CPU_COUNT(&processors);
    if (mesh->options.spin_us < 0)
        mesh->options.spin_us = mesh->crowded ? 0 : SPIN_US;
}

int32_t group_create(const struct llmrun_communicator_desc *desc, const struct options *options,
                     struct llmrun_communicator **communicator, struct llmrun_error *error)
{
    struct engine *engine = engine_acquire(error);
    struct llmrun_communicator *made = NULL;
    struct mesh *mesh;
    int32_t code;

    if (engine == NULL)
        return LLMRUN_ERROR_DEVICE;
    mesh = create_mesh(desc, options, error);
    code = mesh == NULL ? LLMRUN_ERROR_MEMORY : meeting_hold(desc, options, engine_bell(engine), mesh, error);
    if (code == LLMRUN_OK) {
        choose_spin(mesh);
        made = communicator_create(mesh, 0, desc->rank, desc->ranks, NULL);
        if (made == NULL)
            code = llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a communicator of %d ranks",
                               desc->ranks);
    }
    if (code == LLMRUN_OK) {
        engine_lock(engine);
        code = engine_add(engine, mesh, error);
        engine_unlock(engine);
    }
    if (code != LLMRUN_OK) {
        if (made != NULL)
            communicator_destroy(made);
        if (mesh != NULL)
            destroy_mesh(mesh);
        engine_release(engine);
        return code;
    }
    made->engine = engine;
    *communicator = made;
    return LLMRUN_OK;
}

/* ---- split ---- */

struct wish {
    int32_t color, key;
};

/* Fills the mesh's ranks of those of the same color, in order of key, then of rank. Returns how many; *rank is the
 * caller's place. */
static int32_t gather_members(const struct llmrun_communicator *from, const struct wish *wishes, int32_t *members,
                              int32_t *rank)
{
    const struct wish *own = &wishes[from->rank];
    int32_t count = 0;

    for (int32_t i = 0; i < from->ranks; i++) {
        int32_t place = 0;

        if (wishes[i].color != own->color)
            continue;
        for (int32_t k = 0; k < from->ranks; k++)
            place += wishes[k].color == own->color &&
                     (wishes[k].key < wishes[i].key || (wishes[k].key == wishes[i].key && k < i));
        members[place] = from->members[i];
        if (i == from->rank)
            *rank = place;
        count++;
    }
    return count;
}

/* The same on all ranks without asking: a hash of where it comes from (Steele, Lea and Flood, Fast splittable
 * pseudorandom number generators, 2014). Parts of different colors share no link and may share a name. */
static uint64_t context_of_part(const struct llmrun_communicator *from)
{
    uint64_t mixed = from->context + from->splits * UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

int32_t group_split(struct llmrun_communicator *communicator, int32_t color, int32_t key, int64_t timeout_ns,
                    struct llmrun_communicator **part, struct llmrun_error *error)
{
    const struct wish own = {color, key};
    const int64_t ranks = communicator->ranks;
    struct wish *wishes = calloc((size_t)ranks, sizeof *wishes);
    int32_t *members = calloc((size_t)ranks, sizeof *members);
    const struct llmrun_transfer transfer = {.peer = -1,
                                             .send = {(uint64_t)(uintptr_t)&own, 1, sizeof own, 0},
                                             .receive = {(uint64_t)(uintptr_t)wishes, 1, sizeof own, 0}};
    int32_t code, count, rank = 0;

    *part = NULL;
    if (wishes == NULL || members == NULL)
        code = llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory to split a communicator");
    else
        code = request_call(communicator->engine, communicator, OPERATION_SPLIT, &transfer, timeout_ns, error);
    communicator->splits++;
    if (code == LLMRUN_OK && color >= 0) {
        count = gather_members(communicator, wishes, members, &rank);
        engine_acquire(NULL); /* cannot fail: it is there */
        engine_lock(communicator->engine);
        *part = communicator_create(communicator->mesh, context_of_part(communicator), rank, count, members);
        if (*part != NULL) {
            (*part)->engine = communicator->engine;
            message_recall(*part);
        }
        engine_unlock(communicator->engine);
        if (*part == NULL) {
            engine_release(communicator->engine);
            code = llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a communicator of %d ranks", count);
        }
    }
    if (code == LLMRUN_ERROR_MEMORY)
        communicator_fail(communicator, code, "rank %d has no memory to split a communicator", communicator->rank);
    free(wishes);
    free(members);
    return code;
}

void group_destroy(struct llmrun_communicator *communicator)
{
    struct engine *engine = communicator->engine;
    struct mesh *mesh = communicator->mesh;
    const bool failed = atomic_load(&communicator->failed) != LLMRUN_OK;
    bool last;

    engine_lock(engine);
    engine_progress(engine); /* tells of a failure that nobody waited for */
    communicator_destroy(communicator);
    last = mesh->communicators == NULL;
    for (int32_t i = 0; last && i < mesh->ranks; i++)
        if (mesh->links[i] != NULL)
            message_tell(mesh->links[i], FRAME_BYE, 0, 0, "");
    engine_unlock(engine);
    if (last) {
        engine_drain(engine, mesh, failed ? 0 : DRAIN_NS);
        engine_lock(engine);
        engine_remove(engine, mesh);
        engine_unlock(engine);
        destroy_mesh(mesh);
    }
    engine_release(engine);
}
