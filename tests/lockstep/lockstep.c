#include "lockstep/lockstep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "kernels/table.h"
#include "lockstep/exchange.h"
#include "lockstep/part.h"
#include "program/op_table.h"
#include "program/text.h"
#include "runtime/check.h"
#include "tensor/dtype.h"

#define ALIGNMENT 64

struct rank {
    const struct program *program;
    const struct mesh *mesh;
    void **memory; /* [values]; of views inside of that of their roots */
    int64_t *ops;  /* that the run has, in order; owned */
    int64_t op_count, at;
};

struct lockstep {
    struct rank *ranks;
    int count;
    enum lockstep_kernels kernels;
    bool exact;
    struct pool *pool;
};

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(ALIGNMENT, (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);

    assert_non_null(memory);
    return memory;
}

static bool begins_as_zero(const struct value *value)
{
    bool zero = value->kind == VALUE_STATE;

    for (int i = 0; i < MESH_AXES; i++)
        zero |= value->partial[i].reduction == REDUCTION_SLOT;
    return zero;
}

static void make_memory(struct rank *rank)
{
    const struct program *program = rank->program;

    rank->memory = calloc((size_t)program->value_count + 1, sizeof *rank->memory);
    rank->ops = malloc(((size_t)program->op_count + 1) * sizeof *rank->ops);
    assert_non_null(rank->memory);
    assert_non_null(rank->ops);
    for (int32_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];
        const size_t bytes = (size_t)value_bytes(value);

        if (value->flags & VALUE_VIEW) {
            rank->memory[i] = (char *)rank->memory[program_root(program, i)] +
                              program_root_offset(program, i) * dtype_bytes(value->dtype);
            continue;
        }
        rank->memory[i] = allocate(bytes);
        memset(rank->memory[i], begins_as_zero(value) ? 0 : 0xff, bytes);
        if (value->contents != NULL)
            memcpy(rank->memory[i], value->contents, bytes);
    }
}

struct lockstep *lockstep_create(const struct program *const *programs, const struct mesh *meshes, int count,
                                 enum lockstep_kernels kernels, bool exact)
{
    struct lockstep *lockstep = calloc(1, sizeof *lockstep);

    assert_non_null(lockstep);
    lockstep->ranks = calloc((size_t)count, sizeof *lockstep->ranks);
    lockstep->pool = pool_create(1);
    assert_non_null(lockstep->ranks);
    assert_non_null(lockstep->pool);
    lockstep->count = count;
    lockstep->kernels = kernels;
    lockstep->exact = exact;
    for (int r = 0; r < count; r++) {
        lockstep->ranks[r].program = programs[r];
        lockstep->ranks[r].mesh = &meshes[r];
        make_memory(&lockstep->ranks[r]);
    }
    return lockstep;
}

void lockstep_destroy(struct lockstep *lockstep)
{
    for (int r = 0; lockstep != NULL && r < lockstep->count; r++) {
        struct rank *rank = &lockstep->ranks[r];

        for (int64_t i = 0; i < rank->program->value_count; i++)
            if (!(rank->program->values[i].flags & VALUE_VIEW))
                free(rank->memory[i]);
        free(rank->memory);
        free(rank->ops);
    }
    if (lockstep == NULL)
        return;
    pool_destroy(lockstep->pool);
    free(lockstep->ranks);
    free(lockstep);
}

static void fail_op(const struct rank *rank, const struct op *op, const char *why)
{
    struct text text = {0};

    program_print_op(rank->program, op, &text);
    fail_msg("%.400s: %s", text.data, why);
}

