#include "base/svg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void words_that_mean_something_in_xml_are_escaped(void **state)
{
    struct text svg = {0};

    (void)state;
    svg_text(&svg, "note", 3, 4, "a < b && c > d\n!\x7f");
    assert_string_equal(svg.data, "<text class=\"note\" x=\"3\" y=\"4\">a &lt; b &amp;&amp; c &gt; d?!?</text>\n");
    text_finish(&svg);
}

static void a_group_has_its_title_first(void **state)
{
    struct text svg = {0};

    (void)state;
    svg_group_begin(&svg, "forward", "F & B");
    svg_rectangle(&svg, "box", 1, 2, 30, 40);
    svg_group_end(&svg);
    assert_string_equal(svg.data, "<g class=\"forward\"><title>F &amp; B</title>\n"
                                  "<rect class=\"box\" x=\"1\" y=\"2\" width=\"30\" height=\"40\"/>\n"
                                  "</g>\n");
    text_finish(&svg);
}

static void a_line_goes_through_all_its_points(void **state)
{
    struct text svg = {0};

    (void)state;
    svg_line(&svg, "send", (const int64_t[][2]){{0, 1}, {-5, 6}, {7, 8}}, 3);
    assert_string_equal(svg.data, "<polyline class=\"send\" points=\"0,1 -5,6 7,8\"/>\n");
    text_finish(&svg);
}

static void a_file_is_declared_sized_and_closed(void **state)
{
    struct text svg = {0};

    (void)state;
    svg_begin(&svg, 640, 480, "text { fill: #000000 }\n");
    svg_end(&svg);
    assert_ptr_equal(strstr(svg.data, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "), svg.data);
    assert_non_null(strstr(svg.data, " xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"480\" "
                                     "viewBox=\"0 0 640 480\">\n<style>\ntext { fill: #000000 }\n</style>\n"));
    assert_string_equal(svg.data + svg.length - 7, "</svg>\n");
    text_finish(&svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_mean_something_in_xml_are_escaped),
        cmocka_unit_test(a_group_has_its_title_first),
        cmocka_unit_test(a_line_goes_through_all_its_points),
        cmocka_unit_test(a_file_is_declared_sized_and_closed),
    };

    return cmocka_run_group_tests_name("svg", tests, NULL, NULL);
}
