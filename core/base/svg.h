/* Writes a picture in SVG 1.1: texts, rectangles and lines from point to point, which get their looks from a style
 * sheet by their class. Lengths are in pixels. Nothing depends on time, locale or machine: the same calls write the
 * same bytes. */
#ifndef LLMRUN_BASE_SVG_H
#define LLMRUN_BASE_SVG_H

#include <stdint.h>

#include "base/text.h"

/* `style`: rules of CSS, without <, > and &. The picture has a white ground and one marker for lines, "head". */
void svg_begin(struct text *svg, int64_t width, int64_t height, const char *style);
void svg_end(struct text *svg);

/* Shapes up to svg_group_end belong together; viewers show `title` beside the pointer. */
void svg_group_begin(struct text *svg, const char *class_name, const char *title);
void svg_group_end(struct text *svg);

void svg_rectangle(struct text *svg, const char *class_name, int64_t x, int64_t y, int64_t width, int64_t height);

/* `points`: x and y of each of `count`. */
void svg_line(struct text *svg, const char *class_name, const int64_t (*points)[2], int count);

/* `y` is that of the base line, `x` the left end, or with a class that says `text-anchor: end` the right one.
 * Characters that mean something in XML are escaped; control characters, which it cannot hold, become '?'. */
void svg_text(struct text *svg, const char *class_name, int64_t x, int64_t y, const char *words);

#endif
