#include "checkpoint/state.h"

#include <math.h>
#include <stdio.h>

void checkpoint_state_finish(struct checkpoint_state *state)
{
    json_decref(state->object);
    state->object = NULL;
}

/* Takes over `value`, which is NULL when it could not be made. */
static int set(struct checkpoint_state *state, const char *key, json_t *value, struct error *error)
{
    if (state->object == NULL && (state->object = json_object()) == NULL) {
        json_decref(value);
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's state");
    }
    if (json_object_set_new(state->object, key, value) != 0)
        return error_set(error, STATUS_BUG,
                         "the state '%.100s' cannot be stored: its key or value is no UTF-8 text, or "
                         "no finite number",
                         key);
    return STATUS_OK;
}

int checkpoint_state_set_text(struct checkpoint_state *state, const char *key, const char *text, struct error *error)
{
    return set(state, key, json_string(text), error);
}

int checkpoint_state_set_integer(struct checkpoint_state *state, const char *key, int64_t value, struct error *error)
{
    return set(state, key, json_integer(value), error);
}

int checkpoint_state_set_number(struct checkpoint_state *state, const char *key, double value, struct error *error)
{
    return set(state, key, isfinite(value) ? json_real(value) : NULL, error);
}

const char *checkpoint_state_text(const struct checkpoint_state *state, const char *key)
{
    return json_string_value(json_object_get(state->object, key));
}

bool checkpoint_state_integer(const struct checkpoint_state *state, const char *key, int64_t *value)
{
    const json_t *found = json_object_get(state->object, key);

    if (!json_is_integer(found))
        return false;
    *value = json_integer_value(found);
    return true;
}

bool checkpoint_state_number(const struct checkpoint_state *state, const char *key, double *value)
{
    const json_t *found = json_object_get(state->object, key);

    if (!json_is_real(found))
        return false;
    *value = json_real_value(found);
    return true;
}

int checkpoint_state_copy(const struct checkpoint_state *source, struct checkpoint_state *target, struct error *error)
{
    target->object = NULL;
    if (source->object != NULL && (target->object = json_deep_copy(source->object)) == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's state");
    return STATUS_OK;
}

static const char *value_text(const json_t *value, char text[64])
{
    if (json_is_string(value))
        snprintf(text, 64, "'%.61s'", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, 64, "%lld", (long long)json_integer_value(value));
    else
        snprintf(text, 64, "%.17g", json_real_value(value));
    return text;
}

int checkpoint_state_match(const struct checkpoint_state *saved, const struct checkpoint_state *wanted,
                           struct error *error)
{
    char before[64], now[64];
    const char *key;
    json_t *value;

    json_object_foreach(wanted->object, key, value)
    {
        const json_t *old = json_object_get(saved->object, key);

        if (old == NULL)
            return error_set(error, STATUS_USAGE, "%s: the checkpoint does not record it, this run has %s", key,
                             value_text(value, now));
        if (!json_equal(old, value))
            return error_set(error, STATUS_USAGE,
                             "%s: the checkpoint was made with %s, this run has %s; resume with the same value or "
                             "start a new run",
                             key, value_text(old, before), value_text(value, now));
    }
    return STATUS_OK;
}
