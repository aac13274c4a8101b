#include "tokenizer/normal_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/array.h"
#include "tokenizer/unicode.h"

#define MOST_DECOMPOSED 4 /* characters that form D makes of one */

/* One stretch of characters that may be joined or reordered. */
struct stretch {
    utf8proc_int32_t *codes;
    int64_t count;
    int64_t capacity;
};

/* The next character that may compose at or after `at`, or `bytes`. */
static int64_t find_composing(const char *text, int64_t bytes, int64_t at)
{
    while (at < bytes) {
        uint32_t code;
        int length;

        if ((unsigned char)text[at] < 0x80) { /* no ASCII character does */
            at++;
            continue;
        }
        length = utf8_read(text + at, bytes - at, &code);
        if (unicode_composes(code))
            break;
        at += length;
    }
    return at;
}

bool normal_form_is_plain(const char *text, int64_t bytes)
{
    return find_composing(text, bytes, 0) == bytes;
}

static int append_bytes(const char *text, int64_t bytes, struct byte_list *out, struct error *error)
{
    char *grown = array_reserve(out->bytes, out->count, bytes, &out->capacity, 1);

    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld bytes of text in normal form C",
                         (long long)(out->count + bytes));
    out->bytes = grown;
    memcpy(grown + out->count, text, (size_t)bytes);
    out->count += bytes;
    return STATUS_OK;
}

/* The first byte of the character that ends before `at` and that a following mark may join, or `at` for none. A
 * character whose combining class the tables of unicode.h do not know yet stands apart. */
static int64_t base_before(const char *text, int64_t from, int64_t at)
{
    int64_t start = at;
    uint32_t code;

    while (start > from && at - start < 4) {
        start--;
        if (((unsigned char)text[start] & 0xC0) != 0x80)
            break;
    }
    if (start == at || utf8_read(text + start, at - start, &code) != at - start ||
        (code == 0xFFFD && at - start == 1) || utf8proc_get_property((int32_t)code)->combining_class != 0)
        return at;
    return start;
}

static int decompose(const char *text, int64_t bytes, struct stretch *stretch, struct error *error)
{
    int64_t at = 0;

    stretch->count = 0;
    while (at < bytes) {
        utf8proc_int32_t *codes =
            array_reserve(stretch->codes, stretch->count, MOST_DECOMPOSED, &stretch->capacity, sizeof *codes);
        utf8proc_ssize_t made;
        uint32_t code;
        int last_boundary;

        if (codes == NULL)
            return error_set(error, STATUS_MEMORY, "no memory for a stretch of %lld characters",
                             (long long)stretch->count);
        stretch->codes = codes;
        at += utf8_read(text + at, bytes - at, &code);
        made = utf8proc_decompose_char((int32_t)code, codes + stretch->count, MOST_DECOMPOSED, UTF8PROC_DECOMPOSE,
                                       &last_boundary);
        if (made < 0 || made > MOST_DECOMPOSED)
            return error_set(error, STATUS_BUG, "utf8proc makes %lld characters of U+%04X", (long long)made,
                             (unsigned)code);
        stretch->count += made;
    }
    return STATUS_OK;
}

static int class_of(utf8proc_int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

/* Sorts marks by their combining class; those of one class keep their order. `spare` has room for as many. */
static void sort_marks(utf8proc_int32_t *marks, utf8proc_int32_t *spare, int64_t count)
{
    int64_t half = count / 2, left = 0, right = half, place;

    if (count < 2)
        return;
    sort_marks(marks, spare, half);
    sort_marks(marks + half, spare, count - half);
    memcpy(spare, marks, (size_t)count * sizeof *marks);
    for (place = 0; place < count; place++) {
        bool from_left = right == count || (left < half && class_of(spare[left]) <= class_of(spare[right]));

        marks[place] = from_left ? spare[left++] : spare[right++];
    }
}

static int order_marks(struct stretch *stretch, struct error *error)
{
    utf8proc_int32_t *spare = malloc((size_t)(stretch->count + 1) * sizeof *spare);
    int64_t at = 0;

    if (spare == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a stretch of %lld characters", (long long)stretch->count);
    while (at < stretch->count) {
        int64_t end = at;

        while (end < stretch->count && class_of(stretch->codes[end]) != 0)
            end++;
        sort_marks(stretch->codes + at, spare, end - at);
        at = end + 1;
    }
    free(spare);
    return STATUS_OK;
}

static int append_composed(const char *text, int64_t bytes, struct stretch *stretch, struct byte_list *out,
                           struct error *error)
{
    utf8proc_ssize_t count, index;
    int result = decompose(text, bytes, stretch, error);

    if (result == STATUS_OK)
        result = order_marks(stretch, error);
    if (result != STATUS_OK)
        return result;
    count = utf8proc_normalize_utf32(stretch->codes, stretch->count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (index = 0; index < count && result == STATUS_OK; index++) {
        utf8proc_uint8_t encoded[4];
        utf8proc_ssize_t length = utf8proc_encode_char(stretch->codes[index], encoded);

        result = append_bytes((const char *)encoded, length, out, error);
    }
    return result;
}

int normal_form_append(const char *text, int64_t bytes, struct byte_list *out, struct error *error)
{
    struct stretch stretch = {0};
    int64_t done = 0;
    int result = STATUS_OK;

    while (done < bytes && result == STATUS_OK) {
        int64_t found = find_composing(text, bytes, done), start, end;
        uint32_t code;
        int length;

        start = found < bytes ? base_before(text, done, found) : found;
        for (end = found; end < bytes; end += length) {
            length = utf8_read(text + end, bytes - end, &code);
            if (!unicode_composes(code))
                break;
        }
        result = append_bytes(text + done, start - done, out, error);
        if (result == STATUS_OK && end > start)
            result = append_composed(text + start, end - start, &stretch, out, error);
        done = end;
    }
    free(stretch.codes);
    return result;
}
