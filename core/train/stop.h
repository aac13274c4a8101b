/* Stopping on request. SIGTERM, SIGINT, SIGUSR1 and SIGHUP ask once, and so does a file RUN_DIR/STOP: the steps at hand
 * end, a checkpoint is saved. The first signal is answered on standard error at once. A second one ends the process at
 * once with 128 + its number; the last complete checkpoint stays as it is. */
#ifndef LLMRUN_TRAIN_STOP_H
#define LLMRUN_TRAIN_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* Installs the handlers and forgets earlier requests. `next_step` is the first that stop_before will be asked about.
 * `folder`, that of the run, is where STOP is looked for and what the answer names; NULL: no file, and no answer, for
 * what ends at once anyway. A STOP that is there already was meant for an earlier run: it is removed, with a line in
 * the log. A SIGHUP that is ignored, as nohup has it, stays ignored.
 */
void stop_listen(const char *folder, int64_t next_step);

/* The step that is submitted next: what is asked from now on comes after it. Says whether something asked before, and
 * the step is not to be submitted. Looks for the file. */
bool stop_before(int64_t step);

/* What asked, e.g. "SIGTERM" or "RUN_DIR/STOP"; NULL: nothing. Looks for no file. */
const char *stop_requested(void);

/* The same as a question that long work asks now and then; looks for the file too. */
bool stop_asked(void);

/* The checkpoint is saved: removes the file, so that it stops no later run. */
void stop_done(void);

#endif
