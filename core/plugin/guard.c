#include "plugin/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/status.h"

#define SLOTS       64
#define CODE_RANGES 32
#define LONG_FACTOR 10
#define LINE_BYTES  512
#define STACK_BYTES 65536
#define STACK_WORDS 512 /* a page */
#define NS_PER_S    INT64_C(1000000000)

/* What one thread does in plugins. A thread keeps its slot for good: few threads enter plugins. */
struct slot {
    _Atomic(const char *) plugin;
    _Atomic(const char *) call;              /* NULL: it is in none */
    _Atomic(const struct awaited *) awaited; /* or NULL */
    _Atomic int32_t device;                  /* of the plugin, that it waits for */
    atomic_bool long_call;
    atomic_uint_fast64_t calls; /* so far, so that the watch tells one call from the next */
};

static struct slot slots[SLOTS];
static atomic_int slots_taken;
static struct slot spare_slot; /* of threads beyond; nobody watches it */
static _Thread_local struct slot *own;

static struct {
    const char *plugin;
    uintptr_t low, high;
} ranges[CODE_RANGES];
static atomic_int range_count;

static char *mirror;
static atomic_bool abandoned;
static _Atomic int64_t watch_ns;

static struct slot *own_slot(void)
{
    if (own == NULL) {
        int taken = atomic_fetch_add(&slots_taken, 1);

        own = taken < SLOTS ? &slots[taken] : &spare_slot;
    }
    return own;
}

void guard_enter(const char *plugin, const char *call, bool long_call)
{
    struct slot *slot = own_slot();

    atomic_store_explicit(&slot->plugin, plugin, memory_order_relaxed);
    atomic_store_explicit(&slot->long_call, long_call, memory_order_relaxed);
    atomic_fetch_add_explicit(&slot->calls, 1, memory_order_relaxed);
    atomic_store_explicit(&slot->call, call, memory_order_release);
    if (mirror != NULL)
        strncpy(mirror, call, GUARD_CALL_BYTES - 1);
}

void guard_leave(void)
{
    if (mirror != NULL)
        mirror[0] = '\0';
    atomic_store_explicit(&own_slot()->call, NULL, memory_order_release);
}

void guard_await(int32_t device, const struct awaited *awaited)
{
    struct slot *slot = own_slot();

    atomic_store_explicit(&slot->device, device, memory_order_relaxed);
    atomic_store_explicit(&slot->awaited, awaited, memory_order_release);
}

void guard_mirror(char *to)
{
    mirror = to;
}

void guard_plugin_code(const char *plugin, uintptr_t low, uintptr_t high)
{
    int count = atomic_load(&range_count);

    if (count == CODE_RANGES)
        return;
    ranges[count].plugin = plugin;
    ranges[count].low = low;
    ranges[count].high = high;
    atomic_store(&range_count, count + 1);
}

void guard_abandon(void)
{
    atomic_store(&abandoned, true);
}

bool guard_abandoned(void)
{
    return atomic_load(&abandoned);
}

/* ---- What is told, by means that a signal handler may use ---- */

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static void add(struct line *line, const char *text)
{
    while (*text != '\0' && line->length < sizeof line->text - 1)
        line->text[line->length++] = *text++;
}

static void add_number(struct line *line, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0 && at > 0);
    add(line, digits + at);
}

static void add_awaited(struct line *line, const struct awaited *awaited)
{
    add(line, awaited->what);
    if (awaited->name != NULL) {
        add(line, " ");
        add(line, awaited->name);
    }
    if (awaited->step > 0) {
        add(line, " of step ");
        add_number(line, awaited->step);
    }
    if (awaited->microbatch > 0) {
        add(line, ", microbatch ");
        add_number(line, awaited->microbatch + 1);
        add(line, ",");
    }
}

void awaited_describe(const struct awaited *awaited, char text[AWAITED_BYTES])
{
    struct line line = {.length = 0};

    add_awaited(&line, awaited);
    snprintf(text, AWAITED_BYTES, "%.*s", (int)line.length, line.text);
}

