/* Added tokens: texts that are found in a text before it is split, and become one token each. The rules are those of
 * Hugging Face tokenizers (AddedToken): of the tokens that begin at a place the longest is taken, the search goes on
 * behind it, and then the flags decide whether it counts. */
#ifndef LLMRUN_TOKENIZER_ADDED_TOKENS_H
#define LLMRUN_TOKENIZER_ADDED_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct added_token {
    char *text; /* not empty, owned by the list; in normal form for tokens that are found in normalized text */
    int64_t bytes;
    int32_t id;
    bool special;     /* not looked for in text that is data */
    bool single_word; /* only where no word character stands right before or behind it */
    bool lstrip;      /* takes the white space before it */
    bool rstrip;      /* takes the white space behind it */
};

/* {0} is an empty list. Fill `tokens` through added_token_list_add, then call added_token_list_sort once. */
struct added_token_list {
    struct added_token *tokens; /* by their text */
    int64_t count;
    int64_t capacity;
    int64_t longest;    /* bytes */
    int32_t first[257]; /* tokens[first[b]] to tokens[first[b + 1] - 1] begin with byte b */
};

struct added_match {
    int64_t start; /* of the text that the token stands for, stripped white space included */
    int64_t end;
    const struct added_token *token; /* NULL: none was found; then start = end = bytes */
};

/* Copies the token and its text. */
int added_token_list_add(struct added_token_list *list, const struct added_token *token, struct error *error);

/* STATUS_INPUT when two tokens have the same text. */
int added_token_list_sort(struct added_token_list *list, struct error *error);

void added_token_list_finish(struct added_token_list *list);

/* The first token that counts, searched from *from on; *from moves behind its text. `done`: the end of what earlier
 * matches took, stripped white space included. `special`: whether special tokens count. */
struct added_match added_token_find(const struct added_token_list *list, const char *text, int64_t bytes, int64_t *from,
                                    int64_t done, bool special);

/* Whether the text of a token contains the place `at` or touches it. */
bool added_token_touches(const struct added_token_list *list, const char *text, int64_t bytes, int64_t at);

#endif
