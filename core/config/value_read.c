#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/scalar.h"
#include "config/value.h"

/* What is read, for the functions below. */
struct site {
    const struct config_key *key;
    const struct document *document;
    const struct document_node *node;
    struct error *error;
};

static int no_memory(const struct site *site)
{
    return error_set(site->error, STATUS_MEMORY, "%s: no memory for its value", site->key->dotted);
}

/* "train.steps is the text "x"; a whole number in [1, inf) is wanted" */
static int wrong_value(const struct site *site, const struct document_node *node)
{
    char wanted[400];
    const char *key = site->key->dotted;

    config_describe((enum config_key_id)(site->key - config_keys), wanted, sizeof wanted);
    if (node->kind != DOCUMENT_SCALAR)
        return document_error(site->document, node->line, node->column, site->error, "%s is %s; %s is wanted", key,
                              node->kind == DOCUMENT_LIST ? "a list" : "a map", wanted);
    if (document_is_null(node))
        return document_error(site->document, node->line, node->column, site->error, "%s has no value; %s is wanted",
                              key, wanted);
    if (node->quoted)
        return document_error(site->document, node->line, node->column, site->error,
                              "%s is the text \"%.80s\"; %s is wanted, without quotes", key, node->text, wanted);
    return document_error(site->document, node->line, node->column, site->error, "%s is %.80s; %s is wanted", key,
                          node->text, wanted);
}

static int not_built(const struct site *site, const char *feature)
{
    return document_error(site->document, site->node->line, site->node->column, site->error,
                          "%s is %.80s, but %s is not built yet; leave it at %s", site->key->dotted,
                          site->node->kind == DOCUMENT_SCALAR ? site->node->text : "set", feature,
                          site->key->standard[0] != '\0' ? site->key->standard : "\"\"");
}

static int read_text(const struct site *site, char **text)
{
    if (site->node->kind != DOCUMENT_SCALAR || document_is_null(site->node))
        return wrong_value(site, site->node);
    *text = strdup(site->node->text);
    return *text != NULL ? STATUS_OK : no_memory(site);
}

static int read_list(const struct site *site, struct config_list *list)
{
    const struct document_node *nodes = site->document->nodes, *node = site->node;
    int64_t first = node->kind == DOCUMENT_LIST ? node->first : node - nodes;
    int64_t count = 0;

    if (node->kind == DOCUMENT_MAP)
        return wrong_value(site, node);
    for (int64_t i = first; i >= 0; i = node->kind == DOCUMENT_LIST ? nodes[i].next : -1) {
        if (nodes[i].kind != DOCUMENT_SCALAR || document_is_null(&nodes[i]) || nodes[i].text[0] == '\0')
            return wrong_value(site, &nodes[i]);
        count++;
    }
    if (count == 0)
        return STATUS_OK;
    list->items = calloc((size_t)count, sizeof *list->items);
    if (list->items == NULL)
        return no_memory(site);
    for (int64_t i = first; list->count < count; i = nodes[i].next) {
        list->items[list->count] = strdup(nodes[i].text);
        if (list->items[list->count] == NULL)
            return no_memory(site);
        list->count++;
    }
    return STATUS_OK;
}

static int read_integer(const struct site *site, int64_t *value)
{
    const struct document_node *node = site->node;

    if (node->kind != DOCUMENT_SCALAR || node->quoted)
        return wrong_value(site, node);
    *value = 0;
    if (site->key->zero[0] != '\0' && strcmp(node->text, site->key->zero) == 0)
        return STATUS_OK;
    if (!scalar_integer(node->text, value) || !scalar_in_range((double)*value, site->key->range))
        return wrong_value(site, node);
    return STATUS_OK;
}

static int read_choice(const struct site *site, void *member)
{
    if (site->node->kind != DOCUMENT_SCALAR)
        return wrong_value(site, site->node);
    for (const struct config_choice *choice = config_choices; choice->text != NULL; choice++) {
        if (&config_keys[choice->key] != site->key || strcmp(choice->text, site->node->text) != 0)
            continue;
        if (choice->built[0] != '\0')
            return not_built(site, choice->built);
        memcpy(member, &choice->value, sizeof choice->value);
        return STATUS_OK;
    }
    return wrong_value(site, site->node);
}

/* A device computes with the nearest number of fp32, which may lie outside of the range: 0.99999999 is 1 there. */
static int check_single(const struct site *site, double value)
{
    const double single = (double)(float)value;

    if (scalar_in_range(single, site->key->range))
        return STATUS_OK;
    return document_error(site->document, site->node->line, site->node->column, site->error,
                          "%s is %.80s, which is %g in fp32; a number in %s is wanted", site->key->dotted,
                          site->node->text, single, site->key->range);
}

