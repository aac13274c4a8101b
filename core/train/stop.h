/* Stopping on request. SIGTERM, SIGINT and SIGUSR1 ask once: the step at hand ends, a checkpoint is saved. A second
 * signal ends the process at once with 128 + its number; the last complete checkpoint stays as it is. */
#ifndef LLMRUN_TRAIN_STOP_H
#define LLMRUN_TRAIN_STOP_H

/* Installs the handlers and forgets earlier requests. */
void stop_listen(void);

/* The signal that asked, or 0. */
int stop_requested(void);

#endif
