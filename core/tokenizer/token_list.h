/* Ids of tokens. */
#ifndef LLMRUN_TOKENIZER_TOKEN_LIST_H
#define LLMRUN_TOKENIZER_TOKEN_LIST_H

#include <stdint.h>

#include "base/status.h"

/* A growing array that the caller owns: starts from {0}, ends with free(ids). */
struct token_list {
    int32_t *ids;
    int64_t count;
    int64_t capacity;
};

/* Makes room for `extra` more ids. STATUS_MEMORY when there is none. */
int token_list_reserve(struct token_list *list, int64_t extra, struct error *error);

#endif
