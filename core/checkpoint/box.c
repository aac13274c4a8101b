#include "checkpoint/box.h"

#include <stdio.h>
#include <string.h>

struct box box_whole(const struct shape *shape)
{
    struct box box = {{0}, {0}};

    for (int32_t i = 0; i < shape->rank; i++)
        box.extent[i] = shape->extent[i];
    return box;
}

struct shape box_shape(const struct box *box, int32_t rank)
{
    return shape_of(rank, box->extent);
}

bool box_equal(const struct box *a, const struct box *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

int64_t box_elements(const struct box *box, int32_t rank)
{
    int64_t elements = 1;

    for (int32_t i = 0; i < rank; i++)
        elements *= box->extent[i];
    return elements;
}

bool box_is_within(const struct box *box, const struct shape *shape)
{
    for (int32_t i = 0; i < shape->rank; i++)
        if (box->first[i] < 0 || box->extent[i] < 0 || box->extent[i] > shape->extent[i] ||
            box->first[i] > shape->extent[i] - box->extent[i])
            return false;
    return true;
}

bool box_intersect(const struct box *a, const struct box *b, int32_t rank, struct box *common)
{
    *common = (struct box){{0}, {0}};
    for (int32_t i = 0; i < rank; i++) {
        const int64_t a_end = a->first[i] + a->extent[i], b_end = b->first[i] + b->extent[i];

        common->first[i] = a->first[i] > b->first[i] ? a->first[i] : b->first[i];
        common->extent[i] = (a_end < b_end ? a_end : b_end) - common->first[i];
        if (common->extent[i] <= 0)
            return false;
    }
    return true;
}

const char *box_print(const struct box *box, int32_t rank, char text[BOX_TEXT_BYTES])
{
    int used = snprintf(text, BOX_TEXT_BYTES, "[");

    for (int32_t i = 0; i < rank; i++)
        used += snprintf(text + used, (size_t)(BOX_TEXT_BYTES - used), "%s%lld:%lld", i > 0 ? ", " : "",
                         (long long)box->first[i], (long long)(box->first[i] + box->extent[i]));
    snprintf(text + used, (size_t)(BOX_TEXT_BYTES - used), "]");
    return text;
}

void box_walk_begin(struct box_walk *walk, int32_t rank, const struct box *common, const struct box *from,
                    const struct box *to)
{
    int64_t from_step = 1, to_step = 1;
    bool spans = true;

    *walk = (struct box_walk){.run_elements = 1, .runs = 1};
    for (int32_t i = rank - 1; i >= 0; i--) {
        walk->from_start += (common->first[i] - from->first[i]) * from_step;
        walk->to_start += (common->first[i] - to->first[i]) * to_step;
        walk->from_step[i] = from_step;
        walk->to_step[i] = to_step;
        walk->extent[i] = common->extent[i];
        if (spans) {
            walk->run_elements *= common->extent[i];
        } else {
            walk->runs *= common->extent[i];
            walk->outer = walk->outer > i + 1 ? walk->outer : i + 1;
        }
        /* A run goes on over the next dimension only where both boxes have no more along this one. */
        spans = spans && common->extent[i] == from->extent[i] && common->extent[i] == to->extent[i];
        from_step *= from->extent[i];
        to_step *= to->extent[i];
    }
    if (walk->run_elements == 0)
        walk->runs = 0;
}

bool box_walk_next(struct box_walk *walk)
{
    if (walk->runs == 0)
        return false;
    walk->runs--;
    walk->elements = walk->run_elements;
    walk->from = walk->from_start;
    walk->to = walk->to_start;
    for (int32_t i = 0; i < walk->outer; i++) {
        walk->from += walk->index[i] * walk->from_step[i];
        walk->to += walk->index[i] * walk->to_step[i];
    }
    for (int32_t i = walk->outer - 1; i >= 0 && ++walk->index[i] == walk->extent[i]; i--)
        walk->index[i] = 0;
    return true;
}
