/* Reads lines of JSONL as data.train does, for jsonl_random.py: on stdin a 4-byte length (little-endian) and that many
 * bytes for each line; on stdout "ok " and the text in hexadecimal, or "no " and why. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/jsonl.h"

int main(void)
{
    struct jsonl_document document = {0};
    uint32_t bytes;

    while (fread(&bytes, sizeof bytes, 1, stdin) == 1) {
        char *line = malloc((size_t)bytes + 1);
        struct error error = {0};

        if (line == NULL || fread(line, 1, bytes, stdin) != bytes)
            return 1;
        if (jsonl_parse(line, bytes, &document, &error) == STATUS_OK) {
            fputs("ok ", stdout);
            for (int64_t i = 0; i < document.answer_bytes; i++)
                printf("%02x", (unsigned char)document.answer[i]);
            puts("");
        } else {
            printf("no %s\n", error.message);
        }
        free(line);
    }
    jsonl_release(&document);
    return 0;
}
