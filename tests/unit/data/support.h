/* Small token sets and files for the tests of core/data. */
#ifndef LLMRUN_TESTS_DATA_SUPPORT_H
#define LLMRUN_TESTS_DATA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/token_set.h"
#include "scratch.h"

/* Documents with the given lengths; their tokens count up from 1, so a token says its place. */
static inline void make_token_set(struct token_set *set, int32_t vocabulary, const int64_t *lengths, int64_t documents)
{
    int32_t next = 1;
    int64_t document, index;

    token_set_start(set, vocabulary);
    for (document = 0; document < documents; document++) {
        assert_int_equal(token_set_open_document(set, NULL), STATUS_OK);
        for (index = 0; index < lengths[document]; index++, next++)
            assert_int_equal(token_set_append(set, &next, 1, NULL), STATUS_OK);
    }
    token_set_close(set);
}

/* A fresh folder. */
static inline void make_test_folder(char *path, size_t bytes)
{
    assert_true(scratch_make(path, bytes));
}

static inline void write_bytes(const char *folder, const char *name, const void *data, size_t bytes)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *folder, const char *name, const char *text)
{
    write_bytes(folder, name, text, strlen(text));
}

#endif
