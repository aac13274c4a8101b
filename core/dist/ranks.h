/* The ranks of a job, as one of them sees them: who it is, the control channel to the others, its communicators. All
 * entries take a NULL for a process that is alone: then it is rank 0 of 1, and what is shared is its own. */
#ifndef LLMRUN_DIST_RANKS_H
#define LLMRUN_DIST_RANKS_H

#include "dist/communication.h"
#include "dist/control.h"

struct ranks;

/* From the variables of a launcher (dist/environment.h); *ranks stays NULL for a process that is alone. Blocks until
 * all ranks are there, at most timeout_ns. `run_folder`: where a file may have the secret (dist/secret.h); NULL: none.
 */
int ranks_open(char *const *variables, const char *run_folder, int64_t timeout_ns, struct ranks **ranks,
               struct error *error);
void ranks_close(struct ranks *ranks);

/* Makes the communicators of a mesh, for each axis that has several ranks. All ranks call it, once. */
int ranks_connect(struct ranks *ranks, const struct mesh *mesh, const struct collective *collective,
                  const struct llmrun_option *options, int64_t option_count, int64_t timeout_ns, struct error *error);

int32_t ranks_rank(const struct ranks *ranks);
int32_t ranks_world(const struct ranks *ranks);
/* Whether several ranks write to one terminal: not where `llmrun launch` has given each its own output. */
bool ranks_share_output(const struct ranks *ranks);
bool ranks_is_first(const struct ranks *ranks);

/* NULL where nobody else takes part. */
const struct communication *ranks_communication(const struct ranks *ranks);
struct control *ranks_control(struct ranks *ranks); /* likewise */

/* `bytes` bytes of rank 0's become everyone's. All ranks call it. */
int ranks_share(struct ranks *ranks, void *data, int64_t bytes, struct error *error);

/* The status of a part that each rank does by itself, before all go on: where one has failed, all fail, those that did
 * not with STATUS_PEER and the sentence of the first that did. */
int ranks_together(struct ranks *ranks, int status, struct error *error);

/* control_agree over all ranks. What they differ in is known to all then: ranks_fail tells nobody. */
int ranks_compare(struct ranks *ranks, const struct control_item *items, int32_t count, struct error *error);

/* When a rank is lost, the communicators are aborted, so that nothing blocks in them, and then `callback` is called, on
 * a thread of its own: it must not block. NULL: none. */
void ranks_on_failure(struct ranks *ranks, void (*callback)(void *context, const struct error *error), void *context);

/* Says what this rank does from now on, where it is not seen by its collectives: control_note. */
void ranks_note(struct ranks *ranks, int64_t step, const char *what);

/* What this rank ends with next, the others end with too, by themselves: ranks_fail tells nobody. */
void ranks_all_know(struct ranks *ranks);

/* Tells the others that this rank ends with `status`, which is no STATUS_OK: *error becomes the root cause, as all
 * ranks are told it, and its status is returned. What a run is stopped by is no failure and stays. */
int ranks_fail(struct ranks *ranks, int status, struct error *error);

/* The run's folder is known: `llmrun status` is answered there, where it can be, and after a failure ranks_fail writes
 * what this rank last did with others to RUN_DIR/logs/rank_N.collectives.txt. */
void ranks_name_folder(struct ranks *ranks, const struct file_system *fs, const char *run_folder);

#endif
