/* The file is read as a viewer would: as XML, and as texts and boxes with places. */
#include "compile/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile/timeline.h"
#include "layout_ranks.h"

#define RANKS_MOST 8
#define DEPTH_MOST 16
#define NAME_BYTES 32

struct drawn {
    struct compiled ranks[RANKS_MOST];
    int32_t count;
    struct text svg;
};

static void draw(const struct layout *layout, struct drawn *drawn)
{
    struct error error;

    memset(drawn, 0, sizeof *drawn);
    for (; drawn->count < layout->tp * layout->pp * layout->dp; drawn->count++)
        compile_of_layout(layout, drawn->count, &drawn->ranks[drawn->count]);
    if (picture_draw(drawn->ranks, drawn->count, layout->schedule, &drawn->svg, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_false(drawn->svg.failed);
}

static void finish(struct drawn *drawn)
{
    for (int32_t r = 0; r < drawn->count; r++)
        compiled_finish(&drawn->ranks[r]);
    text_finish(&drawn->svg);
}

static int64_t occurrences(const char *text, const char *words)
{
    int64_t count = 0;

    for (; (text = strstr(text, words)) != NULL; text++)
        count++;
    return count;
}

/* Of a tag `name attribute="value" ... /`: that nothing else is in it. Returns what stands behind it. */
static const char *expect_tag(const char *at, char name[NAME_BYTES], bool *empty)
{
    size_t length = strcspn(at, " />");

    assert_in_range(length, 1, NAME_BYTES - 1);
    memcpy(name, at, length);
    name[length] = '\0';
    for (at += length; *at == ' ';) {
        at += 1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
        assert_memory_equal(at, "=\"", 2);
        at += 2 + strcspn(at + 2, "\"<&");
        assert_int_equal(*at++, '"');
    }
    *empty = *at == '/';
    at += *empty;
    assert_int_equal(*at, '>');
    return at + 1;
}

/* Tags close in the order in which they opened, one of them around all; between them is no bare & or >. */
static void expect_well_formed(const char *at)
{
    static const char *const escapes[] = {"&amp;", "&lt;", "&gt;"};
    char open[DEPTH_MOST][NAME_BYTES];
    int depth = 0;
    const char declaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

    assert_memory_equal(at, declaration, sizeof declaration - 1);
    at += sizeof declaration - 1;
    do {
        size_t escape = 0;
        bool empty;

        if (*at == '&') {
            while (escape < 3 && strncmp(at, escapes[escape], strlen(escapes[escape])) != 0)
                escape++;
            assert_in_range(escape, 0, 2);
            at++;
        } else if (strncmp(at, "</", 2) == 0) {
            assert_true(depth > 0);
            depth--;
            assert_memory_equal(at + 2, open[depth], strlen(open[depth]));
            at += 2 + strlen(open[depth]);
            assert_int_equal(*at++, '>');
        } else if (*at == '<') {
            assert_true(depth < DEPTH_MOST);
            at = expect_tag(at + 1, open[depth], &empty);
            depth += !empty;
        } else {
            assert_true(*at != '\0' && *at != '>');
            at++;
        }
    } while (depth > 0);
    assert_string_equal(at, "\n");
}

static void every_layout_gives_a_well_formed_file(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS; l++) {
        struct drawn drawn;

        draw(&layouts[l], &drawn);
        expect_well_formed(drawn.svg.data);
        finish(&drawn);
    }
}

/* The last group of each class is its key. */
static void rows_and_boxes_are_those_of_the_command_lists(void **state)
{
    static const struct {
        enum section_kind kind;
        const char *group;
    } kinds[] = {{SECTION_FORWARD, "<g class=\"forward\">"},
                 {SECTION_BACKWARD, "<g class=\"backward\">"},
                 {SECTION_BACKWARD_INPUT, "<g class=\"backward_input\">"},
                 {SECTION_BACKWARD_WEIGHT, "<g class=\"backward_weight\">"},
                 {SECTION_REDUCE, "<g class=\"reduce\">"},
                 {SECTION_UPDATE, "<g class=\"update\">"}};

    (void)state;
    for (int l = 0; l < LAYOUTS; l++) {
        int64_t boxes[SECTION_KINDS] = {0}, outputs = 0;
        struct drawn drawn;

        draw(&layouts[l], &drawn);
        for (int32_t r = 0; r < drawn.count; r++) {
            const struct command_list *list = &drawn.ranks[r].commands.jobs[JOB_STEP];
            int64_t entry = -1;
            int kind = -1;

            for (int64_t i = 0; i < list->count; i++) {
                const struct command *command = &list->commands[i];

                if (command->kind != COMMAND_LAUNCH && command->kind != COMMAND_COLLECTIVE)
                    continue;
                if (command->entry != entry ||
                    (entry < 0 && drawn.ranks[r].program.sections[command->what].kind != kind))
                    boxes[drawn.ranks[r].program.sections[command->what].kind]++;
                entry = command->entry;
                kind = drawn.ranks[r].program.sections[command->what].kind;
                outputs += command->kind == COMMAND_COLLECTIVE && entry >= 0 &&
                           drawn.ranks[r].exchanges[command->what].steps[0].kind != EXCHANGE_RECEIVE &&
                           drawn.ranks[r].exchanges[command->what].axis == MESH_PP;
            }
        }
        assert_int_equal(occurrences(drawn.svg.data, "<g class=\"rank\">"), drawn.count);
        assert_int_equal(occurrences(drawn.svg.data, "<g class=\"output\">"), outputs);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            const int64_t wanted = boxes[kinds[k].kind];

            assert_int_equal(occurrences(drawn.svg.data, kinds[k].group), wanted > 0 ? wanted + 1 : 0);
        }
        finish(&drawn);
    }
}

