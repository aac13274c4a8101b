/* A strict YAML reader: one document of maps, lists and scalars, every node with its place in the text. YAML 1.1 as
 * libyaml reads it, without anchors, aliases, tags and second documents, and with bounds on all that a file can make
 * grow. Scalars stay text here; what they mean is decided by the key that they are given to. */
#ifndef LLMRUN_CONFIG_DOCUMENT_H
#define LLMRUN_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define DOCUMENT_LARGEST_BYTES   (1 << 20)
#define DOCUMENT_LARGEST_DEPTH   16
#define DOCUMENT_LARGEST_NODES   65536
#define DOCUMENT_LARGEST_ENTRIES 1024 /* of one map */

enum document_kind { DOCUMENT_SCALAR, DOCUMENT_LIST, DOCUMENT_MAP };

struct document_node {
    enum document_kind kind;
    bool quoted;      /* a scalar in quotes, or a block of text: never empty-as-absent, never a number */
    int line, column; /* of the value, from 1 */
    int key_line, key_column;
    char *key;           /* of an entry of a map; else NULL */
    char *text;          /* of a scalar: UTF-8, no NUL within; else NULL */
    int64_t first, next; /* index of the first child and of the next sibling; -1: none */
};

struct document {
    const char *name;            /* the caller's; for messages */
    bool places;                 /* messages give line and column (a file), or the name alone (a flag) */
    struct document_node *nodes; /* nodes[0] is the root */
    int64_t count;               /* 0: the text holds nothing */
    int64_t capacity;
};

/* Parses `bytes` bytes of text. On success the caller frees with document_finish; `name` must live as long.
 * STATUS_USAGE for whatever is wrong with the text, STATUS_MEMORY. */
int document_parse(struct document *document, const char *name, bool places, const char *text, int64_t bytes,
                   struct error *error);

/* A zeroed document may be freed. */
void document_finish(struct document *document);

/* Fills *error with STATUS_USAGE and "name:line:column: sentence", or "name: sentence" where the document has no
 * places. */
int document_error(const struct document *document, int line, int column, struct error *error, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* True for a plain scalar that YAML reads as absent: nothing, ~ or null. */
bool document_is_null(const struct document_node *node);

#endif
