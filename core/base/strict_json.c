#include "base/strict_json.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* jansson reports an allocation that failed as a syntax error, or not at all. */
static _Thread_local bool lacked_memory;

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);

    lacked_memory |= memory == NULL;
    return memory;
}

static void watch(void)
{
    json_set_alloc_funcs(allocate, free);
}

void strict_json_watch_memory(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
    lacked_memory = false;
}

bool strict_json_lacked_memory(void)
{
    return lacked_memory;
}

/* jansson parses by recursion, so the depth is bounded before it sees the text. */
static int check_depth(const char *text, int64_t bytes, const char *source, struct error *error)
{
    int depth = 0;
    bool quoted = false;

    for (int64_t i = 0; i < bytes; i++) {
        if (quoted) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                quoted = false;
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > STRICT_JSON_DEPTH)
                return error_set(error, STATUS_INPUT, "%s: JSON nested deeper than %d at byte %lld", source,
                                 STRICT_JSON_DEPTH, (long long)i);
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return STATUS_OK;
}

int strict_json_check(const char *text, int64_t bytes, const char *source, struct error *error)
{
    const char *nul = memchr(text, '\0', (size_t)bytes);

    /* jansson would pass over it. */
    if (nul != NULL)
        return error_set(error, STATUS_INPUT, "%s: not valid JSON at byte %lld: it is a NUL", source,
                         (long long)(nul - text));
    return check_depth(text, bytes, source, error);
}

static int parse(const char *text, int64_t bytes, size_t flags, const char *source, json_t **root, struct error *error)
{
    json_error_t problem;
    int result = strict_json_check(text, bytes, source, error);

    if (result != STATUS_OK)
        return result;
    strict_json_watch_memory();
    *root = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES | flags, &problem);
    /* What it gives may lack a part of a text then. */
    if (lacked_memory) {
        json_decref(*root);
        *root = NULL;
        return error_set(error, STATUS_MEMORY, "%s: no memory to parse its %lld bytes", source, (long long)bytes);
    }
    if (*root == NULL)
        return error_set(error, STATUS_INPUT, "%s: not valid JSON at byte %d: %s", source, problem.position,
                         problem.text);
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return error_set(error, STATUS_INPUT, "%s: the JSON text is no object", source);
    }
    return STATUS_OK;
}

int strict_json_parse(const char *text, int64_t bytes, const char *source, json_t **root, struct error *error)
{
    return parse(text, bytes, 0, source, root, error);
}

int strict_json_parse_reals(const char *text, int64_t bytes, const char *source, json_t **root, struct error *error)
{
    return parse(text, bytes, JSON_DECODE_INT_AS_REAL, source, root, error);
}

static int wrong_member(const json_t *value, const char *key, const char *source, const char *wanted,
                        struct error *error)
{
    return error_set(error, STATUS_INPUT, "%s: '%.100s' %s; %s is wanted", source, key,
                     value == NULL ? "is missing" : "has the wrong type", wanted);
}

int strict_json_text(const json_t *object, const char *key, const char *source, const char **text, struct error *error)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return wrong_member(value, key, source, "a text", error);
    *text = json_string_value(value);
    return STATUS_OK;
}

int strict_json_integer(const json_t *object, const char *key, const char *source, int64_t minimum, int64_t *value,
                        struct error *error)
{
    const json_t *member = json_object_get(object, key);

    if (!json_is_integer(member))
        return wrong_member(member, key, source, "an integer", error);
    *value = json_integer_value(member);
    if (*value < minimum)
        return error_set(error, STATUS_INPUT, "%s: '%.100s' is %lld; it must be at least %lld", source, key,
                         (long long)*value, (long long)minimum);
    return STATUS_OK;
}

int strict_json_array(const json_t *object, const char *key, const char *source, json_t **array, struct error *error)
{
    *array = json_object_get(object, key);
    return json_is_array(*array) ? STATUS_OK : wrong_member(*array, key, source, "an array", error);
}

int strict_json_object(const json_t *object, const char *key, const char *source, json_t **value, struct error *error)
{
    *value = json_object_get(object, key);
    return json_is_object(*value) ? STATUS_OK : wrong_member(*value, key, source, "an object", error);
}
