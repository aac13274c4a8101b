/* The secret that the ranks of a job share: who knows it may join. It is never printed and stands on no command line.
 */
#ifndef LLMRUN_DIST_SECRET_H
#define LLMRUN_DIST_SECRET_H

#include <stdint.h>

#include "base/status.h"

#define SECRET_LEAST      16 /* characters */
#define SECRET_MOST       256
#define SECRET_TEXT_BYTES (SECRET_MOST + 1)
#define SECRET_KEY_BYTES  32

/* 32 random bytes in hexadecimal digits. */
int secret_make(char text[SECRET_TEXT_BYTES], struct error *error);

/* LLMRUN_SECRET of `variables` (an array like `environ`), else the first line of RUN_DIR/.secret, a file of this user
 * that no other may read (mode 0600). `run_folder` is NULL for a command that has none. STATUS_USAGE where there is
 * none, with what to do, or where it is too short, too long or readable by others. */
int secret_find(char *const *variables, const char *run_folder, char text[SECRET_TEXT_BYTES], struct error *error);

/* The key that follows from it. */
void secret_key(const char *text, uint8_t key[SECRET_KEY_BYTES]);

#endif
