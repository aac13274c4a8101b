/* llmrun plugin contract: what backends and collectives share. C99; needs only <stddef.h> and <stdint.h>.
 *
 * Rules of the contract
 * - Every table starts with `uint32_t size`, the bytes of the table as its author compiled it. Tables only grow at the
 *   end. The host copies min(size, its own size) into a zeroed table of its own, so an older plugin's missing entries
 *   are NULL.
 * - So do other structs that start with `size`. Who reads or fills one of the other side touches min(size, own size)
 *   bytes and takes what lies beyond as 0. None is smaller than version 0.2 has it, LLMRUN_<name>_MIN behind the
 * struct. Beside an array of structs stands its stride, the bytes from one to the next: they grow too.
 * - A fallible call returns an int32_t code, LLMRUN_OK or one of the codes below, and on failure fills `error`, which
 *   the caller owns and which may be NULL. Nothing allocated on one side is freed on the other.
 * - A plugin never exits, aborts, installs signal handlers or changes the environment, and is never unloaded.
 * - Strings are NUL-terminated UTF-8. A `const char *` that a plugin returns lives as long as the object it was asked
 *   of.
 * - Unknown values of an enumeration, unknown flags and unknown versions are answered with LLMRUN_ERROR_UNSUPPORTED.
 * - Sizes are int64_t and in bytes unless the name says otherwise. */
#ifndef LLMRUN_TYPES_H
#define LLMRUN_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From 0.2 on a plugin works with every host of its major version whose minor version is at least the plugin's. */
#define LLMRUN_ABI_MAJOR 0
#define LLMRUN_ABI_MINOR 2

/* The bytes of a struct from its begin through one of its members. */
#define LLMRUN_THROUGH(type, member) ((uint32_t)(offsetof(type, member) + sizeof(((type *)0)->member)))

/* Codes. Negative numbers are never used. */
#define LLMRUN_OK                0
#define LLMRUN_ERROR_INTERNAL    1 /* the plugin's own mistake */
#define LLMRUN_ERROR_ARGUMENT    2 /* the host's mistake: an argument breaks the contract */
#define LLMRUN_ERROR_UNSUPPORTED 3 /* this plugin or device cannot do it */
#define LLMRUN_ERROR_MEMORY      4 /* no memory, host or device */
#define LLMRUN_ERROR_DEVICE      5 /* the device or its driver failed; vendor_code says how */
#define LLMRUN_ERROR_TIMEOUT     6 /* not done within the time given; try again or give up */
#define LLMRUN_ERROR_VERSION     7 /* host and plugin do not fit together */
#define LLMRUN_ERROR_ABORTED     8 /* a communicator was aborted */

struct llmrun_error {
    int32_t code;
    int32_t vendor_code; /* the vendor library's number, 0 when there is none */
    char message[512];   /* one sentence: what failed, on what, and why */
};

/* Element types. Rows never change their number. The FP8 formats differ in bias, largest value and NaN rule. */
#define LLMRUN_NONE      0 /* an operand that is absent */
#define LLMRUN_F64       1
#define LLMRUN_F32       2
#define LLMRUN_BF16      3
#define LLMRUN_F16       4
#define LLMRUN_I32       5
#define LLMRUN_U32       6
#define LLMRUN_U8        7
#define LLMRUN_E4M3FN    8  /* OCP E4M3: largest 448, no infinity */
#define LLMRUN_E5M2      9  /* OCP E5M2: largest 57344, IEEE-like */
#define LLMRUN_E4M3FNUZ  10 /* bias 8, largest 240, no negative zero */
#define LLMRUN_E5M2FNUZ  11 /* bias 16, largest 57344, no negative zero */
#define LLMRUN_E4M3_IEEE 12 /* 1-4-3 with infinity, largest 240 */
#define LLMRUN_DTYPES    13 /* one past the last */

#define LLMRUN_MAX_RANK 5

/* The form of one tensor. Row-major: the last dimension is the innermost. */
struct llmrun_tensor {
    uint32_t dtype;                  /* LLMRUN_F32 ...; LLMRUN_NONE for an absent operand, all else 0 then */
    uint32_t rank;                   /* 0 to LLMRUN_MAX_RANK; rank 0 is one element */
    int64_t shape[LLMRUN_MAX_RANK];  /* elements; unused entries 0 */
    int64_t stride[LLMRUN_MAX_RANK]; /* elements between neighbours; unused entries 0 */
    int64_t alignment;               /* the address is a multiple of this many bytes, a power of two */
};
#define LLMRUN_TENSOR_MIN LLMRUN_THROUGH(struct llmrun_tensor, alignment) /* of a stride */

