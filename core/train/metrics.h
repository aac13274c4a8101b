/* metrics.jsonl: the truth about a run, one JSON object a line, each line written at once. */
#ifndef LLMRUN_TRAIN_METRICS_H
#define LLMRUN_TRAIN_METRICS_H

#include "base/file.h"
#include "base/text.h"

/* Bytes of lines that wait for room in the file: tens of thousands of steps. */
#define METRICS_MOST_WAITING ((int64_t)16 << 20)

struct metrics {
    const struct file_system *fs;
    int handle; /* -1: not open, lines are dropped */
    char path[4096];
    struct text lines; /* those that are not written yet: none while the disk has room */
    bool waiting;      /* the last write failed and was reported */
    bool full;         /* METRICS_MOST_WAITING was passed and reported; later lines are dropped */
};

struct step_metrics {
    int64_t step;
    float loss, grad_norm;
    double learning_rate;
    int64_t tokens;         /* trained on since the first step */
    int64_t step_tokens;    /* of this step, all positions */
    int64_t trained_tokens; /* those of them that the loss is about: neither masked nor padding */
    double tokens_per_s, trained_tokens_per_s;
    double step_ms; /* step_clock.h */
    double mfu;     /* below 0: the peak is not known */
    int64_t mem_bytes;
};

/* Opens RUN_DIR/metrics.jsonl for appending; a last line without an end is cut off first. STATUS_STORAGE on failure. */
int metrics_open(struct metrics *metrics, const struct file_system *fs, const char *run_folder, struct error *error);

/* Lines that still wait are tried once more; what finds no room is lost, with a warning, and the file ends with a whole
 * line. */
void metrics_close(struct metrics *metrics);

void metrics_step(struct metrics *metrics, const struct step_metrics *step);

/* The event `eval`: loss in nats a token over `tokens` tokens, with its perplexity, and how long it took. */
void metrics_evaluation(struct metrics *metrics, int64_t step, double loss, int64_t tokens, double eval_ms);

/* Any other event; the format makes the members after "event", e.g. "\"step\":%d". A full disk is logged once and never
 * stops the run; the lines follow when there is room again. */
void metrics_event(struct metrics *metrics, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
