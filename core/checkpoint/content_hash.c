#include "checkpoint/content_hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/checksum.h"
#include "tensor/dtype.h"

#define SUM_OF(type)                                                                                                   \
    static uint64_t sum_of_##type(uint64_t first, const char *data, int64_t count)                                     \
    {                                                                                                                  \
        uint64_t sum = 0;                                                                                              \
                                                                                                                       \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            type bits;                                                                                                 \
                                                                                                                       \
            memcpy(&bits, data + i * (int64_t)sizeof bits, sizeof bits);                                               \
            sum += content_mix64(first + (uint64_t)i, bits);                                                           \
        }                                                                                                              \
        return sum;                                                                                                    \
    }

SUM_OF(uint8_t)
SUM_OF(uint16_t)
SUM_OF(uint32_t)
SUM_OF(uint64_t)

static uint64_t sum_of(int32_t element_bytes, uint64_t first, const char *data, int64_t count)
{
    switch (element_bytes) {
    case 1:
        return sum_of_uint8_t(first, data, count);
    case 2:
        return sum_of_uint16_t(first, data, count);
    case 4:
        return sum_of_uint32_t(first, data, count);
    default:
        return sum_of_uint64_t(first, data, count);
    }
}

void content_begin(struct content *content, uint32_t dtype, const struct shape *shape, const struct box *box)
{
    const struct box whole = box_whole(shape);

    *content = (struct content){.element_bytes = (int32_t)dtype_bytes(dtype)};
    box_walk_begin(&content->walk, shape->rank, box, box, &whole);
}

/* Whole elements. */
static void add_elements(struct content *content, const char *data, int64_t count)
{
    while (count > 0) {
        int64_t some;

        if (content->left == 0) {
            if (!box_walk_next(&content->walk))
                return;
            content->left = content->walk.elements;
        }
        some = count < content->left ? count : content->left;
        content->sum += sum_of(content->element_bytes,
                               (uint64_t)(content->walk.to + content->walk.elements - content->left), data, some);
        content->left -= some;
        count -= some;
        data += some * content->element_bytes;
    }
}

void content_add(struct content *content, const void *data, int64_t bytes)
{
    const char *at = data;

    if (bytes == 0)
        return;
    if (content->pending > 0) {
        const int32_t lacking = content->element_bytes - content->pending;
        const int32_t some = bytes < lacking ? (int32_t)bytes : lacking;

        memcpy(content->bytes + content->pending, at, (size_t)some);
        content->pending += some;
        at += some;
        bytes -= some;
        if (content->pending < content->element_bytes)
            return;
        add_elements(content, (const char *)content->bytes, 1);
    }
    add_elements(content, at, bytes / content->element_bytes);
    content->pending = (int32_t)(bytes % content->element_bytes);
    memcpy(content->bytes, at + bytes - content->pending, (size_t)content->pending);
}

uint64_t content_of_box(uint32_t dtype, const struct shape *shape, const struct box *box, const void *data)
{
    struct content content;

    content_begin(&content, dtype, shape, box);
    content_add(&content, data, box_elements(box, shape->rank) * content.element_bytes);
    return content.sum;
}

const char *content_print(uint64_t content, char text[CONTENT_TEXT_BYTES])
{
    snprintf(text, CONTENT_TEXT_BYTES, "mix64:%016" PRIx64, content);
    return text;
}

bool content_parse(const char *text, uint64_t *content)
{
    return strncmp(text, "mix64:", 6) == 0 && strlen(text) == CONTENT_TEXT_BYTES - 1 &&
           checksum_parse_digits(text + 6, content);
}
