#include "config/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/array.h"

/* One open list or map. */
struct level {
    int64_t node; /* index of the list or map; -1: the document itself */
    int64_t last; /* index of its latest child; -1: none */
    int64_t entries;
    char *key; /* read, its value not yet; NULL: none */
    int key_line, key_column;
};

struct reader {
    struct document *document;
    struct level levels[DOCUMENT_LARGEST_DEPTH + 1];
    int depth; /* index of the innermost open level */
    int documents;
    struct error *error;
};

static int mark_line(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

static int mark_column(yaml_mark_t mark)
{
    return (int)mark.column + 1;
}

int document_error(const struct document *document, int line, int column, struct error *error, const char *format, ...)
{
    char sentence[800];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (document->places)
        return error_set(error, STATUS_USAGE, "%.200s:%d:%d: %s", document->name, line, column, sentence);
    return error_set(error, STATUS_USAGE, "%.200s: %s", document->name, sentence);
}

bool document_is_null(const struct document_node *node)
{
    return node->kind == DOCUMENT_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

/* Appends a node below the innermost open level; its index, or -1 with the error set. */
static int64_t reader_add(struct reader *reader, enum document_kind kind, yaml_mark_t mark)
{
    struct document *document = reader->document;
    struct level *level = &reader->levels[reader->depth];
    struct document_node *nodes;
    int64_t index = document->count;

    if (index >= DOCUMENT_LARGEST_NODES) {
        document_error(document, mark_line(mark), mark_column(mark), reader->error,
                       "more than %d values; a config holds fewer", DOCUMENT_LARGEST_NODES);
        return -1;
    }
    nodes = array_reserve(document->nodes, index, 1, &document->capacity, sizeof *nodes);
    if (nodes == NULL) {
        error_set(reader->error, STATUS_MEMORY, "%s: no memory for its values", document->name);
        return -1;
    }
    document->nodes = nodes;
    nodes[index] = (struct document_node){.kind = kind,
                                          .line = mark_line(mark),
                                          .column = mark_column(mark),
                                          .key_line = level->key_line,
                                          .key_column = level->key_column,
                                          .key = level->key,
                                          .first = -1,
                                          .next = -1};
    level->key = NULL;
    if (level->last >= 0)
        nodes[level->last].next = index;
    else if (level->node >= 0)
        nodes[level->node].first = index;
    level->last = index;
    document->count++;
    return index;
}

static bool level_wants_key(const struct reader *reader)
{
    const struct level *level = &reader->levels[reader->depth];

    return level->node >= 0 && reader->document->nodes[level->node].kind == DOCUMENT_MAP && level->key == NULL;
}

static int reader_open(struct reader *reader, enum document_kind kind, const yaml_event_t *event)
{
    int line = mark_line(event->start_mark), column = mark_column(event->start_mark);
    int64_t index;

    if (level_wants_key(reader))
        return document_error(reader->document, line, column, reader->error, "a key is a word, not a list or a map");
    if (reader->depth == DOCUMENT_LARGEST_DEPTH)
        return document_error(reader->document, line, column, reader->error, "nested more than %d levels deep",
                              DOCUMENT_LARGEST_DEPTH);
    index = reader_add(reader, kind, event->start_mark);
    if (index < 0)
        return reader->error->status;
    reader->levels[++reader->depth] = (struct level){.node = index, .last = -1};
    return STATUS_OK;
}

static int reader_key(struct reader *reader, char *text, yaml_mark_t mark)
{
    struct level *level = &reader->levels[reader->depth];
    const struct document *document = reader->document;
    int line = mark_line(mark), column = mark_column(mark);

    level->key = text;
    level->key_line = line;
    level->key_column = column;
    if (text[0] == '\0')
        return document_error(document, line, column, reader->error, "a key is the empty text; a name is wanted");
    if (++level->entries > DOCUMENT_LARGEST_ENTRIES)
        return document_error(document, line, column, reader->error, "more than %d keys in one map",
                              DOCUMENT_LARGEST_ENTRIES);
    for (int64_t i = document->nodes[level->node].first; i >= 0; i = document->nodes[i].next)
        if (strcmp(document->nodes[i].key, text) == 0)
            return document_error(document, line, column, reader->error,
                                  "the key %.100s stands here twice, first on line %d; keep one of them", text,
                                  document->nodes[i].key_line);
    return STATUS_OK;
}

static int reader_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    char *text;
    int64_t index;

    if (memchr(value, '\0', bytes) != NULL)
        return document_error(reader->document, mark_line(event->start_mark), mark_column(event->start_mark),
                              reader->error, "a text holds the character NUL");
    text = malloc(bytes + 1);
    if (text == NULL)
        return error_set(reader->error, STATUS_MEMORY, "%s: no memory for its values", reader->document->name);
    memcpy(text, value, bytes);
    text[bytes] = '\0';
    if (level_wants_key(reader))
        return reader_key(reader, text, event->start_mark);
    index = reader_add(reader, DOCUMENT_SCALAR, event->start_mark);
    if (index < 0) {
        free(text);
        return reader->error->status;
    }
    reader->document->nodes[index].text = text;
    reader->document->nodes[index].quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return STATUS_OK;
}

/* Anchors and tags stand on scalars, lists and maps alike. */
static int reader_check_plain(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_ALIAS_EVENT) {
        anchor = event->data.alias.anchor;
    }
    if (anchor == NULL && tag == NULL)
        return STATUS_OK;
    return document_error(reader->document, mark_line(event->start_mark), mark_column(event->start_mark), reader->error,
                          "%s are not read here; write the value itself (in quotes if it begins with & * or !)",
                          anchor != NULL ? "anchors and aliases (& and *)" : "tags (!)");
}

