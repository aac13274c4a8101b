#include "counts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program/op_table.h"
#include "program/program.h"

static _Atomic int64_t counts[COUNTS];

int64_t counted(enum count count)
{
    return atomic_load(&counts[count]);
}

static void add(enum count count)
{
    atomic_fetch_add(&counts[count], 1);
}

/* A function that counts its calls; CMakeLists.txt lists the same names. */
#define COUNTED(count, type, name, parameters, ...)                                                                    \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        add(count);                                                                                                    \
        return __real_##name(__VA_ARGS__);                                                                             \
    }

COUNTED(COUNT_ALLOCATIONS, void *, malloc, (size_t bytes), bytes)
COUNTED(COUNT_ALLOCATIONS, void *, calloc, (size_t items, size_t bytes), items, bytes)
COUNTED(COUNT_ALLOCATIONS, void *, realloc, (void *memory, size_t bytes), memory, bytes)
COUNTED(COUNT_ALLOCATIONS, void *, aligned_alloc, (size_t alignment, size_t bytes), alignment, bytes)
COUNTED(COUNT_ALLOCATIONS, int, posix_memalign, (void **memory, size_t alignment, size_t bytes), memory, alignment,
        bytes)
COUNTED(COUNT_ALLOCATIONS, char *, strdup, (const char *text), text)
COUNTED(COUNT_ALLOCATIONS, char *, strndup, (const char *text, size_t bytes), text, bytes)
COUNTED(COUNT_ALLOCATIONS, void *, mmap,
        (void *address, size_t bytes, int protection, int flags, int file, off_t offset), address, bytes, protection,
        flags, file, offset)

COUNTED(COUNT_LOOKUPS, int32_t, program_find, (const struct program *program, const char *name), program, name)
COUNTED(COUNT_LOOKUPS, struct value_slot *, value_index_slot,
        (const struct value_index *index, const struct value *values, const char *name), index, values, name)
COUNTED(COUNT_LOOKUPS, const struct op_info *, op_info_by_name, (const char *name, int64_t length), name, length)
COUNTED(COUNT_LOOKUPS, uint32_t, op_operand_index, (const struct op_info *op, const char *name), op, name)
COUNTED(COUNT_LOOKUPS, int, strcmp, (const char *a, const char *b), a, b)
COUNTED(COUNT_LOOKUPS, int, strncmp, (const char *a, const char *b, size_t bytes), a, b, bytes)
COUNTED(COUNT_LOOKUPS, int, strcasecmp, (const char *a, const char *b), a, b)
COUNTED(COUNT_LOOKUPS, int, strncasecmp, (const char *a, const char *b, size_t bytes), a, b, bytes)
COUNTED(COUNT_LOOKUPS, int, memcmp, (const void *a, const void *b, size_t bytes), a, b, bytes)
COUNTED(COUNT_LOOKUPS, void *, memchr, (const void *text, int letter, size_t bytes), text, letter, bytes)
COUNTED(COUNT_LOOKUPS, size_t, strlen, (const char *text), text)
COUNTED(COUNT_LOOKUPS, size_t, strnlen, (const char *text, size_t bytes), text, bytes)
COUNTED(COUNT_LOOKUPS, char *, strchr, (const char *text, int letter), text, letter)
COUNTED(COUNT_LOOKUPS, char *, strrchr, (const char *text, int letter), text, letter)
COUNTED(COUNT_LOOKUPS, char *, strstr, (const char *text, const char *part), text, part)
COUNTED(COUNT_LOOKUPS, size_t, strspn, (const char *text, const char *letters), text, letters)
COUNTED(COUNT_LOOKUPS, size_t, strcspn, (const char *text, const char *letters), text, letters)
COUNTED(COUNT_LOOKUPS, char *, getenv, (const char *name), name)

COUNTED(COUNT_TEXTS, int, vsnprintf, (char *text, size_t bytes, const char *format, va_list arguments), text, bytes,
        format, arguments)

int __wrap_snprintf(char *text, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

int __wrap_snprintf(char *text, size_t bytes, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = __wrap_vsnprintf(text, bytes, format, arguments);
    va_end(arguments);
    return length;
}

/* Those of plugins and libraries come here: symbols of the program are found before those of libraries. */
#if COUNTS_ALL_ALLOCATIONS
#define REPLACED __attribute__((visibility("default")))

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t items, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

REPLACED void *malloc(size_t bytes)
{
    add(COUNT_ALL_ALLOCATIONS);
    return __libc_malloc(bytes);
}

REPLACED void *calloc(size_t items, size_t bytes)
{
    add(COUNT_ALL_ALLOCATIONS);
    return __libc_calloc(items, bytes);
}

REPLACED void *realloc(void *memory, size_t bytes)
{
    add(COUNT_ALL_ALLOCATIONS);
    return __libc_realloc(memory, bytes);
}

REPLACED void *aligned_alloc(size_t alignment, size_t bytes)
{
    add(COUNT_ALL_ALLOCATIONS);
    return __libc_memalign(alignment, bytes);
}

REPLACED int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    add(COUNT_ALL_ALLOCATIONS);
    *memory = __libc_memalign(alignment, bytes);
    return *memory != NULL ? 0 : ENOMEM;
}

REPLACED void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    add(COUNT_ALL_ALLOCATIONS);
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}
#endif
