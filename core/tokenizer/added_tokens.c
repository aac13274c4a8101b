#include "tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tokenizer/unicode.h"

int added_token_list_add(struct added_token_list *list, const struct added_token *token, struct error *error)
{
    struct added_token *tokens = array_reserve(list->tokens, list->count, 1, &list->capacity, sizeof *tokens);
    char *text = malloc((size_t)token->bytes);

    if (tokens != NULL)
        list->tokens = tokens;
    if (tokens == NULL || text == NULL) {
        free(text);
        return error_set(error, STATUS_MEMORY, "no memory for %lld added tokens", (long long)list->count + 1);
    }
    memcpy(text, token->text, (size_t)token->bytes);
    tokens[list->count] = *token;
    tokens[list->count++].text = text;
    if (token->bytes > list->longest)
        list->longest = token->bytes;
    return STATUS_OK;
}

static int compare_texts(const void *left, const void *right)
{
    const struct added_token *a = left, *b = right;
    int order = memcmp(a->text, b->text, (size_t)(a->bytes < b->bytes ? a->bytes : b->bytes));

    return order != 0 ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

int added_token_list_sort(struct added_token_list *list, struct error *error)
{
    int64_t index;
    int byte = 0;

    if (list->count > 0)
        qsort(list->tokens, (size_t)list->count, sizeof *list->tokens, compare_texts);
    for (index = 0; index < list->count; index++) {
        const struct added_token *token = &list->tokens[index];

        if (index > 0 && compare_texts(token - 1, token) == 0)
            return error_set(error, STATUS_INPUT, "two added tokens are found by the text '%.*s'",
                             (int)(token->bytes < 100 ? token->bytes : 100), token->text);
        while (byte <= (unsigned char)token->text[0])
            list->first[byte++] = (int32_t)index;
    }
    while (byte < 257)
        list->first[byte++] = (int32_t)list->count;
    return STATUS_OK;
}

void added_token_list_finish(struct added_token_list *list)
{
    int64_t index;

    for (index = 0; index < list->count; index++)
        free(list->tokens[index].text);
    free(list->tokens);
    memset(list, 0, sizeof *list);
}

/* The first token of low..high whose byte at `depth` is not below `byte`. All are longer than `depth` and equal up to
 * there. */
static int64_t first_not_below(const struct added_token_list *list, int64_t low, int64_t high, int64_t depth, int byte)
{
    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if ((unsigned char)list->tokens[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that the text begins with; NULL for none. bytes > 0 */
static const struct added_token *longest_at(const struct added_token_list *list, const char *text, int64_t bytes)
{
    int64_t low = list->first[(unsigned char)text[0]], high = list->first[(unsigned char)text[0] + 1], depth;
    const struct added_token *found = NULL;

    for (depth = 1; low < high; depth++) {
        int byte;

        if (list->tokens[low].bytes == depth)
            found = &list->tokens[low++];
        if (depth == bytes)
            break;
        byte = (unsigned char)text[depth];
        low = first_not_below(list, low, high, depth, byte);
        high = first_not_below(list, low, high, depth, byte + 1);
    }
    return found;
}

/* The character that ends at `at` > 0; U+FFFD, of one byte, for what is not UTF-8. */
static int read_before(const char *text, int64_t at, uint32_t *code)
{
    int length;

    for (length = 1; length <= 4 && length <= at; length++)
        if (((unsigned char)text[at - length] & 0xC0) != 0x80)
            break;
    if (length <= 4 && length <= at && utf8_read(text + at - length, length, code) == length)
        return length;
    *code = 0xFFFD;
    return 1;
}

static bool stands_alone(const char *text, int64_t bytes, int64_t start, int64_t end)
{
    uint32_t code;

    if (start > 0) {
        read_before(text, start, &code);
        if (unicode_is_word(code))
            return false;
    }
    if (end == bytes)
        return true;
    utf8_read(text + end, bytes - end, &code);
    return !unicode_is_word(code);
}

static int64_t spaces_before(const char *text, int64_t at, int64_t least)
{
    while (at > least) {
        uint32_t code;
        int length = read_before(text, at, &code);

        if (unicode_class_of(code) != UNICODE_SPACE)
            break;
        at -= length;
    }
    return at > least ? at : least;
}

static int64_t spaces_behind(const char *text, int64_t bytes, int64_t at)
{
    while (at < bytes) {
        uint32_t code;
        int length = utf8_read(text + at, bytes - at, &code);

        if (unicode_class_of(code) != UNICODE_SPACE)
            break;
        at += length;
    }
    return at;
}

struct added_match added_token_find(const struct added_token_list *list, const char *text, int64_t bytes, int64_t *from,
                                    int64_t done, bool special)
{
    int64_t at = *from;

    while (at < bytes && list->count > 0) {
        const struct added_token *token = longest_at(list, text + at, bytes - at);
        struct added_match match = {at, at, token};

        if (token == NULL) {
            at++;
            continue;
        }
        match.end = at += token->bytes;
        if ((token->special && !special) || (token->single_word && !stands_alone(text, bytes, match.start, match.end)))
            continue;
        if (token->lstrip)
            match.start = spaces_before(text, match.start, done);
        if (token->rstrip)
            match.end = spaces_behind(text, bytes, match.end);
        *from = at;
        return match;
    }
    *from = bytes;
    return (struct added_match){bytes, bytes, NULL};
}

bool added_token_touches(const struct added_token_list *list, const char *text, int64_t bytes, int64_t at)
{
    int64_t start = at > list->longest ? at - list->longest : 0;

    for (; start <= at && start < bytes; start++) {
        const struct added_token *token = longest_at(list, text + start, bytes - start);

        if (token != NULL && start + token->bytes >= at)
            return true;
    }
    return false;
}
