/* A C source as tokens, and what of it mutants leave alone. This reads tokens, not C: good enough to find the operands
 * of an operator in code that a compiler has accepted. */
#ifndef MUTATE_TOKENS_H
#define MUTATE_TOKENS_H

#include <stdbool.h>

enum kind { NAME, NUMBER, TEXT, MARK };

struct token {
    enum kind kind;
    long begin, end; /* offsets */
    int line;
    int partner;     /* of a bracket: the other one; else -1 */
    bool left_alone; /* no code of a function, or code whose changes nothing can find */
};

struct source {
    char *text;
    long bytes;
    struct token *tokens;
    int count;
};

/* Reads a file. false, with a message, where that fails. */
bool source_read(const char *path, struct source *s);
void source_free(struct source *s);

/* Whether token `i` is this text; false for tokens before the first and behind the last. */
bool token_is(const struct source *s, int i, const char *text);
bool token_is_type(const struct source *s, int i);      /* a word of a type */
bool token_is_statement(const struct source *s, int i); /* if, for, return, ... */

#endif
