/* One-token changes, written so that the token and its change are both there and a number chooses. */
#ifndef MUTATE_CHANGE_H
#define MUTATE_CHANGE_H

#include "tokens.h"

/* What is put where for one change: text before the tokens `first` and behind `last`, and in place of the token. */
struct change {
    char before[40], instead[64], behind[8];
    int token, first, last;
    const char *other; /* what the token becomes, for people */
};

/* The change of token `i` as number `id`; false where the token has none. */
bool change_make(const struct source *s, int i, int id, struct change *change);

/* The source with the `count` changes in it, on stdout; those may lie in each other. */
void change_write(const struct source *s, int count, const struct change *changes);

#endif
