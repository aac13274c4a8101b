#include <stdio.h>
#include <string.h>

#include "config/keys.h"

enum {
    TRAIN = CONFIG_COMMAND_TRAIN,
    EVAL = CONFIG_COMMAND_EVAL,
    GENERATE = CONFIG_COMMAND_GENERATE,
    PLAN = CONFIG_COMMAND_PLAN,
    BENCH_STEP = CONFIG_COMMAND_BENCH_STEP,
    BENCH_GENERATE = CONFIG_COMMAND_BENCH_GENERATE,
    BENCH_GEMM = CONFIG_COMMAND_BENCH_GEMM,
    IMPORT = CONFIG_COMMAND_IMPORT
};

const unsigned config_key_commands[CONFIG_KEYS] = {
#define KEY_COMMANDS(section, name, commands) [CONFIG_KEY_##section##_##name] = (commands),
#include "config/commands.def"
};

/* A key without a row, or with two, does not compile. */
enum row {
#define KEY_COMMANDS(section, name, commands) ROW_##section##_##name,
#include "config/commands.def"
    ROWS
};
_Static_assert((int)ROWS == (int)CONFIG_KEYS, "every key of keys.def needs a row in commands.def");

static const char *const names[CONFIG_COMMANDS] = {"train",      "eval",           "generate",   "plan",
                                                   "bench step", "bench generate", "bench gemm", "checkpoint import"};

const char *config_command_name(int index)
{
    return names[index];
}

void config_command_list(enum config_key_id key, char *out, size_t bytes)
{
    unsigned left = config_key_commands[key];
    size_t used = 0;

    for (int i = 0; i < CONFIG_COMMANDS && used < bytes; i++) {
        if ((left >> i & 1) == 0)
            continue;
        left &= ~(1u << i);
        used += (size_t)snprintf(out + used, bytes - used, "%s%s",
                                 used == 0   ? ""
                                 : left != 0 ? ", "
                                             : " and ",
                                 names[i]);
    }
}

int config_check_command(enum config_key_id key, unsigned command, const char *place, struct error *error)
{
    char others[120];
    int index = 0;

    if (command == CONFIG_COMMAND_ANY || (config_key_commands[key] & command) != 0)
        return STATUS_OK;
    while (command >> index != 1)
        index++;
    config_command_list(key, others, sizeof others);
    return error_set(error, STATUS_USAGE, "%s: %s does not use %s, which is for %s; leave it out", place, names[index],
                     config_keys[key].dotted, others);
}