static void run_op(struct lockstep *lockstep, struct rank *rank, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(rank->program, op);
    const uint32_t flags = LLMRUN_OP_DETERMINISTIC | (lockstep->exact ? LLMRUN_OP_EXACT : 0);
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op described = {.size = sizeof described,
                                  .op = op->op,
                                  .version = op->version,
                                  .flags = flags,
                                  .accumulate = op->accumulate,
                                  .attributes = program_attributes(rank->program, op),
                                  .attribute_bytes = op_attribute_bytes(info),
                                  .operand_count = op_operand_count(info),
                                  .operands = tensors,
                                  .operand_stride = sizeof tensors[0]};
    void *pointers[LLMRUN_MAX_OPERANDS];
    struct llmrun_error error = {0};
    struct kernel_call call = {.op = &described, .operands = pointers, .pool = lockstep->pool, .error = &error};
    const struct kernel *const *candidates = lockstep->kernels == LOCKSTEP_REFERENCE
                                                 ? reference_candidates(op->op, 0, flags)
                                                 : kernel_table_candidates(op->op, (int)cpu_isa_best(), flags);
    int64_t workspace = 0;
    char reason[256] = "";

    for (uint32_t i = 0; i < described.operand_count; i++) {
        program_tensor(rank->program, operands[i], ALIGNMENT, &tensors[i]);
        pointers[i] = operands[i] != NO_VALUE ? rank->memory[operands[i]] : NULL;
    }
    op_lower(info, &described);
    if (check_op(&described, reason, sizeof reason) != LLMRUN_OK)
        fail_op(rank, op, reason);
    while (*candidates != NULL && !(*candidates)->query(&described, 1, &workspace, reason, sizeof reason)) {
        candidates++;
        workspace = 0;
    }
    if (*candidates == NULL)
        fail_op(rank, op, reason);
    call.workspace = allocate((size_t)workspace);
    (*candidates)->run(&call);
    free(call.workspace);
    if (error.code != LLMRUN_OK)
        fail_op(rank, op, error.message);
}

static const struct op *op_at(const struct rank *rank)
{
    return rank->at < rank->op_count ? &rank->program->ops[rank->ops[rank->at]] : NULL;
}

static bool communicates(const struct op *op)
{
    return op != NULL && (op_info_find(op->op)->flags & OP_COMMUNICATION) != 0;
}

static enum mesh_axis axis_of(const struct rank *rank, const struct op *op)
{
    return (enum mesh_axis)((const struct communication_attributes *)program_attributes(rank->program, op))->axis;
}

/* The ranks of the axis that have come to the same op, in the order of their index; 0 while some have not. */
static int meet(struct lockstep *lockstep, const struct rank *rank, struct rank **peers)
{
    const struct op *op = op_at(rank);
    const enum mesh_axis axis = axis_of(rank, op);

    for (int i = 0; i < rank->mesh->sizes[axis]; i++) {
        peers[i] = &lockstep->ranks[mesh_neighbour(rank->mesh, axis, i)];
        if (op_at(peers[i]) == NULL || op_at(peers[i])->op != op->op || axis_of(peers[i], op_at(peers[i])) != axis)
            return 0;
    }
    return rank->mesh->sizes[axis];
}

static void exchange(struct rank **peers, int count, int64_t sequences)
{
    const struct op *op = op_at(peers[0]);
    const enum mesh_axis axis = axis_of(peers[0], op);
    struct exchange_side *sides = calloc((size_t)count, sizeof *sides);

    assert_non_null(sides);
    for (int i = 0; i < count; i++) {
        const struct program *program = peers[i]->program;
        const int32_t *operands = program_operands(program, op_at(peers[i]));

        sides[i] = (struct exchange_side){&program->values[operands[0]], &program->values[operands[1]],
                                          peers[i]->memory[operands[0]], peers[i]->memory[operands[1]]};
        assert_string_equal(sides[i].y->name, sides[0].y->name);
    }
    exchange_run(op->op, axis, sides, count, sequences);
    for (int i = 0; i < count; i++)
        peers[i]->at++;
    free(sides);
}

/* Runs what each rank can; returns whether one got on. */
static bool step(struct lockstep *lockstep, struct rank **peers, int64_t sequences)
{
    bool moved = false;

    for (int r = 0; r < lockstep->count; r++) {
        struct rank *rank = &lockstep->ranks[r];
        int count;

        for (; op_at(rank) != NULL && !communicates(op_at(rank)); rank->at++, moved = true)
            run_op(lockstep, rank, op_at(rank));
        count = op_at(rank) != NULL ? meet(lockstep, rank, peers) : 0;
        if (count > 0)
            exchange(peers, count, sequences);
        moved |= count > 0;
    }
    return moved;
}

