/* The table behind checkpoint_files. */
#ifndef LLMRUN_CHECKPOINT_WITHIN_H
#define LLMRUN_CHECKPOINT_WITHIN_H

#include "base/file.h"

/* Finds its checkpoint by its own address: it works only as checkpoint->within. */
extern const struct file_system checkpoint_within;

#endif
