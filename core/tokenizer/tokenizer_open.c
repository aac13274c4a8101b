#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tokenizer/tokenizer_kind.h"

static bool holds(const struct file_system *fs, const char *folder, const char *name)
{
    char path[4096];

    return file_join(path, sizeof path, folder, name) && file_is_there(fs, path);
}

/* What can be read stands in the sentence: a directory of an older LLaMA has nothing else to choose. */
static int refuse_sentencepiece(const char *path, const char *what, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "tokenizer %s%s is a SentencePiece model, which this version does not read; 'bytes', or a folder "
                     "with tokenizer.json (byte-level BPE), or vocab.json and merges.txt, is wanted",
                     path, what);
}

static int open_kind(const struct file_system *fs, const char *path, struct tokenizer **out, struct error *error)
{
    struct stat status;
    size_t length = strlen(path);

    if (strcmp(path, "bytes") == 0)
        return tokenizer_open_bytes(out, error);
    if (holds(fs, path, "tokenizer.json") || holds(fs, path, "vocab.json"))
        return tokenizer_open_bpe(fs, path, out, error);
    if (holds(fs, path, "tokenizer.model"))
        return refuse_sentencepiece(path, ": its tokenizer.model", error);
    if (stat(path, &status) != 0)
        return error_set(error, STATUS_INPUT, "tokenizer %s: there is no such folder; 'bytes' needs none", path);
    if (S_ISDIR(status.st_mode))
        return tokenizer_open_bpe(fs, path, out, error);
    if (length > 6 && strcmp(path + length - 6, ".model") == 0)
        return refuse_sentencepiece(path, "", error);
    return error_set(error, STATUS_USAGE,
                     "tokenizer %s is neither 'bytes' nor a folder with tokenizer.json, or vocab.json and merges.txt",
                     path);
}

int tokenizer_open(const char *path, struct tokenizer **out, struct error *error)
{
    return tokenizer_open_from(&file_system_real, path, out, error);
}

int tokenizer_open_from(const struct file_system *fs, const char *path, struct tokenizer **out, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct error unread;
    int result;

    if (error == NULL)
        error = &unread;
    result = open_kind(fs, path, &tokenizer, error);
    if (result != STATUS_OK)
        return result;
    tokenizer->name = strdup(path);
    if (tokenizer->name == NULL) {
        tokenizer_close(tokenizer);
        return error_set(error, STATUS_MEMORY, "no memory for the tokenizer %s", path);
    }
    *out = tokenizer;
    return STATUS_OK;
}