/* One thread ends the process, however many crash at once. */
static void end_with(struct line *line)
{
    static atomic_flag ends = ATOMIC_FLAG_INIT;
    ssize_t ignored;

    while (atomic_flag_test_and_set(&ends))
        pause();
    add(line, "\n");
    ignored = write(STDERR_FILENO, line->text, line->length);
    (void)ignored;
    _exit(STATUS_BACKEND);
}

static const char *signal_name(int signal)
{
    switch (signal) {
    case SIGSEGV:
        return "Segmentation fault";
    case SIGBUS:
        return "Bus error";
    case SIGFPE:
        return "Floating point exception";
    case SIGILL:
        return "Illegal instruction";
    case SIGABRT:
        return "Aborted";
    case SIGSYS:
        return "Bad system call";
    default:
        return "Trace/breakpoint trap";
    }
}

static uintptr_t program_counter(const void *context)
{
    const ucontext_t *state = context;

#if defined(__x86_64__)
    return (uintptr_t)state->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)state->uc_mcontext.pc;
#else
    (void)state;
    return 0;
#endif
}

static uintptr_t stack_pointer(const void *context)
{
    const ucontext_t *state = context;

#if defined(__x86_64__)
    return (uintptr_t)state->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)state->uc_mcontext.sp;
#else
    (void)state;
    return 0;
#endif
}

/* The plugin whose code `at` is, or NULL. */
static const char *plugin_at(uintptr_t at)
{
    int count = atomic_load(&range_count);

    for (int i = 0; i < count; i++)
        if (at >= ranges[i].low && at < ranges[i].high)
            return ranges[i].plugin;
    return NULL;
}

/* The plugin that a thread of its own came from when it crashed elsewhere: in the C library, or where no code is. What
 * looks like a return address into its code is one. The kernel reads the stack, which may end at once. */
static const char *plugin_on_stack(const void *context)
{
    static uintptr_t words[STACK_WORDS];
    const uintptr_t at = stack_pointer(context) & ~(sizeof words[0] - 1);
    const size_t first = sizeof words - at % sizeof words; /* to the end of the page; all or nothing of each is read */
    const struct iovec to = {words, sizeof words};
    const struct iovec from[] = {{(void *)at, first}, {(void *)(at + first), sizeof words - first}};
    ssize_t bytes = process_vm_readv(getpid(), &to, 1, from, 2, 0);
    const char *plugin = NULL;

    for (ssize_t i = 0; i < bytes / (ssize_t)sizeof words[0] && plugin == NULL; i++)
        plugin = plugin_at(words[i]);
    return plugin;
}

static void crashed(int number, siginfo_t *information, void *context)
{
    const char *call = own != NULL ? atomic_load(&own->call) : NULL;
    const char *plugin = call != NULL ? atomic_load(&own->plugin) : plugin_at(program_counter(context));
    struct line line = {.length = 0};

    (void)information;
    if (plugin == NULL && own == NULL)
        plugin = plugin_on_stack(context);
    if (plugin == NULL) { /* not a plugin's: what it would have been without this handler */
        signal(number, SIG_DFL);
        if (number == SIGABRT)
            raise(number);
        return;
    }
    add(&line, "llmrun: the backend ");
    add(&line, plugin);
    add(&line, " crashed ");
    add(&line, call != NULL ? call : "in a thread of its own");
    add(&line, " (signal ");
    add_number(&line, number);
    add(&line, ", ");
    add(&line, signal_name(number));
    add(&line, ")");
    end_with(&line);
}

/* Whoever calls exit: while any thread is in a plugin, it is no end of ours. */
static void exited(int code, void *context)
{
    const int taken = atomic_load(&slots_taken);

    (void)context;
    for (int i = 0; i < taken && i < SLOTS; i++) {
        const char *call = atomic_load(&slots[i].call);
        struct line line = {.length = 0};

        if (call == NULL)
            continue;
        add(&line, "llmrun: the backend ");
        add(&line, atomic_load(&slots[i].plugin));
        add(&line, " called exit(");
        add_number(&line, code & 0xff);
        add(&line, ") ");
        add(&line, call);
        end_with(&line);
    }
}