void lockstep_run(struct lockstep *lockstep, enum section_kind kind, int level, int64_t sequences)
{
    struct rank **peers = malloc((size_t)lockstep->count * sizeof(struct rank *));

    assert_non_null(peers);
    for (int r = 0; r < lockstep->count; r++) {
        struct rank *rank = &lockstep->ranks[r];

        rank->op_count = rank->at = 0;
        for (int64_t s = 0; s < rank->program->section_count; s++) {
            const struct section *section = &rank->program->sections[s];

            for (int32_t i = 0; section->kind == kind && section->level == level && i < section->op_count; i++)
                rank->ops[rank->op_count++] = section->first_op + i;
        }
    }
    while (step(lockstep, peers, sequences))
        ;
    for (int r = 0; r < lockstep->count; r++)
        if (op_at(&lockstep->ranks[r]) != NULL)
            fail_op(&lockstep->ranks[r], op_at(&lockstep->ranks[r]), "the other ranks of its axis never come to it");
    free(peers);
}

void lockstep_zero_gradients(struct lockstep *lockstep)
{
    for (int r = 0; r < lockstep->count; r++) {
        const struct rank *rank = &lockstep->ranks[r];

        for (int64_t i = 0; i < rank->program->value_count; i++) {
            const struct value *value = &rank->program->values[i];

            if ((value->kind == VALUE_GRADIENT || value->kind == VALUE_PARTIAL_ROWS) && !(value->flags & VALUE_VIEW))
                memset(rank->memory[i], 0, (size_t)value_bytes(value));
        }
    }
}

bool lockstep_has(const struct lockstep *lockstep, const char *name)
{
    for (int r = 0; r < lockstep->count; r++)
        if (program_find(lockstep->ranks[r].program, name) != NO_VALUE)
            return true;
    return false;
}

void lockstep_write(struct lockstep *lockstep, const char *name, const void *whole, int64_t sequences)
{
    for (int r = 0; r < lockstep->count; r++) {
        const struct rank *rank = &lockstep->ranks[r];
        const int32_t id = program_find(rank->program, name);
        const struct value *value = &rank->program->values[id];

        for (int64_t i = 0; id != NO_VALUE && i < value_elements(value); i++) {
            const size_t size = (size_t)dtype_bytes(value->dtype);

            memcpy((char *)rank->memory[id] + (size_t)i * size,
                   (const char *)whole + (size_t)part_element(value, i, sequences) * size, size);
        }
    }
}

static bool is_term(const struct value *value)
{
    for (int i = 0; i < MESH_AXES; i++)
        if (value->partial[i].reduction != REDUCTION_NONE)
            return true;
    return false;
}

bool lockstep_read(const struct lockstep *lockstep, const char *name, void *whole, int64_t *bytes, int64_t sequences)
{
    bool *written = NULL, found;

    for (int r = 0; r < lockstep->count; r++) {
        const struct rank *rank = &lockstep->ranks[r];
        const int32_t id = program_find(rank->program, name);
        const struct value *value = &rank->program->values[id];
        const size_t size = id != NO_VALUE ? (size_t)dtype_bytes(value->dtype) : 0;
        int64_t elements = 1;

        if (id == NO_VALUE)
            continue;
        if (is_term(value))
            break;
        for (int d = 0; d < value->rank; d++)
            elements *= value->full[d];
        if (written == NULL)
            written = calloc((size_t)elements, sizeof *written);
        assert_non_null(written);
        *bytes = elements * (int64_t)size;
        for (int64_t i = 0; i < value_elements(value); i++) {
            const int64_t at = part_element(value, i, sequences);
            const char *from = (const char *)rank->memory[id] + (size_t)i * size;

            if (written[at] && memcmp((char *)whole + (size_t)at * size, from, size) != 0)
                fail_msg("%s: rank %d has other bits than a rank before it at element %lld", name, r, (long long)at);
            memcpy((char *)whole + (size_t)at * size, from, size);
            written[at] = true;
        }
    }
    found = written != NULL;
    free(written);
    return found;
}

void *lockstep_memory(const struct lockstep *lockstep, int rank, const char *name)
{
    const int32_t id = program_find(lockstep->ranks[rank].program, name);

    return id != NO_VALUE ? lockstep->ranks[rank].memory[id] : NULL;
}
