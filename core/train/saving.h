/* When a checkpoint of a run is known to be stored, and what one that failed does to the run (train.on_save_error). */
#ifndef LLMRUN_TRAIN_SAVING_H
#define LLMRUN_TRAIN_SAVING_H

#include "train/run.h"

/* Starts to save the state, unless its checkpoint is there already; waits first for a save that is under way. Nothing
 * may be pending on the executor. A save that failed is the error returned or, with on_save_error: continue, a warning
 * and trainer->save_error. */
int saving_start(struct trainer *trainer, struct error *error);

/* Whether no save is under way, as this rank sees it; does not block. */
bool saving_is_done(const struct trainer *trainer);

/* Reports the save that was started last, waits for it where it is not done. What it does to the run it does on all
 * ranks: they call it after the same step. */
int saving_report(struct trainer *trainer, struct error *error);

/* Waits for the save under way. STATUS_STORAGE when the newest save failed, on_save_error or not. */
int saving_end(struct trainer *trainer, struct error *error);

#endif