struct words {
    int64_t left, right, base;
};

/* The texts of a file, as wide as with characters of 7 pixels. The caller frees. */
static struct words *find_texts(const char *svg, int64_t *count)
{
    struct words *found = calloc((size_t)occurrences(svg, "<text class=") + 1, sizeof *found);

    *count = 0;
    while ((svg = strstr(svg, "<text class=\"")) != NULL) {
        const char *at = svg + strlen("<text class=\"");
        const bool ends = strncmp(at, "bytes", 5) == 0;
        long long x, y;
        int64_t width;

        assert_int_equal(sscanf(strchr(at, ' '), " x=\"%lld\" y=\"%lld\">", &x, &y), 2);
        at = strchr(at, '>') + 1;
        width = 7 * (int64_t)strcspn(at, "<");
        found[(*count)++] = (struct words){ends ? x - width : x, ends ? x : x + width, y};
        svg = at;
    }
    return found;
}

static void no_two_texts_overlap_and_all_are_in_the_picture(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS; l++) {
        struct drawn drawn;
        struct words *texts;
        int64_t count;
        long long width, height;

        draw(&layouts[l], &drawn);
        assert_int_equal(sscanf(strstr(drawn.svg.data, " width="), " width=\"%lld\" height=\"%lld\"", &width, &height),
                         2);
        texts = find_texts(drawn.svg.data, &count);
        assert_true(count > 10);
        for (int64_t i = 0; i < count; i++) {
            const struct words *one = &texts[i];

            assert_true(one->left >= 0 && one->right <= width && one->base >= 11 && one->base < height);
            for (int64_t k = 0; k < i; k++)
                if (labs(one->base - texts[k].base) < 11)
                    assert_true(one->right <= texts[k].left || texts[k].right <= one->left);
        }
        free(texts);
        finish(&drawn);
    }
}

/* Each box: a rectangle, then its words. */
static void words_of_a_box_are_inside_of_it(void **state)
{
    int64_t boxes = 0;

    (void)state;
    for (int l = 0; l < LAYOUTS; l++) {
        struct drawn drawn;
        const char *at;

        draw(&layouts[l], &drawn);
        for (at = drawn.svg.data; (at = strstr(at, "<rect class=\"box\"")) != NULL; boxes++) {
            const char *end = strstr(at, "</g>");
            long long x, y, width, height;

            assert_int_equal(sscanf(at, "<rect class=\"box\" x=\"%lld\" y=\"%lld\" width=\"%lld\" height=\"%lld\"", &x,
                                    &y, &width, &height),
                             4);
            while ((at = strstr(at, "<text class=")) != NULL && at < end) {
                long long left, base;

                assert_int_equal(sscanf(strstr(at, " x="), " x=\"%lld\" y=\"%lld\">", &left, &base), 2);
                at = strchr(at, '>') + 1;
                assert_true(left > x && left + 7 * (long long)strcspn(at, "<") < x + width);
                assert_true(base - 11 >= y && base < y + height);
            }
            at = end;
        }
        finish(&drawn);
    }
    assert_true(boxes > 100);
}

static void the_same_ranks_give_the_same_bytes(void **state)
{
    struct drawn first, second;

    (void)state;
    draw(&layouts[1], &first);
    draw(&layouts[1], &second);
    assert_string_equal(first.svg.data, second.svg.data);
    finish(&first);
    finish(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_a_well_formed_file),
        cmocka_unit_test(rows_and_boxes_are_those_of_the_command_lists),
        cmocka_unit_test(no_two_texts_overlap_and_all_are_in_the_picture),
        cmocka_unit_test(words_of_a_box_are_inside_of_it),
        cmocka_unit_test(the_same_ranks_give_the_same_bytes),
    };

    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
