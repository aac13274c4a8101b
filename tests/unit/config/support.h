/* Loading a config from texts, and looking at the outcome. */
#ifndef TESTS_UNIT_CONFIG_SUPPORT_H
#define TESTS_UNIT_CONFIG_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

/* Flags as KEY, VALUE, KEY, VALUE, NULL. */
static inline int load(struct config *config, const char *yaml, char *const *environment, const char *const *words,
                       struct error *error)
{
    struct config_flag flags[16];
    struct config_inputs inputs = {.environment = environment, .flags = flags};

    if (yaml != NULL) {
        inputs.file = "run.yaml";
        inputs.text = yaml;
        inputs.text_bytes = (int64_t)strlen(yaml);
    }
    for (; words != NULL && words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    return config_load(config, &inputs, error);
}

#define FLAGS(...)       ((const char *const[]){__VA_ARGS__, NULL})
#define ENVIRONMENT(...) ((char *const[]){__VA_ARGS__, NULL})

static inline struct config load_well(const char *yaml, char *const *environment, const char *const *words)
{
    struct config config;
    struct error error = {0};

    if (load(&config, yaml, environment, words, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return config;
}

/* Loading must end with STATUS_USAGE and exactly this sentence. */
static inline void assert_refused(const char *yaml, char *const *environment, const char *const *words,
                                  const char *sentence)
{
    struct config config;
    struct error error = {0};

    assert_int_equal(load(&config, yaml, environment, words, &error), STATUS_USAGE);
    assert_string_equal(error.message, sentence);
    assert_int_equal(error.status, STATUS_USAGE);
}

#endif
