#include "dist/rank_list.h"

#include <stdio.h>

/* The end of the run of set ranks that begins at `first`. */
static int32_t run_end(const bool *set, int32_t world, int32_t first)
{
    while (first < world && set[first])
        first++;
    return first;
}

void rank_list_text(const bool *set, int32_t world, char text[RANK_LIST_BYTES])
{
    int32_t total = 0, told = 0, end;
    int used;

    for (int32_t i = 0; i < world; i++)
        total += set[i];
    used = snprintf(text, RANK_LIST_BYTES, total == 1 ? "rank" : total == 0 ? "no rank" : "ranks");
    for (int32_t first = 0; first<world; first = end> first ? end : first + 1) {
        const char *comma = told > 0 ? "," : "";

        end = run_end(set, world, first);
        if (end == first)
            continue;
        if (used > RANK_LIST_BYTES - 48) {
            snprintf(text + used, (size_t)(RANK_LIST_BYTES - used), " and %d more", (int)(total - told));
            return;
        }
        if (end - first == 1)
            used += snprintf(text + used, (size_t)(RANK_LIST_BYTES - used), "%s %d", comma, (int)first);
        else
            used += snprintf(text + used, (size_t)(RANK_LIST_BYTES - used),
                             end - first == 2 ? "%s %d, %d" : "%s %d to %d", comma, (int)first, (int)end - 1);
        told += end - first;
    }
}
