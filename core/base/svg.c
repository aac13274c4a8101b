#include "base/svg.h"

static void add_escaped(struct text *svg, const char *words)
{
    for (; *words != '\0'; words++)
        switch (*words) {
        case '&':
            text_add(svg, "&amp;");
            break;
        case '<':
            text_add(svg, "&lt;");
            break;
        case '>':
            text_add(svg, "&gt;");
            break;
        default:
            text_add(svg, "%c", (unsigned char)*words < ' ' || *words == 127 ? '?' : *words);
        }
}

void svg_begin(struct text *svg, int64_t width, int64_t height, const char *style)
{
    text_add(svg,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%lld\" height=\"%lld\" viewBox=\"0 0 %lld %lld\">\n"
             "<style>\n%s</style>\n"
             "<defs><marker id=\"head\" viewBox=\"0 0 6 6\" refX=\"6\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" "
             "orient=\"auto\"><path d=\"M0 0 6 3 0 6z\"/></marker></defs>\n"
             "<rect width=\"%lld\" height=\"%lld\" fill=\"#ffffff\"/>\n",
             (long long)width, (long long)height, (long long)width, (long long)height, style, (long long)width,
             (long long)height);
}

void svg_end(struct text *svg)
{
    text_add(svg, "</svg>\n");
}

void svg_group_begin(struct text *svg, const char *class_name, const char *title)
{
    text_add(svg, "<g class=\"%s\"><title>", class_name);
    add_escaped(svg, title);
    text_add(svg, "</title>\n");
}

void svg_group_end(struct text *svg)
{
    text_add(svg, "</g>\n");
}

void svg_rectangle(struct text *svg, const char *class_name, int64_t x, int64_t y, int64_t width, int64_t height)
{
    text_add(svg, "<rect class=\"%s\" x=\"%lld\" y=\"%lld\" width=\"%lld\" height=\"%lld\"/>\n", class_name,
             (long long)x, (long long)y, (long long)width, (long long)height);
}

void svg_line(struct text *svg, const char *class_name, const int64_t (*points)[2], int count)
{
    text_add(svg, "<polyline class=\"%s\" points=\"", class_name);
    for (int i = 0; i < count; i++)
        text_add(svg, "%s%lld,%lld", i > 0 ? " " : "", (long long)points[i][0], (long long)points[i][1]);
    text_add(svg, "\"/>\n");
}

void svg_text(struct text *svg, const char *class_name, int64_t x, int64_t y, const char *words)
{
    text_add(svg, "<text class=\"%s\" x=\"%lld\" y=\"%lld\">", class_name, (long long)x, (long long)y);
    add_escaped(svg, words);
    text_add(svg, "</text>\n");
}
