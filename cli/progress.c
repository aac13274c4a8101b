#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"

#define BAR_CELLS  24
#define LINE_BYTES 512

void progress_init(struct progress *progress, FILE *out, int64_t every)
{
    *progress = (struct progress){.out = out, .terminal = isatty(fileno(out)) == 1, .every = every};
}

static void go_nowhere(FILE *out)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere < 0)
        return;
    if (dup2(nowhere, fileno(out)) >= 0)
        clearerr(out);
    close(nowhere);
}

/* What was printed goes out now. */
static void flush(struct progress *progress)
{
    if (fflush(progress->out) == 0 && !ferror(progress->out))
        return;
    if (errno == EPIPE)
        go_nowhere(progress->out);
    else if (progress->failure == 0)
        progress->failure = errno != 0 ? errno : EIO;
}

void progress_end(struct progress *progress)
{
    if (atomic_exchange(&progress->open, false))
        fputc('\n', progress->out);
    flush(progress);
}

int progress_check(struct progress *progress, struct error *error)
{
    progress_end(progress);
    if (progress->failure == 0)
        return STATUS_OK;
    return error_set(error, STATUS_STORAGE, "the output could not be written: %s", strerror(progress->failure));
}

/* Threads that save log too: the bar's line is ended once. */
void progress_log(void *context, enum log_level level, const char *line)
{
    struct progress *progress = context;

    if (atomic_exchange(&progress->open, false)) {
        fputc('\n', progress->out);
        fflush(progress->out);
    }
    log_to_stderr(NULL, level, line);
}

/* "1h02m", "3m05s", "12s". */
static void print_duration(double seconds, char *text, size_t bytes)
{
    long long whole = seconds > 0 ? (long long)(seconds + 0.5) : 0;

    if (whole >= 3600)
        snprintf(text, bytes, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        snprintf(text, bytes, "%lldm%02llds", whole / 60, whole % 60);
    else
        snprintf(text, bytes, "%llds", whole);
}

static void started(void *context, const struct trainer *trainer)
{
    struct progress *progress = context;
    const struct engine *engine = trainer_engine(trainer);
    const struct compile_request *request = &engine->request;
    const struct compiled *compiled = executor_compiled(engine->executor);

    fprintf(progress->out, "model    %.2fM parameters, %lld layers, width %lld, context %lld, vocabulary %lld\n",
            (double)model_parameters(&request->model) / 1e6, (long long)request->model.n_layer,
            (long long)request->model.n_embd, (long long)request->sequence, (long long)request->model.vocab_size);
    fprintf(progress->out, "data     %lld training tokens, %lld for validation\n",
            (long long)trainer_train_tokens(trainer), (long long)trainer_valid_tokens(trainer));
    fprintf(progress->out, "device   %s, %s, %s, %s numerics, %.1f MB planned\n", engine->chosen.backend->name,
            engine->chosen.device->info.architecture, request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32",
            request->exact ? "exact" : "free-order", (double)compiled->plan.total_bytes / 1e6);
    fprintf(progress->out, "run      %s, steps %lld to %lld, %lld sequences a step in %d microbatches\n",
            trainer_folder(trainer), (long long)trainer_first_step(trainer) + 1, (long long)trainer_steps(trainer),
            (long long)request->global_batch, compiled->microbatches);
    flush(progress);
}

static void format_line(const struct progress *progress, const struct trainer *trainer, const struct step_metrics *step,
                        char line[LINE_BYTES])
{
    double left = (double)(trainer_steps(trainer) - step->step) * progress->step_ms / 1e3;
    char eta[32], mfu[24] = "";

    print_duration(left, eta, sizeof eta);
    if (step->mfu >= 0)
        snprintf(mfu, sizeof mfu, "  mfu %.1f%%", 100 * step->mfu);
    snprintf(line, LINE_BYTES, "step %lld/%lld  loss %.4f  gnorm %.3f  lr %.2e  %.0f tok/s (%.0f trained)%s  eta %s",
             (long long)step->step, (long long)trainer_steps(trainer), (double)step->loss, (double)step->grad_norm,
             step->learning_rate, step->tokens_per_s, step->trained_tokens_per_s, mfu, eta);
}

/* Columns of the terminal as it is now; one that does not say takes what comes. */
static int terminal_columns(const struct progress *progress)
{
    struct winsize size;

    return ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : LINE_BYTES;
}

/* A line that wraps is not drawn over by the next one. So where there is no room for both the bar is left out, and the
 * text is cut. The last column stays free: some terminals begin a new line once it is filled. */
static void draw(struct progress *progress, const struct trainer *trainer, const struct step_metrics *step,
                 const char *line)
{
    const int room = terminal_columns(progress) - 1, full = (int)(BAR_CELLS * step->step / trainer_steps(trainer));
    char bar[BAR_CELLS + 4];

    memset(bar, ' ', sizeof bar);
    bar[0] = '[';
    memset(bar + 1, '=', (size_t)full);
    memcpy(bar + 1 + BAR_CELLS, "] ", 3);
    if ((int)(strlen(bar) + strlen(line)) > room)
        bar[0] = '\0';
    fprintf(progress->out, "\r\033[K%s%.*s", bar, room - (int)strlen(bar), line);
    atomic_store(&progress->open, true);
}

static void stepped(void *context, const struct trainer *trainer, const struct step_metrics *step)
{
    struct progress *progress = context;
    bool first = step->step == trainer_first_step(trainer) + 1;
    char line[LINE_BYTES];

    progress->step_ms = progress->step_ms == 0 ? step->step_ms : 0.9 * progress->step_ms + 0.1 * step->step_ms;
    format_line(progress, trainer, step, line);
    if (progress->terminal)
        draw(progress, trainer, step, line);
    else if (first || step->step % progress->every == 0 || step->step == trainer_steps(trainer))
        fprintf(progress->out, "%s\n", line);
    else
        return;
    flush(progress);
}

static void evaluated(void *context, const struct trainer *trainer, int64_t step, double loss, double perplexity)
{
    struct progress *progress = context;

    (void)trainer;
    progress_end(progress);
    fprintf(progress->out, "eval at step %lld  loss %.4f  perplexity %.2f\n", (long long)step, loss, perplexity);
    flush(progress);
}

static void saved(void *context, const struct trainer *trainer, int64_t step)
{
    struct progress *progress = context;

    progress_end(progress);
    fprintf(progress->out, "checkpoint %s/ckpt/step_%08lld\n", trainer_folder(trainer), (long long)step);
    flush(progress);
}

static int ended(void *context, struct error *error)
{
    return progress_check(context, error);
}

struct trainer_observer progress_observer(struct progress *progress)
{
    return (struct trainer_observer){progress, started, stepped, evaluated, saved, ended};
}
