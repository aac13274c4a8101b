#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/edit_distance.h"
#include "base/text.h"
#include "model/family.h"

#define EXTENT_MAX (1 << 30)
#define BASE_MAX   1e12

const struct key *keys_find(const struct model_family *family, const char *name)
{
    const struct key *key = family->keys;

    while (key->name != NULL && strcmp(key->name, name) != 0)
        key++;
    return key->name != NULL ? key : NULL;
}

const char *keys_name(const struct model_family *family, size_t offset)
{
    const struct key *key = family->keys;

    while (key->name != NULL && (key->offset != offset || key->kind > KEY_SWITCH))
        key++;
    return key->name;
}

static int set_extent(void *at, const struct key *key, const char *where, int wrong, const char *value,
                      struct error *error)
{
    char *end;
    long long number = strtoll(value, &end, 10);
    int64_t extent = number;

    if ((key->kind == KEY_OPTIONAL || key->kind == KEY_UNUSED) && strcmp(value, "null") == 0)
        extent = 0;
    else if (end == value || *end != '\0' || number < 1 || number > EXTENT_MAX)
        return error_set(error, wrong, "%s%s is '%.80s'; a whole number from 1 to %d is wanted", where, key->name,
                         value, EXTENT_MAX);
    memcpy(at, &extent, sizeof extent);
    return STATUS_OK;
}

static int set_real(void *at, const struct key *key, const char *where, int wrong, const char *value,
                    struct error *error)
{
    char *end;
    double number = strtod(value, &end);
    bool whole = end != value && *end == '\0';

    if (key->kind == KEY_FRACTION && (!whole || !(number > 0) || number > 1))
        return error_set(error, wrong, "%s%s is '%.80s'; a number above 0 and at most 1 is wanted", where, key->name,
                         value);
    if (key->kind == KEY_BASE && (!whole || !(number > 1) || number > BASE_MAX))
        return error_set(error, wrong, "%s%s is '%.80s'; a number above 1 and at most %g is wanted", where, key->name,
                         value, BASE_MAX);
    memcpy(at, &number, sizeof number);
    return STATUS_OK;
}

static int set_switch(void *at, const struct key *key, const char *where, int wrong, const char *value,
                      struct error *error)
{
    bool on = strcmp(value, "true") == 0;

    if (!on && strcmp(value, "false") != 0)
        return error_set(error, wrong, "%s%s is '%.80s'; true or false is wanted", where, key->name, value);
    memcpy(at, &on, sizeof on);
    return STATUS_OK;
}

/* "<where> has no key 'n_layr' for GPT-2, did you mean n_layer? The keys are ..." */
static int unknown_key(const struct model_family *family, const char *where, int wrong, const char *name,
                       struct error *error)
{
    const char *near = NULL;
    struct text all = {0};
    int nearest = 0;
    int status;

    for (const struct key *key = family->keys; key->name != NULL; key++) {
        int distance = edit_distance(name, key->name);

        if (edit_distance_is_typo(name, distance) && (near == NULL || distance < nearest)) {
            near = key->name;
            nearest = distance;
        }
        text_add(&all, "%s%s", key == family->keys ? "" : ", ", key->name);
    }
    status = error_set(error, wrong, "%s%.64s is no key of %s%s%s%s the keys are %s", where, name, family->name,
                       near != NULL ? ", did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : ";",
                       all.failed ? "in its config.json" : all.data);
    text_finish(&all);
    return status;
}

static bool is_one_of(const char *value, const char *names)
{
    const size_t length = strlen(value);

    for (; *names != '\0'; names += strcspn(names, "|"), names += *names == '|')
        if (strcspn(names, "|") == length && strncmp(names, value, length) == 0)
            return true;
    return false;
}

int model_set(struct model_config *config, const char *where, int wrong, const char *name, const char *value,
              struct error *error)
{
    const struct key *key = keys_find(config->family, name);
    int64_t unused;
    void *at;

    if (key == NULL)
        return unknown_key(config->family, where, wrong, name, error);
    at = (char *)config + key->offset;
    switch (key->kind) {
    case KEY_EXTENT:
    case KEY_OPTIONAL:
        return set_extent(at, key, where, wrong, value, error);
    case KEY_FRACTION:
    case KEY_BASE:
        return set_real(at, key, where, wrong, value, error);
    case KEY_SWITCH:
        return set_switch(at, key, where, wrong, value, error);
    case KEY_UNUSED:
        return set_extent(&unused, key, where, wrong, value, error);
    case KEY_ROPE:
        return keys_set_rope(config, where, wrong, name, value, error);
    case KEY_NAME:
    case KEY_FIXED:
        break;
    }
    if (is_one_of(value, key->fixed))
        return STATUS_OK;
    return error_set(error, wrong, "%s%s is '%.80s'; %s here has %.*s", where, name, value, config->family->name,
                     (int)strcspn(key->fixed, "|"), key->fixed);
}

int model_override(struct model_config *config, const char *key, const char *value, struct error *error)
{
    return model_set(config, "model.overrides.", STATUS_USAGE, key, value, error);
}
