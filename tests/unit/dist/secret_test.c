/* Where the secret of a job comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/secret.h"

static char *const nothing[] = {NULL};
static char folder[] = "/tmp/llmrun-secret-XXXXXX", path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/.secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text, int mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void each_made_secret_is_another_one_of_64_digits(void **state)
{
    char one[SECRET_TEXT_BYTES], two[SECRET_TEXT_BYTES];
    struct error error;

    (void)state;
    assert_int_equal(secret_make(one, &error), STATUS_OK);
    assert_int_equal(secret_make(two, &error), STATUS_OK);
    assert_int_equal(strspn(one, "0123456789abcdef"), 64);
    assert_int_equal(strlen(one), 64);
    assert_string_not_equal(one, two);
}

static void the_variable_comes_before_the_file(void **state)
{
    char *const variables[] = {"LLMRUN_SECRET=a secret of the environment", NULL};
    char text[SECRET_TEXT_BYTES];
    struct error error;

    (void)state;
    write_file("a secret of the file\n", 0600);
    assert_int_equal(secret_find(variables, folder, text, &error), STATUS_OK);
    assert_string_equal(text, "a secret of the environment");
    assert_int_equal(secret_find(nothing, folder, text, &error), STATUS_OK);
    assert_string_equal(text, "a secret of the file");
}

static void a_refusal_says_what_to_do(void **state)
{
    char text[SECRET_TEXT_BYTES];
    struct error error;

    (void)state;
    unlink(path);
    assert_int_equal(secret_find(nothing, NULL, text, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "export LLMRUN_SECRET=$(openssl rand -hex 32)"));
    assert_null(strstr(error.message, ".secret"));
    assert_int_equal(secret_find(nothing, "", text, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "RUN_DIR/.secret"));
    assert_int_equal(secret_find(nothing, folder, text, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, path));
    assert_non_null(strstr(error.message, "0600"));
}

static void a_file_that_others_can_use_is_refused(void **state)
{
    static const int modes[] = {0640, 0604, 0620, 0666, 0601};
    char text[SECRET_TEXT_BYTES], wanted[32];
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file("a secret of the file\n", modes[i]);
        snprintf(wanted, sizeof wanted, "has mode %04o", modes[i]);
        assert_int_equal(secret_find(nothing, folder, text, &error), STATUS_USAGE);
        assert_non_null(strstr(error.message, wanted));
        assert_null(strstr(error.message, "a secret of the file"));
    }
}

static void a_link_and_a_folder_are_no_secret(void **state)
{
    char text[SECRET_TEXT_BYTES];
    struct error error;

    (void)state;
    unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(secret_find(nothing, folder, text, &error), STATUS_USAGE);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(secret_find(nothing, folder, text, &error), STATUS_USAGE);
    assert_int_equal(rmdir(path), 0);
}

static void a_secret_has_16_to_256_characters(void **state)
{
    char variable[400] = "LLMRUN_SECRET=", text[SECRET_TEXT_BYTES];
    char *const variables[] = {variable, NULL};
    struct error error;

    (void)state;
    for (size_t length = 1; length <= 300; length++) {
        memset(variable + 14, 'x', length);
        variable[14 + length] = '\0';
        assert_int_equal(secret_find(variables, NULL, text, &error),
                         length >= 16 && length <= 256 ? STATUS_OK : STATUS_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_made_secret_is_another_one_of_64_digits),
        cmocka_unit_test(the_variable_comes_before_the_file),
        cmocka_unit_test(a_refusal_says_what_to_do),
        cmocka_unit_test(a_file_that_others_can_use_is_refused),
        cmocka_unit_test(a_link_and_a_folder_are_no_secret),
        cmocka_unit_test(a_secret_has_16_to_256_characters),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
