/* Encodes records with a tokenizer, for comparison with another library's ids (tokenizer_million.py).
 *
 *   tokenizer_check [--special] [--prompt] [--changes] TOKENIZER INPUT OUTPUT
 *
 * --special: special tokens in the text are found. --prompt: also the token before a text. --changes: the tokenizer
 * changes text (normal form, white space that tokens take), so that it need not come back from its ids.
 *
 * INPUT: records of a 32-bit length and that many bytes. OUTPUT: for each a 32-bit count and that many 32-bit ids. All
 * numbers are of this machine's byte order. Prints the encoding time; fails if the ids do not decode to the record. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tokenizer/tokenizer.h"

struct options {
    bool special;
    bool prompt;
    bool changes;
};

struct totals {
    int64_t records;
    int64_t bytes;
    int64_t tokens;
    int64_t encode_ns;
};

static int check_record(const struct tokenizer *tokenizer, const struct options *options, const char *text,
                        uint32_t bytes, FILE *output, struct totals *totals, struct error *error)
{
    static struct token_list ids;
    static struct byte_list back;
    int64_t begin = clock_system.monotonic_ns(&clock_system);
    uint32_t count;
    int result;

    ids.count = 0;
    back.count = 0;
    if (options->prompt)
        result = tokenizer_encode_prompt(tokenizer, text, bytes, true, &ids, error);
    else
        result = options->special ? tokenizer_encode_special(tokenizer, text, bytes, &ids, error)
                                  : tokenizer_encode(tokenizer, text, bytes, &ids, error);
    totals->encode_ns += clock_system.monotonic_ns(&clock_system) - begin;
    if (result == STATUS_OK)
        result = tokenizer_decode(tokenizer, ids.ids, ids.count, &back, error);
    if (result != STATUS_OK)
        return result;
    if (!options->changes && (back.count != bytes || (bytes > 0 && memcmp(back.bytes, text, bytes) != 0)))
        return error_set(error, STATUS_VALIDATION, "record %lld does not come back from its ids",
                         (long long)totals->records);
    count = (uint32_t)ids.count;
    fwrite(&count, sizeof count, 1, output);
    fwrite(ids.ids, sizeof *ids.ids, count, output);
    totals->records++;
    totals->bytes += bytes;
    totals->tokens += count;
    return STATUS_OK;
}

static int check_all(const struct tokenizer *tokenizer, const struct options *options, const char *data, int64_t size,
                     FILE *output, struct totals *totals, struct error *error)
{
    int64_t place = 0;
    int result = STATUS_OK;

    while (place < size && result == STATUS_OK) {
        uint32_t bytes;

        if (size - place < (int64_t)sizeof bytes)
            return error_set(error, STATUS_INPUT, "the input ends inside a length");
        memcpy(&bytes, data + place, sizeof bytes);
        place += (int64_t)sizeof bytes;
        if (size - place < bytes)
            return error_set(error, STATUS_INPUT, "the input ends inside a record");
        result = check_record(tokenizer, options, data + place, bytes, output, totals, error);
        place += bytes;
    }
    return result;
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct options options = {false, false, false};
    struct totals totals = {0};
    struct error error;
    char *data = NULL;
    int64_t size;
    FILE *output;
    int result;

    for (; argc > 1 && strncmp(argv[1], "--", 2) == 0; argc--, argv++) {
        options.special |= strcmp(argv[1], "--special") == 0;
        options.prompt |= strcmp(argv[1], "--prompt") == 0;
        options.changes |= strcmp(argv[1], "--changes") == 0;
    }
    if (argc != 4) {
        fprintf(stderr, "usage: tokenizer_check [--special] [--prompt] [--changes] TOKENIZER INPUT OUTPUT\n");
        return STATUS_USAGE;
    }
    output = fopen(argv[3], "wb");
    if (output == NULL) {
        fprintf(stderr, "tokenizer_check: %s cannot be written\n", argv[3]);
        return STATUS_STORAGE;
    }
    result = tokenizer_open(argv[1], &tokenizer, &error);
    if (result == STATUS_OK)
        result = file_read_all(&file_system_real, argv[2], INT64_MAX - 1, &data, &size, &error);
    if (result == STATUS_OK)
        result = check_all(tokenizer, &options, data, size, output, &totals, &error);
    if (fclose(output) != 0 && result == STATUS_OK)
        result = error_set(&error, STATUS_STORAGE, "%s could not be written", argv[3]);
    if (result != STATUS_OK)
        fprintf(stderr, "tokenizer_check: %s\n", error.message);
    else
        printf("%lld records, %lld bytes, %lld tokens, %.1f MB/s\n", (long long)totals.records, (long long)totals.bytes,
               (long long)totals.tokens, (double)totals.bytes * 1e3 / (double)totals.encode_ns);
    free(data);
    tokenizer_close(tokenizer);
    return result;
}
