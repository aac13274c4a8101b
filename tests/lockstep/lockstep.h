/* The programs of all ranks of a mesh, run op by op in one process: programs in, values out. There is no schedule, no
 * memory plan and no plugin: every value has memory of its own, kernels are those of the CPU backends, communication is
 * done on host memory when all ranks of its axis have come to it. So what a test finds wrong is the programs' fault.
 *
 * Memory holds NaNs before it is written, but for states and the slots of norms of which a rank writes some, which are
 * zero. Everything that goes wrong, deadlocks too, fails the test. Not for several threads. */
#ifndef LLMRUN_TEST_LOCKSTEP_H
#define LLMRUN_TEST_LOCKSTEP_H

#include "program/program.h"

enum lockstep_kernels { LOCKSTEP_REFERENCE, LOCKSTEP_FASTEST };

struct lockstep;

/* `programs` and `meshes` have `count` entries, one a rank in the order of rank numbers; programs are borrowed, and
 * verify. `exact`: kernels have the defined order of sums, and so has what ranks add. Destroy with lockstep_destroy. */
struct lockstep *lockstep_create(const struct program *const *programs, const struct mesh *meshes, int count,
                                 enum lockstep_kernels kernels, bool exact);
void lockstep_destroy(struct lockstep *lockstep);

/* Runs all sections of the kind and level, on each rank in the order of its program. `sequences`: those of a rank in
 * the rows of these sections. */
void lockstep_run(struct lockstep *lockstep, enum section_kind kind, int level, int64_t sequences);

/* Sets every accumulator to zero: gradients, and parts of them. */
void lockstep_zero_gradients(struct lockstep *lockstep);

/* Whether a rank has a value of that name. */
bool lockstep_has(const struct lockstep *lockstep, const char *name);

/* Writes a whole value, of the logical shape: each rank that has it gets its part. `sequences` as above, where
 * positions are split; else ignored. */
void lockstep_write(struct lockstep *lockstep, const char *name, const void *whole, int64_t sequences);

/* Reads a value put together from the parts of all ranks; ranks that have the same part must have the same bits. False
 * for one that no rank has, and for terms of a sum. `whole` has room for its logical shape, of which *bytes is told. */
bool lockstep_read(const struct lockstep *lockstep, const char *name, void *whole, int64_t *bytes, int64_t sequences);

/* Where a rank has a value, to look at or to change; NULL where it has it not. */
void *lockstep_memory(const struct lockstep *lockstep, int rank, const char *name);

#endif
