/* rope_scaling as transformers 4 writes it, and rope_parameters as transformers 5 does. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "model/keys.h"

#define NUMBER_MAX 1e12

/* What the object holds; 0 where a number is absent. */
struct rope_object {
    const char *type;
    double factor, low_freq_factor, high_freq_factor, original, theta, rotated;
};

static int read_number(const json_t *value, const char *place, int wrong, double *out, struct error *error)
{
    double number = json_number_value(value);

    if (!json_is_number(value) || !(number > 0) || number > NUMBER_MAX)
        return error_set(error, wrong, "%s is not a number above 0 and at most %g", place, NUMBER_MAX);
    *out = number;
    return STATUS_OK;
}

/* Both spellings may stand there, as some writers have it, if they agree. */
static int read_type(const json_t *value, const char *place, int wrong, const char **type, struct error *error)
{
    if (!json_is_string(value))
        return error_set(error, wrong, "%s is not a string", place);
    if (*type != NULL && strcmp(*type, json_string_value(value)) != 0)
        return error_set(error, wrong, "%s is '%.40s', the other spelling has '%.40s'", place, json_string_value(value),
                         *type);
    *type = json_string_value(value);
    return STATUS_OK;
}

static int read_object(const json_t *object, const char *where, int wrong, const char *key, struct rope_object *out,
                       struct error *error)
{
    const struct {
        const char *name;
        double *number;
    } numbers[] = {{"factor", &out->factor},
                   {"low_freq_factor", &out->low_freq_factor},
                   {"high_freq_factor", &out->high_freq_factor},
                   {"original_max_position_embeddings", &out->original},
                   {"rope_theta", &out->theta},
                   {"partial_rotary_factor", &out->rotated}};
    const size_t known = sizeof numbers / sizeof numbers[0];
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        char place[256];
        size_t i = 0;
        int status = STATUS_OK;

        if (json_is_null(value))
            continue;
        snprintf(place, sizeof place, "%.120s%s.%.60s", where, key, name);
        while (i < known && strcmp(numbers[i].name, name) != 0)
            i++;
        if (i < known)
            status = read_number(value, place, wrong, numbers[i].number, error);
        else if (strcmp(name, "rope_type") != 0 && strcmp(name, "type") != 0)
            status = error_set(error, wrong, "%s is no key that is known here", place);
        else
            status = read_type(value, place, wrong, &out->type, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static int missing(const char *where, int wrong, const char *key, const char *type, const char *name,
                   struct error *error)
{
    return error_set(error, wrong, "%s%s has no %s, which %s scaling needs", where, key, name, type);
}

static int take(struct model_config *config, const struct rope_object *rope, const char *where, int wrong,
                const char *key, struct error *error)
{
    const char *type = rope->type != NULL ? rope->type : "default";
    struct model_config made = *config;

    made.rope_scaling = ROPE_UNSCALED;
    made.rope_factor = rope->factor;
    made.rope_low_freq_factor = rope->low_freq_factor;
    made.rope_high_freq_factor = rope->high_freq_factor;
    made.rope_original_positions = (int64_t)rope->original;
    if (rope->original != (double)made.rope_original_positions)
        return error_set(error, wrong, "%s%s.original_max_position_embeddings is %g; a whole number is wanted", where,
                         key, rope->original);
    if (rope->rotated > 0 && rope->rotated != 1)
        return error_set(error, wrong, "%s%s.partial_rotary_factor is %g; heads are turned whole here, which is 1",
                         where, key, rope->rotated);
    if (rope->theta > 0)
        made.rope_theta = rope->theta;
    if (strcmp(type, "linear") == 0) {
        made.rope_scaling = ROPE_LINEAR;
    } else if (strcmp(type, "llama3") == 0) {
        made.rope_scaling = ROPE_LLAMA3;
    } else if (strcmp(type, "default") != 0) {
        return error_set(error, wrong, "%s%s has rope_type '%.40s'; default, linear and llama3 are computed here",
                         where, key, type);
    }
    if (made.rope_scaling != ROPE_UNSCALED && !(rope->factor >= 1))
        return rope->factor > 0
                   ? error_set(error, wrong, "%s%s.factor is %g; at least 1 is wanted", where, key, rope->factor)
                   : missing(where, wrong, key, type, "factor", error);
    if (made.rope_scaling == ROPE_LLAMA3) {
        if (!(rope->original > 0))
            return missing(where, wrong, key, type, "original_max_position_embeddings", error);
        if (!(rope->low_freq_factor > 0))
            return missing(where, wrong, key, type, "low_freq_factor", error);
        if (!(rope->high_freq_factor > rope->low_freq_factor))
            return error_set(error, wrong, "%s%s.high_freq_factor is %g; more than the low_freq_factor %g is wanted",
                             where, key, rope->high_freq_factor, rope->low_freq_factor);
    }
    *config = made;
    return STATUS_OK;
}

int keys_set_rope(struct model_config *config, const char *where, int wrong, const char *key, const char *value,
                  struct error *error)
{
    struct rope_object rope = {.type = NULL};
    json_t *object = json_loads(value, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    int status;

    if (json_is_null(object))
        status = take(config, &rope, where, wrong, key, error);
    else if (!json_is_object(object))
        status = error_set(error, wrong, "%s%s is '%.80s'; an object such as {rope_type: linear, factor: 2} is wanted",
                           where, key, value);
    else {
        status = read_object(object, where, wrong, key, &rope, error);
        if (status == STATUS_OK)
            status = take(config, &rope, where, wrong, key, error);
    }
    json_decref(object);
    return status;
}