/* The scalars that are not choices of words: flags, numbers and times. */
static int read_plain(const struct site *site, void *member)
{
    const struct document_node *node = site->node;
    bool scalar = node->kind == DOCUMENT_SCALAR;

    if (site->key->type == CONFIG_TYPE_DURATION) {
        if (!scalar || document_is_null(node) || !scalar_duration(node->text, member))
            return wrong_value(site, node);
        return STATUS_OK;
    }
    if (!scalar || node->quoted)
        return wrong_value(site, node);
    if (site->key->type == CONFIG_TYPE_FLAG) {
        *(bool *)member = strcmp(node->text, "true") == 0;
        return *(bool *)member || strcmp(node->text, "false") == 0 ? STATUS_OK : wrong_value(site, node);
    }
    if (!scalar_number(node->text, member) || !scalar_in_range(*(double *)member, site->key->range))
        return wrong_value(site, node);
    return check_single(site, *(double *)member);
}

static int read_member(const struct site *site, struct config *config)
{
    void *member = (char *)config + site->key->offset;

    switch (site->key->type) {
    case CONFIG_TYPE_TEXT:
        return read_text(site, member);
    case CONFIG_TYPE_LIST:
        return read_list(site, member);
    case CONFIG_TYPE_INTEGER:
        return read_integer(site, member);
    case CONFIG_TYPE_CHOICE:
        return read_choice(site, member);
    default:
        return read_plain(site, member);
    }
}

/* A key whose feature is missing keeps its default. */
static int check_built(const struct site *site, const struct config *fresh)
{
    enum config_key_id key = (enum config_key_id)(site->key - config_keys);
    const char *text = site->key->standard[0] != '\0' ? site->key->standard : "\"\"";
    struct config standard = {0};
    struct document document;
    int status;

    if (site->key->built[0] == '\0')
        return STATUS_OK;
    status = document_parse(&document, "default", false, text, (int64_t)strlen(text), site->error);
    if (status != STATUS_OK)
        return status;
    status = read_member(&(struct site){site->key, &document, document.nodes, site->error}, &standard);
    if (status == STATUS_OK && !value_same(fresh, &standard, key))
        status = not_built(site, site->key->built);
    value_clear(&standard, key);
    document_finish(&document);
    return status;
}

static size_t member_bytes(enum config_type type)
{
    static const size_t bytes[] = {
        [CONFIG_TYPE_TEXT] = sizeof(char *),           [CONFIG_TYPE_LIST] = sizeof(struct config_list),
        [CONFIG_TYPE_MAP] = sizeof(struct config_map), [CONFIG_TYPE_FLAG] = sizeof(bool),
        [CONFIG_TYPE_INTEGER] = sizeof(int64_t),       [CONFIG_TYPE_NUMBER] = sizeof(double),
        [CONFIG_TYPE_DURATION] = sizeof(int64_t),      [CONFIG_TYPE_CHOICE] = sizeof(int),
    };

    return bytes[type];
}

int value_read(struct config *config, enum config_key_id key, const struct document *document, int64_t node,
               struct config_source source, struct error *error)
{
    const struct site site = {&config_keys[key], document, &document->nodes[node], error};
    const struct config_source *before = &config->sources[key];
    struct config fresh = {0};
    int status;

    if (source.level != CONFIG_DEFAULT && before->level == source.level &&
        (before->alias == NULL) != (source.alias == NULL))
        return document_error(document, site.node->line, site.node->column, error,
                              "%s, formerly %s, is set by both names; leave the former one out", site.key->dotted,
                              source.alias != NULL ? source.alias : before->alias);
    if (site.key->type == CONFIG_TYPE_MAP) {
        if (site.node->kind != DOCUMENT_MAP)
            return wrong_value(&site, site.node);
        for (int64_t i = site.node->first; i >= 0; i = document->nodes[i].next) {
            status = value_read_entry(config, key, document->nodes[i].key, document, i, source, error);
            if (status != STATUS_OK)
                return status;
        }
        config->sources[key] = source;
        return STATUS_OK;
    }
    status = read_member(&site, &fresh);
    if (status == STATUS_OK)
        status = check_built(&site, &fresh);
    if (status == STATUS_OK) {
        value_clear(config, key);
        memcpy((char *)config + site.key->offset, (char *)&fresh + site.key->offset, member_bytes(site.key->type));
        config->sources[key] = source;
    } else {
        value_clear(&fresh, key);
    }
    return status;
}
