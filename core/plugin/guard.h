/* Each call into a plugin's code stands between guard_enter and guard_leave, so that a crash, an exit or a hang in it
 * ends with one sentence that names the plugin and the call, and with exit code 4. Without guard_install the calls are
 * only noted down. A child process that tries a plugin mirrors the calls for its parent. */
#ifndef LLMRUN_PLUGIN_GUARD_H
#define LLMRUN_PLUGIN_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the calling thread does in the plugin: "in count", "when it was loaded". Both texts live until guard_leave.
 * Calls do not nest. `long_call`: one that the contract lets take long (open, build). Costs some nanoseconds. */
void guard_enter(const char *plugin, const char *call, bool long_call);
void guard_leave(void);

/* What a thread waits for, put into words only when it has to be told: "section forward of step 3, microbatch 2,". */
struct awaited {
    const char *what;   /* "section" */
    const char *name;   /* "forward"; NULL: none */
    int64_t step;       /* 0: none */
    int32_t microbatch; /* from 0; the first is not told */
};

#define AWAITED_BYTES 192

void awaited_describe(const struct awaited *awaited, char text[AWAITED_BYTES]);

/* What the calling thread waits for, until it is NULL again: "device 0 of cpu did not finish section forward of step 3"
 * begins the sentence when a call hangs. */
void guard_await(int32_t device, const struct awaited *awaited);

/* For whoever ends a process: installs handlers of the signals of a crash and of exit, which tell of the plugin whose
 * code was running. Other crashes stay what they were. Not in builds with sanitizers, which tell more. */
void guard_install(void);

/* In a thread that begins: its handler of crashes has a stack of its own, which guard_thread_end takes away at the
 * thread's end. NULL where there is no memory for one. */
void *guard_thread_begin(void);
void guard_thread_end(void *memory);

/* Where `_exit(code)` is called from `caller`: ends the process with a sentence if that is a plugin's code, else
 * returns. A signal handler may call it. */
void guard_ended(int code, uintptr_t caller);

/* Starts a thread that ends the process when a call takes longer than `timeout_ns`, a long one ten times that. Called
 * again it sets the time anew. */
void guard_watch(int64_t timeout_ns);

/* Where calls are watched: they may take this long, if that is longer. */
void guard_allow(double seconds);

/* Code at [low, high) is that of `plugin`: a crash in a thread of its own is told with its name. The text lives as long
 * as the process. */
void guard_plugin_code(const char *plugin, uintptr_t low, uintptr_t high);

/* A device hangs: destroying what is in it may block, so the process is to end without. */
void guard_abandon(void);
bool guard_abandoned(void);

#define GUARD_CALL_BYTES 64

/* Copies the name of each call that begins into `mirror`, GUARD_CALL_BYTES bytes that another process sees; "" at its
 * end. One thread uses plugins then. */
void guard_mirror(char *mirror);

/* Around the call of one entry of a plugin's table: the entry's code, or nothing. */
static inline int32_t guard_code(int32_t code)
{
    guard_leave();
    return code;
}
#define GUARDED(backend, table, entry, ...)                                                                            \
    (guard_enter((backend)->name, "in " #entry, false), guard_code((backend)->table.entry(__VA_ARGS__)))
#define GUARDED_LONG(backend, table, entry, ...)                                                                       \
    (guard_enter((backend)->name, "in " #entry, true), guard_code((backend)->table.entry(__VA_ARGS__)))
#define GUARDED_VOID(backend, table, entry, ...)                                                                       \
    (guard_enter((backend)->name, "in " #entry, false), (backend)->table.entry(__VA_ARGS__), guard_leave())

#endif
