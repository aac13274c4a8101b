#include "lockstep/part.h"

#include <string.h>

/* Where index `local` of a dimension stands, for one split; *extent goes from the part's to the whole's. */
static int64_t widen(const struct split *split, int64_t local, int64_t *extent, int64_t full, int64_t sequences)
{
    if (split->factor == 0) {
        const int64_t each = (full + split->parts - 1) / split->parts;

        *extent = full;
        return split->index * each + local;
    }
    {
        const int64_t run = *extent / sequences, row = local / run, at = local % run;

        *extent *= split->parts;
        return row * run * split->parts + split->index * run + at;
    }
}

/* Extents of the dimension before each split cuts it. */
static void extents_before(const struct value *value, int dimension, int64_t before[VALUE_MAX_SPLITS])
{
    int64_t left = value->full[dimension];

    for (int i = 0; i < value->split_count; i++) {
        const struct split *split = &value->splits[i];
        const int64_t each = (left + split->parts - 1) / split->parts, rest = left - split->index * each;

        before[i] = left;
        if (split->dimension == dimension)
            left = rest < 0 ? 0 : rest < each ? rest : each;
    }
}

/* Undoes the splits over the axes of `axes` (bits), the last one first. */
static int64_t element_over(const struct value *value, uint32_t axes, int64_t element, int64_t sequences,
                            int64_t *whole_elements)
{
    int64_t index[LLMRUN_MAX_RANK], extents[LLMRUN_MAX_RANK], at = 0;
    /* Rows of channels are no sequences: where their positions are split, they have one part of heads. */
    int64_t runs = value->kind == VALUE_PARTIAL_ROWS ? 1 : sequences;

    for (int d = value->rank - 1; d >= 0; d--) {
        index[d] = element % value->shape[d];
        element /= value->shape[d];
        extents[d] = value->shape[d];
    }
    for (int i = value->split_count - 1; i >= 0; i--) {
        const struct split *split = &value->splits[i];
        int64_t before[VALUE_MAX_SPLITS];

        if (!(axes >> split->axis & 1))
            continue;
        extents_before(value, split->dimension, before);
        index[split->dimension] = widen(split, index[split->dimension], &extents[split->dimension], before[i], runs);
        if (split->dimension == 0 && split->factor == 0)
            runs *= split->parts;
    }
    *whole_elements = 1;
    for (int d = 0; d < value->rank; d++) {
        at = at * extents[d] + index[d];
        *whole_elements *= extents[d];
    }
    return at;
}

int64_t part_element(const struct value *value, int64_t element, int64_t sequences)
{
    int64_t elements;

    return element_over(value, ~0u, element, sequences, &elements);
}

int64_t part_element_over(const struct value *value, enum mesh_axis axis, int64_t element, int64_t sequences,
                          int64_t *whole_elements)
{
    return element_over(value, 1u << axis, element, sequences, whole_elements);
}
