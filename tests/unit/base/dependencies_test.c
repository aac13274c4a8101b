/* The dependency table of docs/architecture.md, read from the #include lines: a folder includes its own headers, those
 * of the folders that its row names, and of what these need. The core includes nothing of backends/, a backend nothing
 * of core/. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"

#define MODULES        22
#define FILE_MAX_BYTES (8 << 20)

/* In the order of core/CMakeLists.txt; every module may use base. */
static const struct module {
    const char *name;
    const char *needs[5];
} modules[MODULES] = {
    {"base", {NULL}},
    {"tensor", {"base"}},
    {"config", {"tensor"}},
    {"program", {"tensor"}},
    {"schedule", {"base"}},
    {"passes", {"program", "schedule"}},
    {"model", {"program"}},
    {"compile", {"model", "passes"}},
    {"plugin", {"base"}},
    {"hal", {"plugin"}},
    {"dist", {"program", "plugin"}},
    {"runtime", {"compile", "hal", "dist"}},
    {"tokenizer", {"base"}},
    {"data", {"tokenizer"}},
    {"checkpoint", {"tensor"}},
    {"huggingface", {"model", "checkpoint"}},
    {"engine", {"runtime", "data", "huggingface", "config"}},
    {"conversion", {"engine"}},
    {"checkpointing", {"engine"}},
    {"train", {"checkpointing"}},
    {"bench", {"train", "conversion"}},
    {"cli", {"bench"}},
};

static int find(const char *name, size_t length)
{
    for (int i = 0; i < MODULES; i++)
        if (strlen(modules[i].name) == length && memcmp(modules[i].name, name, length) == 0)
            return i;
    return -1;
}

/* The modules that `module` may use: its row, followed to the end. */
static unsigned allowed_by(int module)
{
    unsigned mask = 1u << module | 1u; /* itself and base */

    for (int i = 0; modules[module].needs[i] != NULL; i++)
        mask |= allowed_by(find(modules[module].needs[i], strlen(modules[module].needs[i])));
    return mask;
}

typedef void include_check(const char *path, int line, const char *name, size_t length, int module);

