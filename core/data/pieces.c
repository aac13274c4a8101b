#include "data/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define LONGEST_PIECE ((int64_t)1 << 20)
/* What the tokenizer is shown behind a place at which it is asked to cut. */
#define LOOK_AHEAD ((int64_t)1 << 17)

static int add_piece(struct piece_list *list, struct piece piece, struct error *error)
{
    struct piece *items = array_reserve(list->items, list->count, 1, &list->capacity, sizeof *items);

    if (items == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a list of %lld pieces of text",
                         (long long)list->count + 1);
    list->items = items;
    items[list->count++] = piece;
    return STATUS_OK;
}

int64_t pieces_cut_place(int64_t bytes, double valid_split)
{
    int64_t cut = (int64_t)((double)bytes * (1.0 - valid_split));

    return cut < bytes ? cut : bytes;
}

/* Where the first piece of a document ends, of which `bytes` are there; `bytes` where there is no such place. */
static int64_t piece_end(const struct tokenizer *tokenizer, const char *text, int64_t bytes)
{
    for (int64_t from = LONGEST_PIECE; from < bytes; from += LOOK_AHEAD / 2) {
        int64_t seen = bytes - from > LOOK_AHEAD ? from + LOOK_AHEAD : bytes;
        int64_t end = tokenizer_safe_cut(tokenizer, text, seen, from);

        if (end < seen)
            return end;
    }
    return bytes;
}

/* The next bytes of a document as pieces that can be tokenized apart. `whole`: the document, or its part before the
 * cut, ends with them; `ends`: it ends there. Otherwise what could still belong to a piece that comes is left over. */
static int cut_stretch(struct piece_cutter *cutter, const char *text, int64_t bytes, bool whole, bool ends,
                       struct piece_list *list, int64_t *used, struct error *error)
{
    bool headless = cutter->in_valid && cutter->inside && cutter->at == cutter->cut;
    int64_t done = 0;
    int result = STATUS_OK;

    while (done < bytes && result == STATUS_OK) {
        int64_t left = bytes - done, length = piece_end(cutter->tokenizer, text + done, left);
        struct piece piece = {text + done, length, 0, !cutter->open, ends && length == left, headless && !cutter->open};

        if (!whole && left - length < LOOK_AHEAD)
            break;
        result = add_piece(list, piece, error);
        cutter->open = true;
        done += length;
    }
    cutter->open = cutter->open && !whole;
    cutter->inside = cutter->inside || done > 0;
    cutter->at += done;
    *used += done;
    return result;
}

/* Moves the cut, when it lies in this block, out of a character: one has at most three bytes after its first, and more
 * than three such bytes in a row are not UTF-8 and stay where they are. False: more of the text is needed to say. */
static bool fix_cut(struct piece_cutter *cutter, const char *text, int64_t bytes, bool last)
{
    int64_t place = cutter->cut - cutter->at;

    if (cutter->cut_fixed || place >= bytes)
        return true;
    if (bytes - place < 3 && !last)
        return false;
    for (int step = 0; step < 3 && place < bytes && ((unsigned char)text[place] & 0xC0) == 0x80; step++)
        place++;
    cutter->cut = cutter->at + place;
    cutter->cut_fixed = true;
    return true;
}

static int cut_text(struct piece_cutter *cutter, const char *text, int64_t bytes, bool last, struct piece_list *train,
                    struct piece_list *valid, int64_t *used, struct error *error)
{
    int result = STATUS_OK;

    while (*used < bytes && result == STATUS_OK && fix_cut(cutter, text + *used, bytes - *used, last)) {
        const char *rest = text + *used, *zero;
        int64_t left = bytes - *used, before = *used, place = cutter->cut - cutter->at;
        bool split;

        if (place <= 0 && !cutter->in_valid) {
            cutter->in_valid = true;
            cutter->open = false;
        }
        split = !cutter->in_valid && place < left;
        left = split ? place : left;
        zero = memchr(rest, 0, (size_t)left);
        result = cut_stretch(cutter, rest, zero != NULL ? zero - rest : left, zero != NULL || split || last,
                             zero != NULL || (last && !split), cutter->in_valid ? valid : train, used, error);
        if (zero != NULL) {
            cutter->inside = false;
            cutter->at++;
            ++*used;
        }
        if (*used == before)
            break;
    }
    return result;
}

/* A byte-order mark at the beginning of a line, where files were joined, is as blank. */
static bool is_blank(const char *text, int64_t bytes)
{
    int64_t index = bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;

    for (; index < bytes; index++)
        if (text[index] != ' ' && text[index] != '\t' && text[index] != '\r')
            return false;
    return true;
}

static int cut_lines(struct piece_cutter *cutter, const char *text, int64_t bytes, bool last, struct piece_list *train,
                     struct piece_list *valid, int64_t *used, struct error *error)
{
    int result = STATUS_OK;

    while (*used < bytes && result == STATUS_OK) {
        const char *line = text + *used, *newline = memchr(line, '\n', (size_t)(bytes - *used));
        int64_t length = newline != NULL ? newline - line : bytes - *used, taken = length + (newline != NULL);
        struct piece piece = {line, length, cutter->line + 1, true, true, false};

        if (newline == NULL && !last)
            break;
        if (!is_blank(line, length))
            result = add_piece(cutter->at < cutter->cut ? train : valid, piece, error);
        cutter->line++;
        cutter->at += taken;
        *used += taken;
    }
    return result;
}

int pieces_cut(struct piece_cutter *cutter, const char *text, int64_t bytes, bool last, struct piece_list *train,
               struct piece_list *valid, int64_t *used, struct error *error)
{
    *used = 0;
    return cutter->jsonl ? cut_lines(cutter, text, bytes, last, train, valid, used, error)
                         : cut_text(cutter, text, bytes, last, train, valid, used, error);
}
