#include "options.h"

#include <errno.h>
#include <stdlib.h>

#include <llmrun/plugin.h>

enum kind { KIND_CHOICE, KIND_NUMBER, KIND_TEXT };

struct row {
    const char *key;
    const char *variable;
    const char *expected;
    enum kind kind;
    int64_t least, most;    /* of a number; of a text `most` bytes with its end */
    const char *choices[4]; /* their place is the value */
    size_t offset, bytes;   /* of the member */
};

#define MEMBER(name) offsetof(struct options, name), sizeof(((struct options *)0)->name)
#define DAY_US       INT64_C(86400000000)

static const struct row rows[] = {
    {"transport",
     "LLMRUN_HOST_TRANSPORT",
     "auto, shm or tcp",
     KIND_CHOICE,
     0,
     0,
     {"auto", "shm", "tcp"},
     MEMBER(transport)},
    {"direct", "LLMRUN_HOST_DIRECT", "0 or 1", KIND_CHOICE, 0, 0, {"0", "1"}, MEMBER(direct)},
    {"spin_us", "LLMRUN_HOST_SPIN_US", "0 to 1000000", KIND_NUMBER, 0, 1000000, {NULL}, MEMBER(spin_us)},
    {"throttle_mbps",
     "LLMRUN_HOST_THROTTLE_MBPS",
     "0 to 1000000000",
     KIND_NUMBER,
     0,
     1000000000,
     {NULL},
     MEMBER(throttle_mbps)},
    {"latency_us", "LLMRUN_HOST_LATENCY_US", "0 to 86400000000", KIND_NUMBER, 0, DAY_US, {NULL}, MEMBER(latency_us)},
    {"count", "LLMRUN_HOST_COUNT", "0 or 1", KIND_CHOICE, 0, 0, {"0", "1"}, MEMBER(count)},
    {"count_file",
     "LLMRUN_HOST_COUNT_FILE",
     "a path of up to 255 bytes",
     KIND_TEXT,
     0,
     256,
     {NULL},
     MEMBER(count_file)},
    {"address", "LLMRUN_HOST_ADDRESS", "a numeric address", KIND_TEXT, 0, 64, {NULL}, MEMBER(address)},
};

static void store(void *member, size_t bytes, int64_t value)
{
    const bool flag = value != 0;
    const int word = (int)value;

    if (bytes == sizeof flag)
        memcpy(member, &flag, bytes);
    else if (bytes == sizeof word)
        memcpy(member, &word, bytes);
    else
        memcpy(member, &value, bytes);
}

static bool parse_number(const struct row *row, const char *text, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value >= row->least &&
           *value <= row->most;
}

static bool parse(const struct row *row, const char *text, void *member)
{
    int64_t value = 0;

    switch (row->kind) {
    case KIND_TEXT:
        if (strlen(text) >= (size_t)row->most)
            return false;
        memcpy(member, text, strlen(text) + 1);
        return true;
    case KIND_NUMBER:
        if (!parse_number(row, text, &value))
            return false;
        break;
    case KIND_CHOICE:
        while (row->choices[value] != NULL && strcmp(row->choices[value], text) != 0)
            value++;
        if (row->choices[value] == NULL)
            return false;
        break;
    }
    store(member, row->bytes, value);
    return true;
}

int32_t options_read(const struct llmrun_communicator_desc *desc, struct options *options, struct llmrun_error *error)
{
    const struct llmrun_options given = {.size = sizeof given,
                                         .count = (uint32_t)desc->option_count,
                                         .items = desc->options,
                                         .stride = desc->option_bytes};

    *options = (struct options){.direct = true, .spin_us = -1};
    if (desc->option_count < 0 || desc->option_count > UINT32_MAX ||
        (desc->option_count > 0 && (desc->options == NULL || desc->option_bytes < LLMRUN_OPTION_MIN)))
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%lld options of %u bytes cannot be",
                           (long long)desc->option_count, (unsigned)desc->option_bytes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        const char *value = llmrun_option_value(&given, row->key), *name = row->key;

        if (value == NULL) {
            name = row->variable;
            value = getenv(name);
        }
        if (value != NULL && !parse(row, value, (char *)options + row->offset))
            return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s is '%.100s'; expected %s", name, value, row->expected);
    }
    return LLMRUN_OK;
}
