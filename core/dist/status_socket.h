/* The socket RUN_DIR/.control, through which `llmrun status` asks a running job what its ranks do: who connects gets a
 * text and the end of it. For this user and root, on the machine of rank 0. */
#ifndef LLMRUN_DIST_STATUS_SOCKET_H
#define LLMRUN_DIST_STATUS_SOCKET_H

#include <stdint.h>

#include "base/status.h"

/* Replaces what an earlier job left. STATUS_STORAGE. */
int status_socket_listen(const char *run_folder, int *listener, struct error *error);

/* Answers who waits at the listener with `text`, cut where a reader does not take it at once. Does not block. */
void status_socket_answer(int listener, const char *text, int64_t bytes);

/* What the job of the folder says, at most 5 s after it was asked; the caller frees *text. STATUS_INPUT where no job
 * answers. */
int status_socket_ask(const char *run_folder, char **text, struct error *error);

void status_socket_remove(const char *run_folder);

#endif
