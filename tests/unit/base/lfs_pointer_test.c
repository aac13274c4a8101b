/* The first text is the example of the specification, docs/spec.md of git-lfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/lfs_pointer.h"

#define OID   "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
#define PLAIN "version https://git-lfs.github.com/spec/v1\n" OID "size 12345\n"

static void pointers_are_recognised_with_their_extensions_old_name_and_other_line_ends(void **state)
{
    static const char *const pointers[] = {
        PLAIN,
        "version https://git-lfs.github.com/spec/v1\next-0-foo sha256:00\n" OID "size 12345\n",
        "version https://hawser.github.com/spec/v1\n" OID "size 12345\n",
        "version https://git-lfs.github.com/spec/v1\r\noid sha256:4d7a\r\nsize 12345\r\n",
        "version https://git-lfs.github.com/spec/v1\n" OID "size 12345",
    };

    (void)state;
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        struct error error = {0};

        assert_int_equal(lfs_pointer_refuse("w/model.safetensors", pointers[i], (int64_t)strlen(pointers[i]), &error),
                         STATUS_INPUT);
        assert_non_null(strstr(error.message, "w/model.safetensors is a Git LFS pointer"));
        assert_non_null(strstr(error.message, "12345 bytes"));
        assert_non_null(strstr(error.message, "git lfs pull"));
    }
}

static void texts_that_speak_of_pointers_are_none(void **state)
{
    static const char *const texts[] = {
        "",
        "version",
        "version https://git-lfs.github.com/spec/v1\n",
        "version https://git-lfs.github.com/spec/v1 is the first line of a pointer.\n",
        "\nversion https://git-lfs.github.com/spec/v1\n" OID "size 12345\n",
        "{\"text\": \"version https://git-lfs.github.com/spec/v1\"}\n",
    };
    char longer[LFS_POINTER_LIMIT + 1];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(lfs_pointer_refuse("a.txt", texts[i], (int64_t)strlen(texts[i]), NULL), STATUS_OK);
    snprintf(longer, sizeof longer, "%s%*s", PLAIN, (int)(LFS_POINTER_LIMIT - strlen(PLAIN)), "");
    assert_int_equal(strlen(longer), LFS_POINTER_LIMIT);
    assert_int_equal(lfs_pointer_refuse("a.txt", longer, LFS_POINTER_LIMIT, NULL), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_are_recognised_with_their_extensions_old_name_and_other_line_ends),
        cmocka_unit_test(texts_that_speak_of_pointers_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
