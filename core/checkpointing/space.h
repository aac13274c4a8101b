/* Room for the checkpoints of a run, looked at before it trains. */
#ifndef LLMRUN_CHECKPOINTING_SPACE_H
#define LLMRUN_CHECKPOINTING_SPACE_H

#include "base/file.h"
#include "checkpointing/resume.h"
#include "engine/state_dict.h"

/* Compares what the run will save into `run_folder`, which need not be there yet, with the room that there is now.
 * STATUS_STORAGE where not even one checkpoint fits, or is larger than this process may make files; with
 * train.on_save_error: continue that is a warning, for there may be room by then. Less room than checkpoint.keep needs
 * is a warning. Of several ranks (resume->ranks) all call it with the program of theirs; rank 0 looks, and all get the
 * same status. */
int space_check(const struct file_system *fs, const struct resume *resume, const char *run_folder,
                const struct program *program, struct error *error);

#endif
