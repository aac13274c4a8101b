/* What the files beside a vocabulary say of tokens, before any is added to it. */
#ifndef LLMRUN_TOKENIZER_SIDE_READER_H
#define LLMRUN_TOKENIZER_SIDE_READER_H

#include "tokenizer/added_vocabulary.h"
#include "tokenizer/tokenizer_config.h"

/* A token that a file lists, with the id that it names. */
struct listed {
    struct added_definition definition;
    int64_t id;
    const char *source;
};

/* A special token that a file names. */
struct named {
    const char *source; /* NULL: none is named */
    struct added_definition definition;
    bool is_text;  /* nothing but the text is given */
    bool of_class; /* no file names it: the class has it of its own */
    bool in_list;  /* of a list, not of a member of its own */
    bool marks;    /* the same text in added_tokens.json is special */
};

enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, ATTRIBUTES }; /* "bos_token", "eos_token" ... */

struct side {
    const struct tokenizer_config *config;
    struct added_vocabulary *added;
    struct listed *listed; /* by id once they are all there */
    int64_t listed_count, listed_capacity;
    struct named attributes[ATTRIBUTES];
    bool settled[ATTRIBUTES]; /* a file names it, or says that there is none */
    struct named *more;       /* in order: other members that name one, and lists of them */
    int64_t more_count, more_capacity;
    json_t *places;                                                  /* of members in `more`, by their names */
    json_t *listed_texts, *marked_texts, *named_texts, *added_texts; /* sets: members with any value */
    bool has_list;                                                   /* a list in the newer form, empty or not */
    json_t *older_list; /* one in the older form that counts where there is no other */
    const char *older_source;
    bool has_files; /* that say something of tokens */
};

/* Fills *side, whose `config`, `added` and `has_files` are set and the rest zero. The tokens of
 * tokenizer.json, which `added` holds, are listed too, and a pipeline that is not the file's has names of its own where
 * no file says anything. Texts are
 * borrowed from the files. Release with side_finish, also after a failure. */
int side_read(struct side *side, enum tokenizer_pipeline pipeline, struct error *error);
void side_finish(struct side *side);

#endif
