#include <stdio.h>
#include <string.h>

#include "config/value.h"

void config_source_text(const struct config *config, enum config_key_id key, char *out, int64_t bytes)
{
    const struct config_source *source = &config->sources[key];
    const char *dotted = source->alias != NULL ? source->alias : config_keys[key].dotted;

    if (source->level == CONFIG_FILE)
        snprintf(out, (size_t)bytes, "%s:%d", config->file, source->line);
    else if (source->level == CONFIG_ENVIRONMENT)
        config_variable(dotted, out, (size_t)bytes);
    else if (source->level == CONFIG_PATH)
        snprintf(out, (size_t)bytes, "model.path");
    else if (source->level == CONFIG_FLAG)
        snprintf(out, (size_t)bytes, "--%s", dotted);
    else
        snprintf(out, (size_t)bytes, "default");
}

char *config_value_text(const struct config *config, enum config_key_id key)
{
    struct text out = {0};

    value_print(config, key, &out);
    if (out.failed)
        text_finish(&out);
    return out.data;
}

/* A comment ends with its line: what YAML or a terminal would take for an end of it stands as '?'. */
static void add_comment(struct text *out, const char *place)
{
    for (; *place != '\0'; place++)
        text_add(out, "%c", (unsigned char)*place < 0x20 || *place == 0x7f ? '?' : *place);
}

int config_to_text(const struct config *config, bool sources, char **text, struct error *error)
{
    const char *section = "";
    struct text out = {0};
    char place[300];

    for (int key = 0; key < CONFIG_KEYS; key++) {
        const struct config_key *row = &config_keys[key];
        int64_t start;

        if (strcmp(section, row->section) != 0)
            text_add(&out, "%s:\n", row->section);
        section = row->section;
        start = out.length;
        text_add(&out, "  %s: ", row->name);
        value_print(config, (enum config_key_id)key, &out);
        if (sources) {
            int used = (int)(out.length - start);

            config_source_text(config, (enum config_key_id)key, place, sizeof place);
            text_add(&out, "%*s# ", used < 32 ? 32 - used : 2, "");
            add_comment(&out, place);
        }
        text_add(&out, "\n");
    }
    if (out.failed) {
        text_finish(&out);
        return error_set(error, STATUS_MEMORY, "no memory to write the config");
    }
    *text = out.data;
    return STATUS_OK;
}
