#include "checkpoint/state.h"

#include "base/strict_json.h"

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
    if (json_object_set_new(state->object, key, value) == 0)
        return STATUS_OK;
    if (strict_json_lacked_memory())
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's state '%.100s'", key);
    return error_set(error, STATUS_BUG, "the state '%.100s' cannot be stored: its key or value is no UTF-8 text", key);
}

int checkpoint_state_set_text(struct checkpoint_state *state, const char *key, const char *text, struct error *error)
{
    strict_json_watch_memory();
    return set(state, key, json_string(text), error);
}

int checkpoint_state_set_integer(struct checkpoint_state *state, const char *key, int64_t value, struct error *error)
{
    strict_json_watch_memory();
    return set(state, key, json_integer(value), error);
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

int checkpoint_state_copy(const struct checkpoint_state *source, struct checkpoint_state *target, struct error *error)
{
    target->object = NULL;
    if (source->object != NULL && (target->object = json_deep_copy(source->object)) == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's state");
    return STATUS_OK;
}
