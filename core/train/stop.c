#include "train/stop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGUSR1, "SIGUSR1"}, {SIGHUP, "SIGHUP"}};

#define SIGNALS (int)(sizeof signals / sizeof signals[0])

/* Shared with the handler: set before it is installed, or atomic. */
static struct {
    _Atomic int signal;          /* that asked first */
    _Atomic int file_asked;      /* the file was found */
    _Atomic int64_t next_step;   /* that is submitted next, or was last */
    _Atomic int64_t last_step;   /* of the run, once something asked */
    char file[PATH_MAX];         /* RUN_DIR/STOP; empty: none */
    char promise[PATH_MAX + 80]; /* the answer behind the step; empty: none is given */
    bool terminal;               /* a bar may stand on its line */
} stop_state;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "a handler may use lock-free atomics only");

static const char *name_of(int signal)
{
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == signal)
            return signals[i].name;
    return "a signal";
}

/* A text that grows in a handler, where no function of stdio may be called. */
struct answer {
    char text[PATH_MAX + 200];
    size_t length;
};

static void add_text(struct answer *answer, const char *text)
{
    while (*text != '\0' && answer->length < sizeof answer->text)
        answer->text[answer->length++] = *text++;
}

static void add_number(struct answer *answer, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add_text(answer, digits + at);
}

static void acknowledge(int signal, int64_t step)
{
    struct answer answer = {.length = 0};
    const char *at = answer.text;

    add_text(&answer, stop_state.terminal ? "\r\033[K" : "");
    add_text(&answer, name_of(signal));
    add_text(&answer, ": stopping after step ");
    add_number(&answer, step);
    add_text(&answer, stop_state.promise);
    while (answer.length > 0) {
        ssize_t put = write(STDERR_FILENO, at, answer.length);

        if (put <= 0)
            return;
        at += put;
        answer.length -= (size_t)put;
    }
}

static void handle(int signal)
{
    int before = errno;

    if (atomic_exchange(&stop_state.signal, signal) != 0)
        _exit(128 + signal);
    if (atomic_load(&stop_state.file_asked) == 0)
        atomic_store(&stop_state.last_step, atomic_load(&stop_state.next_step));
    if (stop_state.promise[0] != '\0')
        acknowledge(signal, atomic_load(&stop_state.last_step));
    errno = before;
}

/* One that cannot be removed would stop every run here at its first step. */
static void remove_leftover(void)
{
    if (access(stop_state.file, F_OK) != 0)
        return;
    if (unlink(stop_state.file) == 0) {
        log_line(LOG_WARNING, "%s was there before this run began; it is removed, and asks nothing of this run",
                 stop_state.file);
        return;
    }
    log_line(LOG_WARNING, "%s was there before this run began and cannot be removed (%s); this run does not look at it",
             stop_state.file, strerror(errno));
    stop_state.file[0] = '\0';
}

static void install_handlers(void)
{
    struct sigaction action, before;

    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        if (signals[i].number == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        sigaction(signals[i].number, &action, NULL);
    }
}

void stop_listen(const char *folder, int64_t next_step)
{
    atomic_store(&stop_state.signal, 0);
    atomic_store(&stop_state.file_asked, 0);
    atomic_store(&stop_state.next_step, next_step);
    stop_state.terminal = isatty(STDERR_FILENO) == 1;
    stop_state.file[0] = stop_state.promise[0] = '\0';
    if (folder != NULL && file_join(stop_state.file, sizeof stop_state.file, folder, "STOP")) {
        snprintf(stop_state.promise, sizeof stop_state.promise,
                 " with a checkpoint in %s; a second signal ends at once\n", folder);
        remove_leftover();
    }
    install_handlers();
}

static void look_for_file(void)
{
    if (stop_state.file[0] == '\0' || atomic_load(&stop_state.file_asked) != 0 || access(stop_state.file, F_OK) != 0)
        return;
    atomic_store(&stop_state.file_asked, 1);
    if (atomic_load(&stop_state.signal) != 0)
        return;
    atomic_store(&stop_state.last_step, atomic_load(&stop_state.next_step));
    log_line(LOG_INFO, "%s: stopping after step %lld with a checkpoint", stop_state.file,
             (long long)atomic_load(&stop_state.last_step));
}

const char *stop_requested(void)
{
    int signal = atomic_load(&stop_state.signal);

    if (signal != 0)
        return name_of(signal);
    return atomic_load(&stop_state.file_asked) != 0 ? stop_state.file : NULL;
}

bool stop_asked(void)
{
    look_for_file();
    return stop_requested() != NULL;
}

bool stop_before(int64_t step)
{
    atomic_store(&stop_state.next_step, step);
    return stop_asked() && step > atomic_load(&stop_state.last_step);
}

void stop_done(void)
{
    if (atomic_load(&stop_state.file_asked) != 0 && unlink(stop_state.file) != 0 && errno != ENOENT)
        log_line(LOG_WARNING, "%s could not be removed: %s", stop_state.file, strerror(errno));
}
