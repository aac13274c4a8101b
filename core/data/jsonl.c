#include "data/jsonl.h"

#include <stdlib.h>
#include <string.h>

#include "data/json_scan.h"

/* The fields that are read. */
enum field { TEXT, PROMPT, ANSWER, FIELDS };
static const char *const names[FIELDS] = {"text", "prompt", "answer"};

struct line {
    struct json_scan scan;
    bool found[FIELDS];
    bool is_string[FIELDS];
    struct json_raw values[FIELDS]; /* of those that are strings */
};

static int refuse(const struct line *line, struct error *error)
{
    if (line->scan.at == line->scan.end)
        return error_set(error, STATUS_INPUT,
                         "the line ends within its object; write each object on a line of its own");
    return error_set(error, STATUS_INPUT, "column %lld: %s", (long long)(line->scan.at - line->scan.begin + 1),
                     line->scan.problem);
}

/* FIELDS for a name that is not one of them. */
static enum field field_of(struct json_raw name)
{
    char decoded[6 * 6]; /* six characters, each an escape */
    int64_t bytes = name.end - name.begin;
    const char *text = name.begin, *wrong;
    int field;

    if (bytes > (int64_t)sizeof decoded)
        return FIELDS;
    if (name.escaped) {
        if (!json_scan_decode(name, decoded, &bytes, &wrong))
            return FIELDS;
        text = decoded;
    }
    for (field = 0; field < FIELDS; field++)
        if ((int64_t)strlen(names[field]) == bytes && memcmp(names[field], text, (size_t)bytes) == 0)
            break;
    return (enum field)field;
}

static int read_field(struct line *line, struct error *error)
{
    struct json_raw name;
    enum field field;

    if (!json_scan_string(&line->scan, &name))
        return refuse(line, error);
    field = field_of(name);
    if (!json_scan_mark(&line->scan, ':'))
        return refuse(line, error);
    if (field < FIELDS) {
        if (line->found[field])
            return error_set(error, STATUS_INPUT, "column %lld: the field '%s' stands twice",
                             (long long)(name.begin - line->scan.begin), names[field]);
        line->found[field] = true;
        json_scan_space(&line->scan);
        line->is_string[field] = line->scan.at < line->scan.end && *line->scan.at == '"';
        if (line->is_string[field])
            return json_scan_string(&line->scan, &line->values[field]) ? STATUS_OK : refuse(line, error);
    }
    return json_scan_value(&line->scan) ? STATUS_OK : refuse(line, error);
}

static int read_object(struct line *line, struct error *error)
{
    int status = STATUS_OK;

    if (!json_scan_takes(&line->scan, '{'))
        return error_set(error, STATUS_INPUT, "the line is not an object%s",
                         line->scan.at < line->scan.end && *line->scan.at == '['
                             ? " but an array; write each object on a line of its own"
                             : "");
    if (!json_scan_takes(&line->scan, '}')) {
        do
            status = read_field(line, error);
        while (status == STATUS_OK && json_scan_takes(&line->scan, ','));
        if (status == STATUS_OK && !json_scan_mark(&line->scan, '}'))
            return refuse(line, error);
    }
    json_scan_space(&line->scan);
    if (status == STATUS_OK && line->scan.at < line->scan.end)
        return error_set(error, STATUS_INPUT, "column %lld: something stands behind the object",
                         (long long)(line->scan.at - line->scan.begin + 1));
    return status;
}

static int check_fields(const struct line *line, struct error *error)
{
    const bool *found = line->found;

    if (found[TEXT] && (found[PROMPT] || found[ANSWER]))
        return error_set(error, STATUS_INPUT, "the object has 'text' and also 'prompt' or 'answer'; keep one kind");
    if (!found[TEXT] && !found[PROMPT] && !found[ANSWER])
        return error_set(error, STATUS_INPUT, "the object has neither 'text' nor 'prompt' and 'answer'");
    if (found[PROMPT] != found[ANSWER])
        return error_set(error, STATUS_INPUT, "the object has '%s' without '%s'", found[PROMPT] ? "prompt" : "answer",
                         found[PROMPT] ? "answer" : "prompt");
    for (int field = 0; field < FIELDS; field++)
        if (found[field] && !line->is_string[field])
            return error_set(error, STATUS_INPUT, "the field '%s' is not a string", names[field]);
    return STATUS_OK;
}

/* No string is longer than it stands in the line, so that room for the line is room for all of them. */
static int make_room(struct jsonl_document *document, int64_t bytes, struct error *error)
{
    char *grown;

    if (document->capacity >= bytes)
        return STATUS_OK;
    grown = realloc(document->memory, (size_t)bytes);
    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the %lld bytes of a line", (long long)bytes);
    document->memory = grown;
    document->capacity = bytes;
    return STATUS_OK;
}

static int take_string(const struct line *line, enum field field, struct jsonl_document *document, int64_t *used,
                       const char **text, int64_t *bytes, struct error *error)
{
    struct json_raw raw = line->values[field];
    const char *wrong;
    int status;

    *text = raw.begin;
    *bytes = raw.end - raw.begin;
    if (!raw.escaped)
        return STATUS_OK;
    status = make_room(document, line->scan.end - line->scan.begin, error);
    if (status != STATUS_OK)
        return status;
    *text = document->memory + *used;
    if (!json_scan_decode(raw, document->memory + *used, bytes, &wrong))
        return error_set(error, STATUS_INPUT, "column %lld: the field '%s' holds half a surrogate pair, %.6s",
                         (long long)(wrong - line->scan.begin + 1), names[field], wrong);
    *used += *bytes;
    return STATUS_OK;
}

int jsonl_parse(const char *text, int64_t bytes, struct jsonl_document *document, struct error *error)
{
    struct line line = {.scan = {.begin = text, .end = text + bytes, .at = text}};
    int64_t used = 0;
    int status;

    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        line.scan.at += 3;
    document->prompt = document->answer = NULL;
    document->prompt_bytes = document->answer_bytes = 0;
    status = read_object(&line, error);
    if (status == STATUS_OK)
        status = check_fields(&line, error);
    if (status == STATUS_OK && line.found[PROMPT])
        status = take_string(&line, PROMPT, document, &used, &document->prompt, &document->prompt_bytes, error);
    if (status == STATUS_OK)
        status = take_string(&line, line.found[TEXT] ? TEXT : ANSWER, document, &used, &document->answer,
                             &document->answer_bytes, error);
    return status;
}

void jsonl_release(struct jsonl_document *document)
{
    free(document->memory);
    memset(document, 0, sizeof *document);
}
