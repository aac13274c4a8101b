/* One line of JSONL: an object with `text`, or with `prompt` and `answer`, all strings. Other fields may be any JSON
 * (json_scan.h); they are passed over. */
#ifndef LLMRUN_DATA_JSONL_H
#define LLMRUN_DATA_JSONL_H

#include <stdint.h>

#include "base/status.h"

/* Zero-initialise before the first line. The texts live until the next line is read into it, and as long as the line.
 */
struct jsonl_document {
    const char *prompt; /* NULL for a document of `text` */
    int64_t prompt_bytes;
    const char *answer; /* the whole text of a document of `text` */
    int64_t answer_bytes;
    char *memory; /* of texts with escapes, kept from line to line */
    int64_t capacity;
};

/* STATUS_INPUT for what is not such an object; the message says why, and where in the line: columns count bytes from 1.
 * A byte-order mark before the object is passed over. */
int jsonl_parse(const char *line, int64_t bytes, struct jsonl_document *document, struct error *error);

/* Release once, after the last line. */
void jsonl_release(struct jsonl_document *document);

#endif
