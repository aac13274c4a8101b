/* The types that the shard pass gives to values over tp, and how a value comes from one into another. */
#ifndef LLMRUN_PASSES_SHARD_TYPES_H
#define LLMRUN_PASSES_SHARD_TYPES_H

#include "passes/shard.h"
#include "program/builder.h"

enum place_kind {
    PLACE_OPEN, /* nothing has said it yet */
    PLACE_WHOLE,
    PLACE_SPLIT,
    PLACE_SLOTS /* each rank has slots of its own, and zeros in those of others */
};

struct place {
    uint8_t kind; /* enum place_kind */
    uint8_t dimension, factor;
};

/* The same value in a second type; ids are those of `out`. */
struct other_type {
    int32_t value;
    struct place place;
    int32_t id;
};

struct shard {
    struct builder builder;        /* writes `out` */
    const struct program *program; /* as it came */
    struct program *out;           /* values of `program` have the same ids here */
    const struct shard_form *form;
    int32_t ranks, index;    /* of tp */
    struct place *places;    /* [values] of a value as itself */
    int32_t *parameters;     /* [values] whose split a value has: parameters, their gradients, moments, casts */
    int32_t *last_uses;      /* [values] the last op of the section that reads it */
    uint32_t *marks;         /* [values] of shard_letter.c */
    struct place *marked;    /* [values] */
    uint32_t mark;           /* the latest */
    struct other_type *more; /* what the section, and forward for backward, has in a second type; owned */
    int64_t more_count, more_capacity;
    int64_t sequence; /* positions of a sequence of the section's rows; 0: nothing says it */
    bool positions;   /* the section splits s between blocks */
    bool forward;     /* it is none of gradients */
    bool refused;     /* the layout is at fault: fewer ranks may do */
};

static inline bool place_equal(struct place a, struct place b)
{
    return a.kind == b.kind && (a.kind != PLACE_SPLIT || (a.dimension == b.dimension && a.factor == b.factor));
}

/* The place of a value; inputs and constants of the host are whole. */
struct place shard_place(const struct shard *shard, int32_t value);

/* Says what place a value has that has none so far: of a parameter, also of all that goes with it. The shape must
 * divide, but where the dimension has an element a part of a sum of one part: it gets a part a rank. */
void shard_decide(struct shard *shard, int32_t value, struct place place);

/* An activation of that logical shape and place. */
int32_t shard_new(struct shard *shard, const char *name, uint32_t dtype, uint32_t rank, const int64_t *full,
                  struct place place);

/* The same, "<name of value>.<suffix>" of the logical shape of the value. */
int32_t shard_add(struct shard *shard, int32_t value, const char *suffix, uint32_t dtype, struct place place);

/* A communication op over tp; role and layer are the builder's, but that weight gradients take what B makes. */
void shard_communicate(struct shard *shard, uint16_t op, int32_t x, int32_t y);

/* The value in another type: made once, by communication, where it is not there. */
int32_t shard_convert(struct shard *shard, int32_t value, struct place place);

/* Forgets the second types. */
void shard_forget(struct shard *shard);

/* Makes id, of `out`, a part or whole. */
void shard_set_place(struct shard *shard, int32_t id, struct place place);

/* Fails with an extent that the ranks do not hold equal parts of: "<thing> has <extent> <what>". */
void shard_refuse(struct shard *shard, const char *thing, int64_t extent, const char *what);

#endif
