#include "compile/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/svg.h"
#include "compile/timeline.h"

/* Pixels. A row is a lane for what is sent up, the boxes, a lane for what is sent down. */
enum { LINE = 14, PAD = 6, GAP = 12, LANE = 15, MARGIN = 12, COMBINE_WIDTH = 4, KEY = 12 };

#define LINES_MOST (1 + 2 * MESH_AXES) /* in a box */
#define LINE_BYTES 64
#define HEAD_BYTES 192

/* Of a monospaced font of 11 pixels, at most. */
#define CHARACTER_WIDTH 7

struct look {
    const char *class_name;
    const char *action; /* in its boxes */
    const char *key;    /* what they are */
};

/* By section kind; without a class it is not in a step. */
static const struct look looks[SECTION_KINDS] = {
    [SECTION_FORWARD] = {"forward", "F", "F: forward of a microbatch"},
    [SECTION_BACKWARD] = {"backward", "BW", "BW: backward of a microbatch, gradients of activations and of weights"},
    [SECTION_BACKWARD_INPUT] = {"backward_input", "B", "B: gradients of activations of a microbatch"},
    [SECTION_BACKWARD_WEIGHT] = {"backward_weight", "W", "W: gradients of weights of a microbatch"},
    [SECTION_COMBINE_INPUT] = {"combine", "combine", "combine: sums of accumulation groups meet"},
    [SECTION_COMBINE_WEIGHT] = {"combine", "combine", "combine: sums of accumulation groups meet"},
    [SECTION_REDUCE] = {"reduce", "reduce", "reduce: gradients of all ranks meet"},
    [SECTION_UPDATE] = {"update", "update", "update: gradient norm, clipping, AdamW"},
};

static const char style[] = "text { font: 11px monospace; fill: #1f2328 }\n"
                            ".title { font-weight: bold }\n"
                            ".note { fill: #57606a }\n"
                            ".bytes { fill: #a40e26; text-anchor: end }\n"
                            ".idle { fill: #f3f4f6 }\n"
                            ".time { stroke: #d8dee4 }\n"
                            ".send { stroke: #a40e26; fill: none; marker-end: url(#head) }\n"
                            "#head { fill: #a40e26 }\n"
                            ".forward rect { fill: #cfe2ff; stroke: #4c7fd6 }\n"
                            ".backward rect { fill: #d3f0d6; stroke: #4f9d5b }\n"
                            ".backward_input rect { fill: #e6f2c2; stroke: #879d2b }\n"
                            ".backward_weight rect { fill: #fde7b8; stroke: #c18d1b }\n"
                            ".combine rect { fill: #57606a }\n"
                            ".reduce rect { fill: #ead8f5; stroke: #8e5fb0 }\n"
                            ".update rect { fill: #e4e6e9; stroke: #6e7781 }\n";

struct row {
    const struct compiled *compiled;
    struct timeline timeline;
    int64_t y; /* of its boxes */
};