static int reader_event(struct reader *reader, const yaml_event_t *event)
{
    int status = reader_check_plain(reader, event);

    if (status != STATUS_OK)
        return status;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++reader->documents > 1)
            return document_error(reader->document, mark_line(event->start_mark), mark_column(event->start_mark),
                                  reader->error, "a second document begins here; one is read");
        return STATUS_OK;
    case YAML_SCALAR_EVENT:
        return reader_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return reader_open(reader, DOCUMENT_LIST, event);
    case YAML_MAPPING_START_EVENT:
        return reader_open(reader, DOCUMENT_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

/* Line and column of a byte, for errors below the level of characters. */
static void locate(const char *text, int64_t bytes, int64_t offset, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (int64_t i = 0; i < offset && i < bytes; i++) {
        *column = text[i] == '\n' ? 1 : *column + 1;
        *line += text[i] == '\n';
    }
}

/* True when the line `line` (from 1) has a tab among its leading blanks. */
static bool line_is_tabbed(const char *text, int64_t bytes, int line)
{
    int64_t i = 0;

    for (int skipped = 1; skipped < line && i < bytes; i++)
        skipped += text[i] == '\n';
    while (i < bytes && text[i] == ' ')
        i++;
    return i < bytes && text[i] == '\t';
}

static int parser_error(const yaml_parser_t *parser, const struct document *document, const char *text, int64_t bytes,
                        struct error *error)
{
    int line = mark_line(parser->problem_mark), column = mark_column(parser->problem_mark);

    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(error, STATUS_MEMORY, "%s: no memory to read it", document->name);
    if (parser->error == YAML_READER_ERROR) {
        locate(text, bytes, (int64_t)parser->problem_offset, &line, &column);
        return document_error(document, line, column, error, "not a text in UTF-8: %s", parser->problem);
    }
    if (line_is_tabbed(text, bytes, line))
        return document_error(document, line, column, error, "a tab indents this line; YAML takes spaces");
    return document_error(document, line, column, error, "broken YAML: %s%s%s", parser->problem,
                          parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

int document_parse(struct document *document, const char *name, bool places, const char *text, int64_t bytes,
                   struct error *error)
{
    struct reader reader = {.document = document, .levels = {{.node = -1, .last = -1}}, .error = error};
    struct error ignored;
    yaml_parser_t parser;
    yaml_event_t event;
    int status = STATUS_OK;
    bool done = false;

    *document = (struct document){.name = name, .places = places};
    if (error == NULL)
        reader.error = &ignored;
    if (bytes > DOCUMENT_LARGEST_BYTES)
        return document_error(document, 1, 1, error, "it has %lld bytes; at most %d are read", (long long)bytes,
                              DOCUMENT_LARGEST_BYTES);
    if (!yaml_parser_initialize(&parser))
        return error_set(error, STATUS_MEMORY, "%s: no memory to read it", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, (size_t)bytes);
    while (status == STATUS_OK && !done) {
        if (!yaml_parser_parse(&parser, &event)) {
            status = parser_error(&parser, document, text, bytes, reader.error);
            break;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        status = reader_event(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (int i = 0; i <= reader.depth; i++)
        free(reader.levels[i].key);
    if (status != STATUS_OK)
        document_finish(document);
    return status;
}

void document_finish(struct document *document)
{
    for (int64_t i = 0; i < document->count; i++) {
        free(document->nodes[i].key);
        free(document->nodes[i].text);
    }
    free(document->nodes);
    *document = (struct document){0};
}
