/* The tokens that are added to a vocabulary, one after the other, as Hugging Face tokenizers 0.23.3 adds them
 * (AddedVocabulary::add_tokens): a text of the vocabulary keeps its id, another one gets the next number, whatever a
 * file says. A text that is added again has its newer flags, but that once special it stays special. */
#ifndef LLMRUN_TOKENIZER_ADDED_VOCABULARY_H
#define LLMRUN_TOKENIZER_ADDED_VOCABULARY_H

#include <jansson.h>

#include "tokenizer/bpe.h"
#include "tokenizer/bpe_vocabulary.h"

/* What a file says of a token. */
struct added_definition {
    const char *text; /* borrowed */
    bool special, single_word, lstrip, rstrip, normalized;
};

struct added_entry {
    struct added_definition definition; /* the newest */
    int32_t id;
    bool special; /* one of them was */
};

struct added_vocabulary {
    json_t *base;   /* borrowed: text to id, integers that were checked to be below BPE_MOST_TOKENS */
    json_t *places; /* text to index of `entries` */
    struct added_entry *entries;
    int64_t count, capacity;
    int64_t outside; /* how many of them the vocabulary lacks: they are numbered behind its tokens */
};

/* Release with added_vocabulary_finish, also after a failure. */
int added_vocabulary_start(struct added_vocabulary *added, json_t *base, struct error *error);
void added_vocabulary_finish(struct added_vocabulary *added);

/* Reads the members of `object`: "content" and the flags, which are optional. `special` is what "special" is where it
 * is not there; "normalized" is then the opposite of special. */
int added_definition_read(json_t *object, bool special, const char *source, struct added_definition *definition,
                          struct error *error);

/* As above, for a token of which nothing but the text is known. */
struct added_definition added_definition_special(const char *text);

bool added_definition_equal(const struct added_definition *left, const struct added_definition *right);

/* NULL: it was not added. */
const struct added_entry *added_vocabulary_find(const struct added_vocabulary *added, const char *text);

/* The id that the text has or would get. */
int64_t added_vocabulary_id(const struct added_vocabulary *added, const char *text);

/* STATUS_INPUT, naming `source`, for an empty or very long text and for an id out of range. */
int added_vocabulary_add(struct added_vocabulary *added, const struct added_definition *definition, const char *source,
                         struct error *error);

/* How many ids there are: up to the largest, also of the vocabulary. Bounded by the tokens that are there, before
 * memory is taken: STATUS_INPUT, naming `source`, for more than BPE_MOST_HOLES without a token. */
int added_vocabulary_count(const struct added_vocabulary *added, int64_t largest_of_base, const char *source,
                           int64_t *count, struct error *error);

/* Gives each its place in keys[0..count - 1], where no other token may stand, and puts it into the lists of *bpe. */
int added_vocabulary_store(const struct added_vocabulary *added, const char *source, struct bpe *bpe,
                           struct bpe_key *keys, int64_t count, struct error *error);

/* A hash of what changes the ids of text that is data: tokens that are not special, and those behind the vocabulary. */
uint64_t added_vocabulary_hash(const struct added_vocabulary *added);

#endif
