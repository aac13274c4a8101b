#include "data/jsonl.h"

#include <jansson.h>
#include <string.h>

static int take_string(json_t *object, const char *name, const char **text, int64_t *bytes, struct error *error)
{
    json_t *value = json_object_get(object, name);

    if (!json_is_string(value))
        return error_set(error, STATUS_INPUT, "the field '%s' is not a string", name);
    *text = json_string_value(value);
    *bytes = (int64_t)json_string_length(value);
    return STATUS_OK;
}

static int take_fields(json_t *object, struct jsonl_document *document, struct error *error)
{
    int has_text, has_prompt, has_answer, result;

    if (!json_is_object(object))
        return error_set(error, STATUS_INPUT, "the line is not an object");
    has_text = json_object_get(object, "text") != NULL;
    has_prompt = json_object_get(object, "prompt") != NULL;
    has_answer = json_object_get(object, "answer") != NULL;
    if (has_text && (has_prompt || has_answer))
        return error_set(error, STATUS_INPUT, "the object has 'text' and also 'prompt' or 'answer'; keep one kind");
    if (has_text)
        return take_string(object, "text", &document->answer, &document->answer_bytes, error);
    if (!has_prompt && !has_answer)
        return error_set(error, STATUS_INPUT, "the object has neither 'text' nor 'prompt' and 'answer'");
    if (!has_prompt || !has_answer)
        return error_set(error, STATUS_INPUT, "the object has '%s' without '%s'", has_prompt ? "prompt" : "answer",
                         has_prompt ? "answer" : "prompt");
    result = take_string(object, "prompt", &document->prompt, &document->prompt_bytes, error);
    if (result == STATUS_OK)
        result = take_string(object, "answer", &document->answer, &document->answer_bytes, error);
    return result;
}

int jsonl_parse(const char *line, int64_t bytes, struct jsonl_document *document, struct error *error)
{
    json_error_t where;

    memset(document, 0, sizeof *document);
    document->object = json_loadb(line, (size_t)bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (document->object == NULL)
        return error_set(error, STATUS_INPUT, "column %d: %s", where.column, where.text);
    return take_fields(document->object, document, error);
}

void jsonl_release(struct jsonl_document *document)
{
    json_decref(document->object);
    memset(document, 0, sizeof *document);
}
