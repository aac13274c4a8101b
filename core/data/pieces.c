#include "data/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define LONGEST_PIECE (1 << 20)

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

int64_t pieces_cut_place(const char *text, int64_t bytes, double valid_split)
{
    int64_t cut = (int64_t)((double)bytes * (1.0 - valid_split));
    int64_t step;

    if (cut > bytes)
        cut = bytes;
    /* A character has at most three bytes after its first; more than three in a row are not UTF-8 and stay where they
     * are. */
    for (step = 0; step < 3 && cut < bytes && ((unsigned char)text[cut] & 0xC0) == 0x80; step++)
        cut++;
    return cut;
}

/* One document or a part of one, as pieces that can be tokenized apart. */
static int add_stretch(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool headless, bool ends,
                       struct piece_list *list, struct error *error)
{
    int64_t done = 0;
    int result = STATUS_OK;

    while (done < bytes && result == STATUS_OK) {
        int64_t next = tokenizer_safe_cut(tokenizer, text, bytes, done + LONGEST_PIECE);
        struct piece piece = {text + done, next - done, 0, done == 0, ends && next == bytes, headless && done == 0};

        result = add_piece(list, piece, error);
        done = next;
    }
    return result;
}

/* All documents of a part of the file. `headless`: the first one began in the part before. `ends`: the part reaches to
 * the end of the file. */
static int add_documents(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool headless, bool ends,
                         struct piece_list *list, struct error *error)
{
    int64_t done = 0;
    int result = STATUS_OK;

    while (done < bytes && result == STATUS_OK) {
        const char *zero = memchr(text + done, 0, (size_t)(bytes - done));
        int64_t next = zero != NULL ? zero - text : bytes;

        result =
            add_stretch(tokenizer, text + done, next - done, headless && done == 0, zero != NULL || ends, list, error);
        done = next + 1;
    }
    return result;
}

int pieces_cut_text(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t cut,
                    struct piece_list *train, struct piece_list *valid, struct error *error)
{
    int result = add_documents(tokenizer, text, cut, false, cut == bytes, train, error);

    if (result == STATUS_OK && cut < bytes)
        result = add_documents(tokenizer, text + cut, bytes - cut, cut > 0 && text[cut - 1] != 0, true, valid, error);
    return result;
}

static bool is_blank(const char *text, int64_t bytes)
{
    int64_t index;

    for (index = 0; index < bytes; index++)
        if (text[index] != ' ' && text[index] != '\t' && text[index] != '\r')
            return false;
    return true;
}

int pieces_cut_jsonl(const char *text, int64_t bytes, int64_t cut, struct piece_list *train, struct piece_list *valid,
                     struct error *error)
{
    int64_t done = 0, line = 0;
    int result = STATUS_OK;

    while (done < bytes && result == STATUS_OK) {
        const char *newline = memchr(text + done, '\n', (size_t)(bytes - done));
        int64_t end = newline != NULL ? newline - text : bytes;
        struct piece piece = {text + done, end - done, ++line, true, true, false};

        if (!is_blank(piece.text, piece.bytes))
            result = add_piece(done < cut ? train : valid, piece, error);
        done = end + 1;
    }
    return result;
}
