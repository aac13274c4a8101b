/* Pieces: what a file is cut into before tokenizing. A piece is a line of JSONL, or a stretch of plain text that is a
 * document or a part of one. */
#ifndef LLMRUN_DATA_PIECES_H
#define LLMRUN_DATA_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

struct piece {
    const char *text; /* borrowed from the file's memory */
    int64_t bytes;
    int64_t line;  /* JSONL: counts from 1. Plain text: 0 */
    bool begins;   /* a document begins here; false: it goes on from the piece before */
    bool ends;     /* the document ends here, and was not cut off by the validation split */
    bool headless; /* what begins here is the rest of a document that the validation split has cut */
};

struct piece_list {
    struct piece *items;
    int64_t count;
    int64_t capacity;
};

/* Cuts the text of one file, which comes in blocks. Pieces do not depend on where blocks end, but for where a long
 * document is cut, which changes no token. */
struct piece_cutter {
    const struct tokenizer *tokenizer;
    bool jsonl;
    int64_t cut; /* bytes of the text before it are for training; from pieces_cut_place, INT64_MAX: all */

    /* The state between blocks: zero at first. */
    int64_t at;     /* bytes of the text that have become pieces */
    int64_t line;   /* JSONL: lines so far */
    bool cut_fixed; /* `cut` has moved to the first byte of a character */
    bool in_valid;
    bool open;   /* the last piece was the beginning of a document that goes on */
    bool inside; /* the byte before `at` belongs to a document */
};

/* Where the validation part begins: behind the first (1 - valid_split) of the bytes, and in plain text from there on at
 * the first byte of a character, which the cutter finds. */
int64_t pieces_cut_place(int64_t bytes, double valid_split);

/* Cuts the next block of the text, which begins with what the call before left over, and adds pieces to the lists;
 * *used is what was cut. `last`: the text ends with this block, all of which is used. When nothing is used the block is
 * too short.
 *
 * Plain text: documents end at each byte 0 and at the end of the file; empty ones are left out. Stretches over 1 MiB
 * are cut where the tokenizer allows. Bytes before the cut go to `train`, the rest to `valid`.
 * JSONL: one piece a line, blank lines left out. A line that starts before the cut is for `train`. */
int pieces_cut(struct piece_cutter *cutter, const char *text, int64_t bytes, bool last, struct piece_list *train,
               struct piece_list *valid, int64_t *used, struct error *error);

#endif
