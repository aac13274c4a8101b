/* The split of text into pieces that are merged each on its own. A pattern is recognised by its exact text, and its
 * matches are found by hand-written code over the classes of unicode.h:
 *
 *   GPT-2 (openai/gpt-2, encoder.py)
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   LLaMA-3 (tokenizer.json of meta-llama/Meta-Llama-3-8B)
 *     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 *     \s*[\r\n]+|\s+(?!\S)|\s+
 *   Qwen2 (tokenizer.json of Qwen/Qwen2-7B): LLaMA-3's with \p{N} for \p{N}{1,3}
 *
 * Every byte belongs to a piece. A byte that is not part of a UTF-8 character counts as a character of no class. */
#ifndef LLMRUN_TOKENIZER_SPLIT_H
#define LLMRUN_TOKENIZER_SPLIT_H

#include <stdint.h>

enum split_pattern { SPLIT_GPT2, SPLIT_LLAMA3, SPLIT_QWEN2, SPLIT_PATTERNS };

/* The regular expression of each, as tokenizer.json writes it. */
extern const char *const split_pattern_texts[SPLIT_PATTERNS];

/* The end of the piece that starts at `start` < bytes. A piece starts at 0 and at each end. */
int64_t split_next(enum split_pattern pattern, const char *text, int64_t bytes, int64_t start);

/* A place in from..limit where a piece begins, by every pattern, whatever stands around it: a space behind a visible
 * ASCII character, or a newline behind an ASCII letter or digit. -1 when there is none. */
int64_t split_find_border(const char *text, int64_t from, int64_t limit);

#endif
