#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "program/text.h"
#include "program/verify.h"

#define LIMIT (1 << 20)

static void path_of(const char *name, char path[1024])
{
    snprintf(path, 1024, "%s/tests/unit/passes/golden/%s.txt", LLMRUN_SOURCE_DIR, name);
}

static char *read_text(const char *name)
{
    char path[1024], *text;
    struct error error;
    int64_t bytes;

    path_of(name, path);
    if (file_read_all(&file_system_real, path, LIMIT, &text, &bytes, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return text;
}

void golden_read(const char *name, struct program *program)
{
    char *text = read_text(name);
    struct error error;

    program_init(program);
    if (program_parse(program, text, &error) != STATUS_OK || program_verify(program, &error) != STATUS_OK)
        fail_msg("%s: %s", name, error.message);
    free(text);
}

static void write_text(const char *name, const struct text *text)
{
    char path[1024];
    FILE *file;

    path_of(name, path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text->data, 1, (size_t)text->length, file), text->length);
    assert_int_equal(fclose(file), 0);
    print_message("written: %s\n", path);
}

static void compare_lines(const char *name, const char *found, const char *wanted)
{
    for (int line = 1; *found != '\0' || *wanted != '\0'; line++) {
        size_t a = strcspn(found, "\n"), b = strcspn(wanted, "\n");

        if (a != b || memcmp(found, wanted, a) != 0)
            fail_msg("%s.txt, line %d:\n  found  %.*s\n  wanted %.*s", name, line, (int)a, found, (int)b, wanted);
        found += a + (found[a] == '\n');
        wanted += b + (wanted[b] == '\n');
    }
}

void golden_compare(const char *name, struct text *text)
{
    assert_false(text->failed);
    if (getenv("LLMRUN_UPDATE_GOLDEN") != NULL) {
        write_text(name, text);
    } else {
        char *wanted = read_text(name);

        compare_lines(name, text->data, wanted);
        free(wanted);
    }
    text_finish(text);
}

void golden_compare_program(const char *name, const struct program *program)
{
    struct text text = {0};
    struct error error;

    if (program_verify(program, &error) != STATUS_OK)
        fail_msg("%s: %s", name, error.message);
    program_print(program, &text);
    golden_compare(name, &text);
}
