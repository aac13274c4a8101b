/* Ranks in a sentence: "rank 2", "ranks 0 to 3, 6". */
#ifndef LLMRUN_DIST_RANK_LIST_H
#define LLMRUN_DIST_RANK_LIST_H

#include <stdbool.h>
#include <stdint.h>

#define RANK_LIST_BYTES 160

/* Those of 0 to world - 1 that are set, in ascending order. What does not fit is counted: "ranks 0, 2, 4 and 90 more".
 */
void rank_list_text(const bool *set, int32_t world, char text[RANK_LIST_BYTES]);

#endif
