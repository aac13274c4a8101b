/* GPT-2's split of text into pieces that are merged each on its own (openai/gpt-2, encoder.py):
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Every byte belongs to a piece. A byte that is not part of a UTF-8 character counts as a character of no class. */
#ifndef LLMRUN_DATA_SPLIT_H
#define LLMRUN_DATA_SPLIT_H

#include <stdint.h>

/* The end of the piece that starts at `start` < bytes. A piece starts at 0 and at each end. */
int64_t split_next(const char *text, int64_t bytes, int64_t start);

/* A place in from..limit where a piece begins whatever stands around it: a space or newline behind a visible ASCII
 * character. -1 when there is none. */
int64_t split_find_border(const char *text, int64_t from, int64_t limit);

#endif
