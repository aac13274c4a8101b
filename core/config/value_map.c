/* Entries of model.overrides: names and values that only the model's family can judge. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/scalar.h"
#include "config/value.h"

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return name[0] != '\0' && name[strspn(name, letters)] == '\0';
}

/* Writes a scalar as JSON. Returns its kind. */
static enum config_pair_kind print_scalar(const struct document_node *node, struct text *out)
{
    char digits[40];
    int64_t whole;
    double number;

    if (!node->quoted && document_is_null(node)) {
        text_add(out, "null");
    } else if (!node->quoted && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        text_add(out, "%s", node->text);
    } else if (!node->quoted && scalar_integer(node->text, &whole)) {
        text_add(out, "%lld", (long long)whole);
    } else if (!node->quoted && scalar_number(node->text, &number)) {
        scalar_print_number(number, digits, sizeof digits);
        text_add(out, "%s", digits);
    } else {
        value_print_quoted(node->text, out);
        return CONFIG_PAIR_TEXT;
    }
    return CONFIG_PAIR_LITERAL;
}

/* Depth is bounded by the reader of documents. */
static void print_json(const struct document *document, int64_t index, struct text *out)
{
    const struct document_node *node = &document->nodes[index];

    if (node->kind == DOCUMENT_SCALAR) {
        print_scalar(node, out);
        return;
    }
    text_add(out, "%c", node->kind == DOCUMENT_LIST ? '[' : '{');
    for (int64_t i = node->first; i >= 0; i = document->nodes[i].next) {
        if (i != node->first)
            text_add(out, ", ");
        if (node->kind == DOCUMENT_MAP) {
            value_print_quoted(document->nodes[i].key, out);
            text_add(out, ": ");
        }
        print_json(document, i, out);
    }
    text_add(out, "%c", node->kind == DOCUMENT_LIST ? ']' : '}');
}

/* Text and kind of an entry; the text is the caller's. NULL when there is no memory. */
static char *entry_text(const struct document *document, int64_t index, enum config_pair_kind *kind)
{
    const struct document_node *node = &document->nodes[index];
    struct text out = {0};

    *kind = CONFIG_PAIR_JSON;
    if (node->kind == DOCUMENT_SCALAR)
        *kind = print_scalar(node, &out);
    else
        print_json(document, index, &out);
    if (out.failed || *kind == CONFIG_PAIR_TEXT) {
        text_finish(&out);
        return *kind == CONFIG_PAIR_TEXT ? strdup(node->text) : NULL;
    }
    return out.data;
}

int value_read_entry(struct config *config, enum config_key_id key, const char *name, const struct document *document,
                     int64_t index, struct config_source source, struct error *error)
{
    struct config_map *map = (struct config_map *)((char *)config + config_keys[key].offset);
    const struct document_node *node = &document->nodes[index];
    struct config_pair pair = {.source = source};
    struct config_pair *pairs;
    int64_t at = 0;

    if (!is_name(name))
        return document_error(document, node->key_line, node->key_column, error,
                              "%s.%.80s is no name of a key; letters, digits and _ are wanted", config_keys[key].dotted,
                              name);
    if (node->kind == DOCUMENT_SCALAR && !node->quoted && node->text[0] == '\0')
        return document_error(document, node->line, node->column, error, "%s.%.80s has no value; null is one",
                              config_keys[key].dotted, name);
    pairs = array_reserve(map->pairs, map->count, 1, &map->capacity, sizeof *pairs);
    pair.name = strdup(name);
    pair.text = entry_text(document, index, &pair.kind);
    if (pairs != NULL)
        map->pairs = pairs;
    if (pairs == NULL || pair.name == NULL || pair.text == NULL) {
        free(pair.name);
        free(pair.text);
        return error_set(error, STATUS_MEMORY, "%s: no memory for its value", config_keys[key].dotted);
    }
    while (at < map->count && strcmp(pairs[at].name, name) != 0)
        at++;
    if (at == map->count) {
        map->count++;
    } else {
        free(pairs[at].name);
        free(pairs[at].text);
    }
    pairs[at] = pair;
    config->sources[key] = source;
    return STATUS_OK;
}