/* A sanitizer has handlers of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HANDLES_CRASHES false
#else
#define HANDLES_CRASHES true
#endif

void *guard_thread_begin(void)
{
    /* Not thread-local: that would be a part of a stack that may be small. */
    void *const memory =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const stack_t other = {.ss_sp = memory, .ss_size = STACK_BYTES};

    if (memory == MAP_FAILED)
        return NULL;
    sigaltstack(&other, NULL);
    return memory;
}

void guard_thread_end(void *memory)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    if (memory == NULL)
        return;
    sigaltstack(&none, NULL);
    munmap(memory, STACK_BYTES);
}

static void handle_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    static char stack[STACK_BYTES]; /* for where the other one is full */
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = crashed;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaltstack(&other, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

void guard_ended(int code, uintptr_t caller)
{
    const char *plugin = mirror == NULL ? plugin_at(caller) : NULL; /* in a trial the parent tells */
    const char *call = own != NULL ? atomic_load(&own->call) : NULL;
    struct line line = {.length = 0};

    if (plugin == NULL)
        return;
    add(&line, "llmrun: the backend ");
    add(&line, plugin);
    add(&line, " called _exit(");
    add_number(&line, code & 0xff);
    add(&line, ") ");
    add(&line, call != NULL ? call : "in a thread of its own");
    end_with(&line);
}

void guard_install(void)
{
    if (HANDLES_CRASHES)
        handle_crashes();
    on_exit(exited, NULL);
}

/* ---- The watch ---- */

static void tell_of_hang(const struct slot *slot, const char *call, int64_t waited_ns)
{
    const struct awaited *awaited = atomic_load(&slot->awaited);
    struct line line = {.length = 0};

    if (awaited != NULL) {
        add(&line, "llmrun: device ");
        add_number(&line, atomic_load(&slot->device));
        add(&line, " of ");
        add(&line, atomic_load(&slot->plugin));
        add(&line, " did not finish ");
        add_awaited(&line, awaited);
    } else {
        add(&line, "llmrun: the backend ");
        add(&line, atomic_load(&slot->plugin));
        add(&line, " did not return");
    }
    add(&line, " within ");
    add_number(&line, waited_ns / NS_PER_S);
    add(&line, " s (parallel.timeout): it hangs ");
    add(&line, call);
    end_with(&line);
}

static void *watch(void *context)
{
    uint64_t seen[SLOTS] = {0};
    int64_t waited_ns[SLOTS] = {0};

    (void)context;
    for (;;) {
        const int64_t limit_ns = atomic_load(&watch_ns);
        const int64_t tick_ns = limit_ns / 8 < NS_PER_S / 2 ? limit_ns / 8 : NS_PER_S / 2;
        const struct timespec tick = {tick_ns / NS_PER_S, tick_ns % NS_PER_S};
        const int taken = atomic_load(&slots_taken);

        nanosleep(&tick, NULL);
        for (int i = 0; i < taken && i < SLOTS; i++) {
            const char *call = atomic_load(&slots[i].call);
            uint64_t calls = atomic_load(&slots[i].calls);

            waited_ns[i] = call != NULL && calls == seen[i] ? waited_ns[i] + tick_ns : 0;
            seen[i] = calls;
            if (waited_ns[i] > (atomic_load(&slots[i].long_call) ? LONG_FACTOR : 1) * limit_ns)
                tell_of_hang(&slots[i], call, waited_ns[i]);
        }
    }
    return NULL;
}

void guard_watch(int64_t timeout_ns)
{
    sigset_t all, before;
    pthread_t thread;

    if (atomic_exchange(&watch_ns, timeout_ns) != 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) == 0) /* without it a hang is only not told */
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void guard_allow(double seconds)
{
    int64_t ns = seconds < 1e9 ? (int64_t)(seconds * 1e9) : INT64_C(1000000000000000000), now = atomic_load(&watch_ns);

    if (now != 0 && ns > now)
        atomic_store(&watch_ns, ns);
}
