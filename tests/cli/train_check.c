/* train_check EXPECTED METRICS FIRST: holds the metrics.jsonl of a run to what PyTorch computed in float64
 * (tests/golden/make_train.py), from step FIRST on. Each line of EXPECTED has the names of a line of METRICS and the
 * numbers wanted there: counts exactly, reals within 1e-6 of their size (llmrun is within 1.2e-7; PyTorch's own fp32 is
 * not better). Of a step that METRICS has twice the last line counts. Prints the largest difference, or what is wrong,
 * and ends with 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define BOUND 1e-6

/* An array of the lines of a file; NULL when one is no JSON object. */
static json_t *read_lines(const char *path)
{
    static char line[1 << 16];
    FILE *file = fopen(path, "r");
    json_t *lines = json_array();
    int good = file != NULL;

    while (good && fgets(line, sizeof line, file) != NULL)
        good = json_array_append_new(lines, json_loads(line, JSON_REJECT_DUPLICATES, NULL)) == 0;
    if (file != NULL)
        fclose(file);
    if (!good) {
        fprintf(stderr, "train_check: %s: cannot be read, or holds a line that is no JSON\n", path);
        json_decref(lines);
        return NULL;
    }
    return lines;
}

static long long step_of(const json_t *line)
{
    return json_integer_value(json_object_get(line, "step"));
}

static const json_t *find_last(const json_t *lines, const json_t *wanted)
{
    const char *event = json_string_value(json_object_get(wanted, "event"));

    for (size_t i = json_array_size(lines); i-- > 0;) {
        const json_t *line = json_array_get(lines, i);
        const char *other = json_string_value(json_object_get(line, "event"));

        if (step_of(line) == step_of(wanted) && other != NULL && strcmp(other, event) == 0)
            return line;
    }
    return NULL;
}

/* Compares one line; *worst is the largest difference of its reals. Returns the number of wrong ones. */
static int compare(json_t *wanted, const json_t *found, double *worst)
{
    const char *name;
    json_t *value;
    int wrong = 0;

    json_object_foreach(wanted, name, value)
    {
        const json_t *other = json_object_get(found, name);
        double want = json_number_value(value), got = json_number_value(other), difference;

        if (!json_is_number(value))
            continue;
        difference = fabs(got - want) / (want != 0 ? fabs(want) : 1);
        if (!json_is_number(other) || !(difference <= (json_is_integer(value) ? 0 : BOUND))) {
            printf("step %lld: %s is %.12g, wanted %.12g\n", step_of(wanted), name, got, want);
            wrong++;
        }
        *worst = fmax(*worst, difference);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    json_t *expected = argc == 4 ? read_lines(argv[1]) : NULL, *metrics = argc == 4 ? read_lines(argv[2]) : NULL;
    int wrong = 0, compared = 0;
    double worst = 0;

    if (expected == NULL || metrics == NULL)
        return 2;
    for (size_t i = 0; i < json_array_size(expected); i++) {
        json_t *wanted = json_array_get(expected, i);
        const json_t *found = find_last(metrics, wanted);

        if (step_of(wanted) < atoll(argv[3]))
            continue;
        compared++;
        if (found == NULL) {
            printf("step %lld: no such line\n", step_of(wanted));
            wrong++;
        } else {
            wrong += compare(wanted, found, &worst);
        }
    }
    printf("%d lines, largest relative difference %.2e (bound %.0e)\n", compared, worst, BOUND);
    json_decref(expected);
    json_decref(metrics);
    return wrong > 0 || compared == 0;
}
