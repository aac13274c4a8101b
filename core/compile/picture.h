/* A step of some ranks as a picture in SVG: a row a rank, a box for each box of its timeline, an arrow for each tensor
 * that a stage sends to another, the bytes that ranks send. `llmrun plan --picture` writes it. */
#ifndef LLMRUN_COMPILE_PICTURE_H
#define LLMRUN_COMPILE_PICTURE_H

#include "compile/compiled.h"

/* `ranks`: what the ranks of the rows run, from the top, of one mesh and one request with a step. Arrows are drawn
 * between those that are there. Adds the whole file to *svg; svg->failed is for the caller to look at. */
int picture_draw(const struct compiled *ranks, int32_t count, enum pipeline_kind schedule, struct text *svg,
                 struct error *error);

#endif
