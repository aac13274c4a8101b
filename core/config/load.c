#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/edit_distance.h"
#include "base/file.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/precedence.h"
#include "config/value.h"

static int load_defaults(struct config *config, struct error *error)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *standard = config_keys[key].standard;
        int status = precedence_set(config, config_keys[key].dotted, "default", standard,
                                    (struct config_source){.level = CONFIG_DEFAULT}, error);

        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* The section that a mistyped name most likely means, or NULL. */
static const char *nearest_section(const char *name)
{
    const char *best = NULL;
    int best_distance = 0;

    for (const struct config_section *section = config_sections; section->name != NULL; section++) {
        int distance = edit_distance(name, section->name);

        if (edit_distance_is_typo(name, distance) && (best == NULL || distance < best_distance)) {
            best = section->name;
            best_distance = distance;
        }
    }
    return best;
}

static int unknown_section(const struct document *document, const struct document_node *node, struct error *error)
{
    const char *near = nearest_section(node->key);
    const char *dot = strchr(node->key, '.');
    char hint[160];

    if (dot != NULL && config_find_dotted(node->key) >= 0)
        return document_error(document, node->key_line, node->key_column, error,
                              "%s stands under its section in a file: write \"%.*s: {%s: ...}\"", node->key,
                              (int)(dot - node->key), node->key, dot + 1);
    if (near != NULL)
        return document_error(document, node->key_line, node->key_column, error,
                              "no section is called %.80s, did you mean %s?", node->key, near);
    config_hint(node->key, hint, sizeof hint);
    return document_error(document, node->key_line, node->key_column, error, "no section is called %.80s%s", node->key,
                          hint);
}

static int load_section(struct config *config, const struct document *document, const struct document_node *section,
                        struct error *error)
{
    char dotted[160], hint[160];

    if (document_is_null(section)) /* all its keys are commented out */
        return STATUS_OK;
    if (section->kind != DOCUMENT_MAP)
        return document_error(document, section->line, section->column, error, "%s is %s; a map of its keys is wanted",
                              section->key, section->kind == DOCUMENT_LIST ? "a list" : "one value");
    for (int64_t i = section->first; i >= 0; i = document->nodes[i].next) {
        const struct document_node *node = &document->nodes[i];
        struct config_source source = {.level = CONFIG_FILE, .line = node->line};
        const struct config_alias *alias;
        int key, status;

        snprintf(dotted, sizeof dotted, "%s.%s", section->key, node->key);
        key = config_find_dotted(dotted);
        if (key < 0) {
            config_hint(dotted, hint, sizeof hint);
            return document_error(document, node->key_line, node->key_column, error, "no key is called %s%s", dotted,
                                  hint);
        }
        alias = config_find_alias(dotted);
        source.alias = alias != NULL ? alias->dotted : NULL;
        status = value_read(config, (enum config_key_id)key, document, i, source, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static bool is_section(const char *name)
{
    const struct config_section *section = config_sections;

    while (section->name != NULL && strcmp(section->name, name) != 0)
        section++;
    return section->name != NULL;
}

static int load_document(struct config *config, const struct document *document, struct error *error)
{
    const struct document_node *root = document->nodes;
    int status = STATUS_OK;

    if (document->count == 0 || document_is_null(root))
        return STATUS_OK;
    if (root->kind != DOCUMENT_MAP)
        return document_error(document, root->line, root->column, error, "it holds %s; a map of sections is wanted",
                              root->kind == DOCUMENT_LIST ? "a list" : "one value");
    for (int64_t i = root->first; i >= 0 && status == STATUS_OK; i = document->nodes[i].next) {
        if (!is_section(document->nodes[i].key))
            return unknown_section(document, &document->nodes[i], error);
        status = load_section(config, document, &document->nodes[i], error);
    }
    return status;
}

static int load_file(struct config *config, const struct config_inputs *inputs, struct error *error)
{
    const char *name = inputs->file != NULL ? inputs->file : "config";
    const char *text = inputs->text;
    int64_t bytes = inputs->text_bytes;
    struct document document = {0};
    char *memory = NULL;
    int status;

    config->file = strdup(name);
    if (config->file == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory to read it", name);
    if (text == NULL) {
        status = file_read_all(&file_system_real, name, DOCUMENT_LARGEST_BYTES, &memory, &bytes, error);
        if (status == STATUS_INPUT) {
            error_prefix(error, "the config file could not be read");
            error->status = STATUS_USAGE;
            return STATUS_USAGE;
        }
        if (status != STATUS_OK)
            return status;
        text = memory;
    }
    status = document_parse(&document, config->file, true, text, bytes, error);
    if (status == STATUS_OK)
        status = load_document(config, &document, error);
    document_finish(&document);
    free(memory);
    return status;
}

int config_load(struct config *config, const struct config_inputs *inputs, struct error *error)
{
    struct error ignored;
    int status;

    if (error == NULL)
        error = &ignored;
    *config = (struct config){0};
    status = load_defaults(config, error);
    if (status == STATUS_OK && (inputs->file != NULL || inputs->text != NULL)) {
        status = load_file(config, inputs, error);
        if (status == STATUS_OK)
            status = precedence_end(config, CONFIG_FILE, error);
    }
    if (status == STATUS_OK)
        status = precedence_environment(config, inputs->command, inputs->environment, error);
    if (status == STATUS_OK)
        status = precedence_flags(config, inputs->flags, inputs->flag_count, error);
    if (status == STATUS_OK)
        status = config_follow_path(config, error);
    if (status == STATUS_OK)
        status = config_check(config, inputs->command, error);
    if (status != STATUS_OK)
        config_finish(config);
    return status;
}

bool config_is_given(const struct config *config, enum config_key_id key)
{
    return config->sources[key].level >= CONFIG_ENVIRONMENT;
}

void config_finish(struct config *config)
{
    for (int key = 0; key < CONFIG_KEYS; key++)
        value_clear(config, (enum config_key_id)key);
    free(config->file);
    *config = (struct config){0};
}
