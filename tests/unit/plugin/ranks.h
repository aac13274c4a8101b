/* Ranks as threads over a collective plugin, for tests: loopback, or what RANKS_PLUGIN and RANKS_FOLDER name. */
#ifndef LLMRUN_TEST_RANKS_H
#define LLMRUN_TEST_RANKS_H

#include <stdbool.h>

#include <llmrun/collective.h>

#define RANKS_MOST 8

/* What one rank's thread has. */
struct rank {
    int32_t rank;
    int32_t ranks;
    const struct llmrun_collective_table *table;
    struct llmrun_communicator *communicator;
    struct llmrun_error error; /* of the last call */
    struct rank *all;          /* of this run, in order */
    int failed_line;           /* where CHECK found something else than expected, and what */
    char failed_text[256];
};

/* In a body, where cmocka's own checks cannot be used: ends it with a note for the main thread. */
#define CHECK(rank, condition)                                                                                         \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            ranks_note(rank, __LINE__, #condition);                                                                    \
            return;                                                                                                    \
        }                                                                                                              \
    while (0)
void ranks_note(struct rank *rank, int line, const char *condition);

/* Opens the plugin. 0 when it could be. */
int ranks_open(void **state);

const struct llmrun_collective_table *ranks_table(void); /* of the plugin that was opened */
bool ranks_are_of(const char *name);                     /* is it that plugin? */

/* Creates a communicator of `ranks` threads, runs `body` in each, destroys it. Fails the test with the first note. */
void ranks_run(int32_t ranks, void (*body)(struct rank *rank));

/* Waits for all threads of the run, by means of the test's own. */
void ranks_meet(struct rank *rank);

/* An all-gather among the threads of a run, as the host makes it: `context` is a struct rank. */
int32_t ranks_exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error);

#endif