struct drawing {
    struct text *svg;
    struct row *rows;
    int32_t count;
    int64_t left;                         /* where time begins */
    int64_t unit;                         /* pixels of a unit of time */
    int64_t tail_x[SECTION_KINDS];        /* of the columns behind the pipeline, and */
    int64_t tail_width[SECTION_KINDS];    /* their widths; 0: there is none */
    int64_t box_height, makespan, bottom; /* of the rows */
    int64_t width;
    bool present[SECTION_KINDS];
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t text_width(const char *words)
{
    return (int64_t)strlen(words) * CHARACTER_WIDTH;
}

static bool is_combine(const struct timeline_box *box)
{
    return box->kind == SECTION_COMBINE_INPUT || box->kind == SECTION_COMBINE_WEIGHT;
}

static bool is_tail(const struct timeline_box *box)
{
    return box->kind == SECTION_REDUCE || box->kind == SECTION_UPDATE;
}

static void print_bytes(char *words, size_t size, int64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;

    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(words, size, "%.*f %s", unit > 0 && value < 10 && value != (double)(int)value, value, names[unit]);
}

/* Transfers of a box over an axis that send, and what they send. Receives send nothing. */
static int64_t sent_calls(const struct timeline_box *box, int axis, int64_t *bytes)
{
    int64_t calls = 0;

    *bytes = 0;
    for (int kind = 0; kind < EXCHANGE_COPY; kind++)
        if (kind != EXCHANGE_RECEIVE) {
            calls += box->sent.calls[axis][kind];
            *bytes += box->sent.bytes[axis][kind];
        }
    return calls;
}

/* The words in a box. What a stage sends to another is at its arrow. */
static int box_lines(const struct timeline_box *box, int32_t chunks, char lines[LINES_MOST][LINE_BYTES])
{
    const char *action = looks[box->kind].action;
    int count = 1;

    if (is_tail(box))
        snprintf(lines[0], LINE_BYTES, "%s", action);
    else if (chunks > 1)
        snprintf(lines[0], LINE_BYTES, "%s %d chunk %d", action, box->microbatch, box->chunk);
    else
        snprintf(lines[0], LINE_BYTES, "%s %d", action, box->microbatch);
    for (int axis = 0; axis < MESH_AXES; axis++) {
        const char *name = mesh_axis_name((enum mesh_axis)axis);
        int64_t bytes, calls = sent_calls(box, axis, &bytes);
        char size[LINE_BYTES / 2];

        if (calls == 0 || (axis == MESH_PP && !is_tail(box)))
            continue;
        print_bytes(size, sizeof size, bytes);
        if (is_tail(box)) {
            snprintf(lines[count++], LINE_BYTES, "%s %lld %s %s", name, (long long)calls, calls == 1 ? "call" : "calls",
                     size);
            continue;
        }
        snprintf(lines[count++], LINE_BYTES, "%s %lld %s", name, (long long)calls, calls == 1 ? "call" : "calls");
        snprintf(lines[count++], LINE_BYTES, "%s", size);
    }
    return count;
}

static void measure_box(struct drawing *drawing, const struct row *row, const struct timeline_box *box)
{
    char lines[LINES_MOST][LINE_BYTES];
    int64_t width = 0, units = box->end - box->begin;
    int count;

    drawing->present[box->kind] = true;
    if (is_combine(box))
        return;
    count = box_lines(box, row->compiled->pipeline.shape.chunks, lines);
    for (int i = 0; i < count; i++)
        width = larger(width, text_width(lines[i]));
    if (box->to >= 0) {
        print_bytes(lines[0], LINE_BYTES, box->to_bytes);
        width = larger(width, text_width(lines[0]));
    }
    width += 2 * PAD + GAP;
    drawing->box_height = larger(drawing->box_height, count * LINE + 2 * PAD);
    if (is_tail(box))
        drawing->tail_width[box->kind] = larger(drawing->tail_width[box->kind], width);
    else
        drawing->unit = larger(drawing->unit, (width + units - 1) / units);
}

static void print_place(const struct mesh *mesh, char words[LINE_BYTES])
{
    snprintf(words, LINE_BYTES, "tp %d pp %d dp %d", mesh->index[MESH_TP], mesh->index[MESH_PP], mesh->index[MESH_DP]);
}

static void measure(struct drawing *drawing, int64_t top)
{
    int64_t x;

    drawing->box_height = 2 * LINE + 2 * PAD;
    for (int32_t r = 0; r < drawing->count; r++) {
        char words[LINE_BYTES];

        print_place(&drawing->rows[r].compiled->mesh, words);
        drawing->left = larger(drawing->left, MARGIN + text_width(words) + GAP);
        for (int64_t i = 0; i < drawing->rows[r].timeline.count; i++)
            measure_box(drawing, &drawing->rows[r], &drawing->rows[r].timeline.boxes[i]);
    }
    drawing->makespan = drawing->rows[0].timeline.makespan;
    for (int32_t r = 0; r < drawing->count; r++)
        drawing->rows[r].y = top + LANE + r * (drawing->box_height + 2 * LANE);
    drawing->bottom = top + drawing->count * (drawing->box_height + 2 * LANE);
    x = drawing->left + drawing->makespan * drawing->unit;
    for (int kind = 0; kind < SECTION_KINDS; kind++) {
        drawing->tail_x[kind] = x;
        x += drawing->tail_width[kind];
    }
    drawing->width = larger(drawing->width, x + MARGIN);
}

static int64_t at_time(const struct drawing *drawing, int64_t time)
{
    return drawing->left + time * drawing->unit;
}

static void draw_rank(const struct drawing *drawing, const struct row *row)
{
    const struct mesh *mesh = &row->compiled->mesh;
    char name[LINE_BYTES], place[LINE_BYTES];

    snprintf(name, sizeof name, "rank %d", mesh_rank(mesh));
    print_place(mesh, place);
    svg_group_begin(drawing->svg, "rank", name);
    svg_rectangle(drawing->svg, "idle", drawing->left, row->y, drawing->makespan * drawing->unit, drawing->box_height);
    svg_text(drawing->svg, "title", MARGIN, row->y + PAD + LINE - 4, name);
    svg_text(drawing->svg, "note", MARGIN, row->y + PAD + 2 * LINE - 4, place);
    svg_group_end(drawing->svg);
}

static void draw_times(const struct drawing *drawing, int64_t top)
{
    for (int64_t time = 0; time <= drawing->makespan; time++) {
        char words[LINE_BYTES];

        const int64_t x = at_time(drawing, time);

        svg_line(drawing->svg, "time", (const int64_t[][2]){{x, top}, {x, drawing->bottom}}, 2);
        snprintf(words, sizeof words, "%lld", (long long)time);
        svg_text(drawing->svg, "note", x + 2, top + LINE - 4, words);
    }
}

/* Which box of a row takes what a box of another one sends; NULL: none. */
static const struct timeline_box *receiver(const struct row *from, const struct timeline_box *box, const struct row *to)
{
    const struct pipeline *pipeline = &from->compiled->pipeline;
    const bool down = box->kind == SECTION_FORWARD;
    const int32_t stage = pipeline_stage(pipeline, from->compiled->mesh.index[MESH_PP], box->chunk) + (down ? 1 : -1);

    for (int64_t i = 0; i < to->timeline.count; i++) {
        const struct timeline_box *other = &to->timeline.boxes[i];
        const bool takes = down ? other->kind == SECTION_FORWARD
                                : other->kind == SECTION_BACKWARD || other->kind == SECTION_BACKWARD_INPUT;

        if (takes && other->microbatch == box->microbatch && pipeline_stage(pipeline, box->to, other->chunk) == stage)
            return other;
    }
    return NULL;
}

static const struct row *row_of(const struct drawing *drawing, const struct row *from, int32_t stage_rank)
{
    const int32_t rank = mesh_neighbour(&from->compiled->mesh, MESH_PP, stage_rank);

    for (int32_t r = 0; r < drawing->count; r++)
        if (mesh_rank(&drawing->rows[r].compiled->mesh) == rank)
            return &drawing->rows[r];
    return NULL;
}

/* From near the end of a box to near the begin of another: where that does not begin at once, between the lanes of two
 * rows, and from row to row in the gap before it. So no arrow crosses words. */
static void draw_arrow(const struct drawing *drawing, const struct row *from, int64_t end, const struct row *to,
                       int64_t begin)
{
    const bool down = to > from;
    const int64_t leave = at_time(drawing, end) - GAP, arrive = at_time(drawing, begin) + PAD;
    const int64_t out = down ? from->y + drawing->box_height : from->y, in = down ? to->y : to->y + drawing->box_height;
    const int64_t beside = down ? out + LANE : out - LANE, before = down ? in - LANE : in + LANE;
    const int64_t bend = at_time(drawing, begin) - GAP / 2;

    if (begin == end && beside == before)
        svg_line(drawing->svg, "send", (const int64_t[][2]){{leave, out}, {arrive, in}}, 2);
    else
        svg_line(
            drawing->svg, "send",
            (const int64_t[][2]){{leave, out}, {leave + GAP / 2, beside}, {bend, beside}, {bend, before}, {arrive, in}},
            5);
}

/* The bytes stand left of where the arrow leaves, in a lane of the row in which no other box has words at that time. */
static void draw_send(const struct drawing *drawing, const struct row *from, const struct timeline_box *box)
{
    const struct row *to = box->to >= 0 ? row_of(drawing, from, box->to) : NULL;
    const struct timeline_box *taken = to != NULL ? receiver(from, box, to) : NULL;
    char title[LINE_BYTES * 2], size[LINE_BYTES];

    if (taken == NULL)
        return;
    snprintf(title, sizeof title, "%s %d of chunk %d: rank %d sends %lld bytes to rank %d", looks[box->kind].action,
             box->microbatch, box->chunk, mesh_rank(&from->compiled->mesh), (long long)box->to_bytes,
             mesh_rank(&to->compiled->mesh));
    svg_group_begin(drawing->svg, "output", title);
    draw_arrow(drawing, from, box->end, to, taken->begin);
    print_bytes(size, sizeof size, box->to_bytes);
    svg_text(drawing->svg, "bytes", at_time(drawing, box->end) - GAP - PAD,
             to > from ? from->y + drawing->box_height + LANE - 4 : from->y - 4, size);
    svg_group_end(drawing->svg);
}

static void describe(const struct row *row, const struct timeline_box *box, struct text *title)
{
    text_add(title, "rank %d: %s", mesh_rank(&row->compiled->mesh), section_kind_name((enum section_kind)box->kind));
    if (box->chunk >= 0)
        text_add(title, ", chunk %d, microbatch %d", box->chunk, box->microbatch);
    text_add(title, "; launches %lld", (long long)box->launches);
    for (int axis = 0; axis < MESH_AXES; axis++)
        for (int kind = 0; kind < EXCHANGE_COPY; kind++)
            if (box->sent.calls[axis][kind] > 0)
                text_add(title, "; %s %s %lld bytes in %lld calls", mesh_axis_name((enum mesh_axis)axis),
                         exchange_kind_name((enum exchange_kind)kind), (long long)box->sent.bytes[axis][kind],
                         (long long)box->sent.calls[axis][kind]);
}

static void draw_box(const struct drawing *drawing, const struct row *row, const struct timeline_box *box)
{
    char lines[LINES_MOST][LINE_BYTES];
    struct text title = {0};
    int64_t x = at_time(drawing, box->begin), width = (box->end - box->begin) * drawing->unit - GAP;
    int count = 0;

    if (is_combine(box)) {
        x -= GAP - 2;
        width = COMBINE_WIDTH;
    } else {
        count = box_lines(box, row->compiled->pipeline.shape.chunks, lines);
    }
    if (is_tail(box)) {
        x = drawing->tail_x[box->kind];
        width = drawing->tail_width[box->kind] - GAP;
    }
    describe(row, box, &title);
    svg_group_begin(drawing->svg, looks[box->kind].class_name, title.data != NULL ? title.data : "");
    drawing->svg->failed |= title.failed;
    svg_rectangle(drawing->svg, "box", x, row->y, width, drawing->box_height);
    for (int i = 0; i < count; i++)
        svg_text(drawing->svg, i == 0 ? "title" : "words", x + PAD, row->y + PAD + (i + 1) * LINE - 4, lines[i]);
    svg_group_end(drawing->svg);
    text_finish(&title);
}

static const char sends_key[] = "a stage sends its output to another: bytes";
static const char calls_key[] = "calls, bytes: transfers over an axis of the mesh, and what this rank sends in them";

static void draw_keys(const struct drawing *drawing, int64_t y)
{
    for (int kind = 0; kind < SECTION_KINDS; kind++) {
        if (!drawing->present[kind] || (kind == SECTION_COMBINE_WEIGHT && drawing->present[SECTION_COMBINE_INPUT]))
            continue;
        svg_group_begin(drawing->svg, looks[kind].class_name, looks[kind].key);
        svg_rectangle(drawing->svg, "key", MARGIN, y, KEY, KEY);
        svg_text(drawing->svg, "note", MARGIN + KEY + PAD, y + KEY - 2, looks[kind].key);
        svg_group_end(drawing->svg);
        y += LINE + 4;
    }
    svg_line(drawing->svg, "send", (const int64_t[][2]){{MARGIN, y + KEY / 2}, {MARGIN + KEY, y + KEY / 2}}, 2);
    svg_text(drawing->svg, "note", MARGIN + KEY + PAD, y + KEY - 2, sends_key);
    svg_text(drawing->svg, "note", MARGIN + KEY + PAD, y + LINE + 4 + KEY - 2, calls_key);
}

static int64_t keys_height(const struct drawing *drawing)
{
    int64_t lines = 2;

    for (int kind = 0; kind < SECTION_KINDS; kind++)
        lines += drawing->present[kind];
    return lines * (LINE + 4);
}

/* What stands above the rows; returns its height. */
static int64_t head(const struct drawing *drawing, enum pipeline_kind schedule, char lines[3][HEAD_BYTES])
{
    const struct compiled *compiled = drawing->rows[0].compiled;
    const struct mesh *mesh = &compiled->mesh;
    const int32_t world = mesh_world(mesh);

    snprintf(lines[0], HEAD_BYTES, "One step of %d %s: tp %d, pp %d, dp %d; %s, %d %s of each dp replica", world,
             world == 1 ? "rank" : "ranks", mesh->sizes[MESH_TP], mesh->sizes[MESH_PP], mesh->sizes[MESH_DP],
             pipeline_kind_name(schedule), compiled->microbatches,
             compiled->microbatches == 1 ? "microbatch" : "microbatches");
    snprintf(
        lines[1], HEAD_BYTES,
        "Units of time: F, B and W of a chunk take 1, BW 2, transfers none. The pipeline takes %lld, in which each "
        "rank works %lld.",
        (long long)drawing->rows[0].timeline.makespan,
        (long long)compiled->microbatches * compiled->pipeline.shape.chunks * 3);
    snprintf(lines[2], HEAD_BYTES, "Rows: %d of the %d ranks; the others do the same with other parts.", drawing->count,
             world);
    return MARGIN + (drawing->count < world ? 3 : 2) * LINE + PAD;
}

static void draw(struct drawing *drawing, enum pipeline_kind schedule)
{
    char lines[3][HEAD_BYTES];
    const int64_t top = head(drawing, schedule, lines) + LINE;

    drawing->width = text_width(calls_key) + KEY + PAD + 2 * MARGIN;
    for (int i = 0; i < 3; i++)
        drawing->width = larger(drawing->width, text_width(lines[i]) + 2 * MARGIN);
    measure(drawing, top);
    svg_begin(drawing->svg, drawing->width, drawing->bottom + keys_height(drawing) + 2 * MARGIN, style);
    for (int i = 0; MARGIN + (i + 1) * LINE < top - LINE; i++)
        svg_text(drawing->svg, i == 0 ? "title" : "note", MARGIN, MARGIN + (i + 1) * LINE - 4, lines[i]);
    for (int32_t r = 0; r < drawing->count; r++)
        draw_rank(drawing, &drawing->rows[r]);
    draw_times(drawing, top - LINE);
    for (int32_t r = 0; r < drawing->count; r++)
        for (int64_t i = 0; i < drawing->rows[r].timeline.count; i++)
            draw_send(drawing, &drawing->rows[r], &drawing->rows[r].timeline.boxes[i]);
    for (int32_t r = 0; r < drawing->count; r++)
        for (int64_t i = 0; i < drawing->rows[r].timeline.count; i++)
            draw_box(drawing, &drawing->rows[r], &drawing->rows[r].timeline.boxes[i]);
    draw_keys(drawing, drawing->bottom + MARGIN);
    svg_end(drawing->svg);
}

int picture_draw(const struct compiled *ranks, int32_t count, enum pipeline_kind schedule, struct text *svg,
                 struct error *error)
{
    struct drawing drawing = {.svg = svg, .rows = calloc((size_t)count, sizeof *drawing.rows)};
    int status = drawing.rows != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for a picture");

    for (; status == STATUS_OK && drawing.count < count; drawing.count++) {
        drawing.rows[drawing.count].compiled = &ranks[drawing.count];
        status = timeline_make(&ranks[drawing.count], &drawing.rows[drawing.count].timeline, error);
    }
    if (status == STATUS_OK)
        draw(&drawing, schedule);
    for (int32_t r = 0; r < drawing.count; r++)
        timeline_finish(&drawing.rows[r].timeline);
    free(drawing.rows);
    return status;
}
