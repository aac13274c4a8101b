/* One line of JSONL: an object with `text`, or with `prompt` and `answer`, all strings; other fields are ignored. */
#ifndef LLMRUN_DATA_JSONL_H
#define LLMRUN_DATA_JSONL_H

#include <stdint.h>

#include "base/status.h"

struct jsonl_document {
    void *object;       /* owns the text */
    const char *prompt; /* NULL for a document of `text` */
    int64_t prompt_bytes;
    const char *answer; /* the whole text of a document of `text` */
    int64_t answer_bytes;
};

/* STATUS_INPUT for what is not such an object; the message says why, and where in the line. Release with jsonl_release,
 * also after a failure. */
int jsonl_parse(const char *line, int64_t bytes, struct jsonl_document *document, struct error *error);
void jsonl_release(struct jsonl_document *document);

#endif
