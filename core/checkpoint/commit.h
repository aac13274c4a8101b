/* The last steps of a save: from a folder of written and synced files to a checkpoint. */
#ifndef LLMRUN_CHECKPOINT_COMMIT_H
#define LLMRUN_CHECKPOINT_COMMIT_H

#include "base/file.h"
#include "checkpoint/manifest.h"

/* Folder names of the protocol (writer.h). */
#define COMMIT_PARTIAL  ".partial-"  /* step_00000120.partial-<run>: being written, or being removed */
#define COMMIT_REPLACED ".replaced-" /* step_00000120.replaced-<run>: set aside for a new one of the same step */
#define COMMIT_DAMAGED  ".damaged"   /* step_00000120.damaged: what was found under the name of a new one */
#define COMMIT_BRANCH   ".branch-"   /* step_00000120.branch-0: a whole one, whose name another branch has taken */

/* Syncs `partial`, writes and syncs the manifest into it, renames it to `final` and syncs their parent `folder`. Where
 * `final` is there already, it is set aside first: one of another branch under COMMIT_BRANCH, and what has no whole
 * manifest under COMMIT_DAMAGED, for good; else under COMMIT_REPLACED, where checkpoint_list still finds it, and
 * removed at last. STATUS_STORAGE on failure, and where it cannot be read what is there; *renamed tells whether `final`
 * is the new checkpoint by then. */
int commit_folder(const struct file_system *fs, const char *folder, const char *partial, const char *final,
                  const struct manifest *manifest, bool *renamed, struct error *error);

#endif