/* Calls `check` for each #include of the file; `name` is what stands between the quotes or angles. */
static void scan_file(const char *path, include_check *check, int module)
{
    struct error error;
    char *text;
    int64_t bytes;
    int line = 1;

    if (file_read_all(&file_system_real, path, FILE_MAX_BYTES, &text, &bytes, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (const char *at = text; *at != '\0'; line++) {
        const char *end = at + strcspn(at, "\n"), *name = at + strspn(at, " \t");

        if (*name == '#' && strncmp(name + 1 + strspn(name + 1, " \t"), "include", 7) == 0) {
            name += strcspn(name, "\"<\n");
            if (*name == '"' || *name == '<')
                check(path, line, name + 1, strcspn(name + 1, "\">\n"), module);
        }
        at = *end == '\n' ? end + 1 : end;
    }
    free(text);
}

/* All .c, .h and .def files of a folder, with those below. Returns how many. */
static int scan_folder(const char *folder, include_check *check, int module)
{
    DIR *open = opendir(folder);
    const struct dirent *entry;
    int files = 0;

    if (open == NULL)
        fail_msg("%s cannot be read", folder);
    while ((entry = readdir(open)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        char path[2048];

        if (entry->d_name[0] == '.')
            continue;
        assert_true(file_join(path, sizeof path, folder, entry->d_name));
        if (entry->d_type == DT_DIR)
            files += scan_folder(path, check, module);
        else if (dot != NULL && (strcmp(dot, ".c") == 0 || strcmp(dot, ".h") == 0 || strcmp(dot, ".def") == 0)) {
            scan_file(path, check, module);
            files++;
        }
    }
    closedir(open);
    return files;
}

static void check_module(const char *path, int line, const char *name, size_t length, int module)
{
    size_t folder = strcspn(name, "/");
    int used = folder < length ? find(name, folder) : -1;

    if (used >= 0 && !(allowed_by(module) >> used & 1))
        fail_msg("%s:%d: %s does not need %s, so it cannot include \"%.*s\"", path, line, modules[module].name,
                 modules[used].name, (int)length, name);
    if (memmem(name, length, "backends/", 9) != NULL || memmem(name, length, "kernels/", 8) != NULL ||
        memmem(name, length, "../", 3) != NULL)
        fail_msg("%s:%d: the core includes \"%.*s\"", path, line, (int)length, name);
}

static void each_module_includes_what_its_row_names(void **state)
{
    (void)state;
    for (int i = 0; i < MODULES; i++) {
        char folder[1024];

        snprintf(folder, sizeof folder, "%s/%s%s", LLMRUN_SOURCE_DIR, i < MODULES - 2 ? "core/" : "", modules[i].name);
        assert_true(scan_folder(folder, check_module, i) > 0);
    }
}

static void every_folder_of_the_core_has_a_row(void **state)
{
    DIR *core = opendir(LLMRUN_SOURCE_DIR "/core");
    const struct dirent *entry;
    int folders = 0;

    (void)state;
    assert_non_null(core);
    while ((entry = readdir(core)) != NULL)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            if (find(entry->d_name, strlen(entry->d_name)) < 0)
                fail_msg("core/%s has no row in the dependency table", entry->d_name);
            folders++;
        }
    closedir(core);
    assert_int_equal(folders, MODULES - 2); /* and bench/, cli/ */
}

/* Backends have a folder runtime/ of their own, so what the core has by that name is told by its file. */
static void check_backend(const char *path, int line, const char *name, size_t length, int module)
{
    size_t folder = strcspn(name, "/");
    int used = folder < length ? find(name, folder) : -1;
    char core_header[1024];

    (void)module;
    snprintf(core_header, sizeof core_header, "%s/core/%.*s", LLMRUN_SOURCE_DIR, (int)length, name);
    if (used >= 0 && file_system_real.open(&file_system_real, core_header, FILE_READ) >= 0)
        fail_msg("%s:%d: a backend includes \"%.*s\" of the core", path, line, (int)length, name);
    if (memmem(name, length, "core/", 5) != NULL || memmem(name, length, "../", 3) != NULL)
        fail_msg("%s:%d: a backend includes \"%.*s\"", path, line, (int)length, name);
}

static void backends_include_nothing_of_the_core(void **state)
{
    (void)state;
    assert_true(scan_folder(LLMRUN_SOURCE_DIR "/backends", check_backend, 0) > 0);
}

/* plugin.h and op_check.h are code that plugins share: they may use the C library, and so none of the other headers
 * includes them. */
static void check_contract(const char *path, int line, const char *name, size_t length, int module)
{
    static const char *const libc[] = {"stdint.h", "stddef.h", "stdarg.h", "stdio.h", "string.h"};
    const bool is_code = strstr(path, "/plugin.h") != NULL || strstr(path, "/op_check.h") != NULL;
    bool allowed = strncmp(name, "llmrun/", 7) == 0 && strncmp(name, "llmrun/plugin.h", length) != 0;

    (void)module;
    for (int i = 0; i < (is_code ? 5 : 2); i++)
        allowed |= strncmp(name, libc[i], length) == 0;
    if (!allowed)
        fail_msg("%s:%d: the contract includes <%.*s>", path, line, (int)length, name);
}

static void the_contract_stands_alone(void **state)
{
    (void)state;
    assert_true(scan_folder(LLMRUN_SOURCE_DIR "/include", check_contract, 0) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_module_includes_what_its_row_names),
        cmocka_unit_test(every_folder_of_the_core_has_a_row),
        cmocka_unit_test(backends_include_nothing_of_the_core),
        cmocka_unit_test(the_contract_stands_alone),
    };

    return cmocka_run_group_tests_name("dependencies", tests, NULL, NULL);
}
