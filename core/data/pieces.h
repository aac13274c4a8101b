/* Pieces: what a file is cut into before tokenizing. A piece is a line of JSONL, or a stretch of plain text that is a
 * document or a part of one. */
#ifndef LLMRUN_DATA_PIECES_H
#define LLMRUN_DATA_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/tokenizer.h"

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

/* Where the validation part begins: the first (1 - valid_split) of the bytes, moved forward to a character's first
 * byte. */
int64_t pieces_cut_place(const char *text, int64_t bytes, double valid_split);

/* Plain text: documents end at each byte 0 and at the end of the file; empty ones are left out. Stretches over 1 MiB
 * are cut where the tokenizer allows. Bytes before `cut` go to `train`, the rest to `valid`. */
int pieces_cut_text(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t cut,
                    struct piece_list *train, struct piece_list *valid, struct error *error);

/* JSONL: one piece a line, blank lines left out. A line that starts before `cut` is for `train`. */
int pieces_cut_jsonl(const char *text, int64_t bytes, int64_t cut, struct piece_list *train, struct piece_list *valid,
                     struct error *error);

#endif