/* A named text option for a device or communicator, e.g. {"threads", "2"}. */
struct llmrun_option {
    const char *key;
    const char *value;
};
#define LLMRUN_OPTION_MIN LLMRUN_THROUGH(struct llmrun_option, value) /* of a stride */

struct llmrun_options {
    uint32_t size;
    uint32_t count;
    const struct llmrun_option *items; /* of equal keys the last one counts */
    uint32_t stride;                   /* bytes from one item to the next */
    uint32_t reserved;                 /* 0 */
};
#define LLMRUN_OPTIONS_MIN LLMRUN_THROUGH(struct llmrun_options, stride)

#define LLMRUN_LOG_ERROR   0
#define LLMRUN_LOG_WARNING 1
#define LLMRUN_LOG_INFO    2
#define LLMRUN_LOG_DEBUG   3

/* What the host offers a plugin. Lives as long as the process. Any thread. */
struct llmrun_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved; /* 0 */
    void *context;     /* first argument of every entry */
    void (*log)(void *context, uint32_t level, const char *line);
    /* Host memory for a plugin's own objects; `alignment` is a power of two. NULL when there is none. */
    void *(*allocate)(void *context, int64_t bytes, int64_t alignment);
    void (*release)(void *context, void *memory); /* NULL is accepted */
};
#define LLMRUN_HOST_MIN LLMRUN_THROUGH(struct llmrun_host, release)

/* The note by which the host knows a plugin before any of its code runs: an ELF note of owner "llmrun" in the section
 * .note.llmrun. The host reads it from the file and refuses what does not fit. */
#define LLMRUN_NOTE_TYPE         1
#define LLMRUN_PLUGIN_BACKEND    1
#define LLMRUN_PLUGIN_COLLECTIVE 2
#define LLMRUN_ISA_X86_64        1 /* the levels of the x86-64 psABI, and others */
#define LLMRUN_ISA_X86_64_V2     2
#define LLMRUN_ISA_X86_64_V3     3
#define LLMRUN_ISA_X86_64_V4     4
#define LLMRUN_ISA_AARCH64       16

struct llmrun_note {
    uint32_t owner_bytes;       /* 7 */
    uint32_t description_bytes; /* the bytes after `owner` */
    uint32_t type;              /* LLMRUN_NOTE_TYPE */
    char owner[8];              /* "llmrun" */
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t kind; /* LLMRUN_PLUGIN_BACKEND ... */
    uint32_t isa;  /* the instruction set that the plugin's entry needs */
    char name[32];
    char version[32];
};

#if defined(__aarch64__)
#define LLMRUN_ISA_BASELINE LLMRUN_ISA_AARCH64
#else
#define LLMRUN_ISA_BASELINE LLMRUN_ISA_X86_64
#endif

/* Once, at file scope, in one source file of the plugin: LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "mine", "1.0"). */
#define LLMRUN_PLUGIN_NOTE(plugin_kind, plugin_name, plugin_version)                                                   \
    LLMRUN_PLUGIN_NOTE_ABI(plugin_kind, plugin_name, plugin_version, LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR)
#define LLMRUN_PLUGIN_NOTE_ABI(plugin_kind, plugin_name, plugin_version, major, minor)                                 \
    __attribute__((section(".note.llmrun"), used, aligned(4))) static const struct llmrun_note llmrun_plugin_note = {  \
        7,                                                                                                             \
        (uint32_t)(sizeof(struct llmrun_note) - 20),                                                                   \
        LLMRUN_NOTE_TYPE,                                                                                              \
        "llmrun",                                                                                                      \
        (major),                                                                                                       \
        (minor),                                                                                                       \
        (plugin_kind),                                                                                                 \
        LLMRUN_ISA_BASELINE,                                                                                           \
        plugin_name,                                                                                                   \
        plugin_version}

#if defined(__GNUC__)
#define LLMRUN_EXPORT __attribute__((visibility("default")))
#else
#define LLMRUN_EXPORT
#endif

#ifdef __cplusplus
}
#endif

#endif
