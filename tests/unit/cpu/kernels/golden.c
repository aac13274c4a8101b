#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATH LLMRUN_SOURCE_DIR "/tests/golden/ops.txt"

static struct golden parse(const char *text)
{
    struct golden golden;
    char *end;

    golden.count = strtoll(text, &end, 10);
    golden.values = malloc((size_t)golden.count * sizeof(golden.values[0]));
    assert_non_null(golden.values);
    for (int64_t i = 0; i < golden.count; i++)
        golden.values[i] = strtod(end, &end);
    assert_int_equal(*end, '\n');
    return golden;
}

struct golden golden_read(const char *name)
{
    struct golden golden = {0, NULL};
    FILE *file = fopen(PATH, "r");
    size_t length = strlen(name), room = 0;
    char *line = NULL;

    if (file == NULL)
        fail_msg("%s cannot be read", PATH);
    while (golden.values == NULL && getline(&line, &room, file) > 0)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            golden = parse(line + length);
    free(line);
    fclose(file);
    if (golden.values == NULL)
        fail_msg("%s has no %s", PATH, name);
    return golden;
}

void golden_end(struct golden *golden)
{
    free(golden->values);
}
