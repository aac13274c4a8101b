/* llmrun plugin contract: what every plugin does, as small functions to include. Optional; C99 and C++17. Uses the C
 * library. */
#ifndef LLMRUN_PLUGIN_H
#define LLMRUN_PLUGIN_H

#include <llmrun/backend.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fills *error (NULL is accepted) with a sentence and returns `code`: `return llmrun_fail(error, ...);`. */
static inline int32_t llmrun_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
static inline int32_t llmrun_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return code;
    error->code = code;
    error->vendor_code = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return code;
}

/* For the entry of a plugin called `name` that needs nothing newer than the headers that it is compiled with. */
static inline int32_t llmrun_check_host(const struct llmrun_host *host, const char *name, struct llmrun_error *error)
{
    if (host->size >= LLMRUN_HOST_MIN && host->abi_major == LLMRUN_ABI_MAJOR && host->abi_minor >= LLMRUN_ABI_MINOR)
        return LLMRUN_OK;
    return llmrun_fail(error, LLMRUN_ERROR_VERSION,
                       "%s is made for plugin contract %d.%d, this host speaks %u.%u: it needs %d.%d or newer", name,
                       LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR, (unsigned)host->abi_major, (unsigned)host->abi_minor,
                       LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR);
}

/* ---- structs that begin with `size`, and may be shorter or longer on the other side ---- */

static inline uint32_t llmrun_size_of(const void *sized)
{
    uint32_t size;

    memcpy(&size, sized, sizeof(size));
    return size;
}

/* Answers a struct of the host that is smaller than `least`, its LLMRUN_..._MIN. `what`: "a copy". */
static inline int32_t llmrun_check_size(const void *sized, uint32_t least, const char *what, struct llmrun_error *error)
{
    if (llmrun_size_of(sized) >= least)
        return LLMRUN_OK;
    return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s of %u bytes is too short; it has %u", what,
                       (unsigned)llmrun_size_of(sized), (unsigned)least);
}

/* Copies the `bytes` bytes that the host has of a struct to one of `own_bytes`, whose other bytes become 0. */
static inline void llmrun_copy_struct(void *own, uint32_t own_bytes, const void *from, uint32_t bytes)
{
    memset(own, 0, own_bytes);
    memcpy(own, from, bytes < own_bytes ? bytes : own_bytes);
}

/* Reads a struct of the host into *own, of `own_bytes`. */
static inline int32_t llmrun_read(const void *from, uint32_t least, void *own, uint32_t own_bytes, const char *what,
                                  struct llmrun_error *error)
{
    int32_t code = llmrun_check_size(from, least, what, error);

    if (code == LLMRUN_OK)
        llmrun_copy_struct(own, own_bytes, from, llmrun_size_of(from));
    return code;
}

/* Fills a struct of the host from *own, as far as it reaches; its size becomes the bytes filled. */
static inline void llmrun_write(void *to, void *own, uint32_t own_bytes)
{
    uint32_t size = llmrun_size_of(to);

    size = size < own_bytes ? size : own_bytes;
    memcpy(own, &size, sizeof(size));
    memcpy(to, own, size);
}

/* ---- arrays, whose items may be longer on the other side ---- */

/* Item `index`, at an address that is right for it. */
static inline const void *llmrun_item(const void *items, uint32_t stride, uint32_t index)
{
    return (const char *)items + (size_t)stride * index;
}

/* The value of an option, NULL where it is not given. */
static inline const char *llmrun_option_value(const struct llmrun_options *options, const char *key)
{
    const char *value = NULL;
    uint32_t i;

    for (i = 0; i < options->count; i++) {
        const struct llmrun_option *option =
            (const struct llmrun_option *)llmrun_item(options->items, options->stride, i);

        if (strcmp(option->key, key) == 0)
            value = option->value;
    }
    return value;
}

/* Reads an op of the host into *own; its operands go to `tensors`, of LLMRUN_MAX_OPERANDS, one behind the other.
 * Attributes stay where they are. */
static inline int32_t llmrun_read_op(const struct llmrun_op *from, struct llmrun_op *own, struct llmrun_tensor *tensors,
                                     struct llmrun_error *error)
{
    int32_t code = llmrun_read(from, LLMRUN_OP_MIN, own, sizeof(*own), "an op description", error);
    uint32_t i;

    if (code != LLMRUN_OK)
        return code;
    if (own->operand_count > LLMRUN_MAX_OPERANDS)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "op %u has %u operands; %d are known", (unsigned)own->op,
                           (unsigned)own->operand_count, LLMRUN_MAX_OPERANDS);
    if (own->operand_stride < LLMRUN_TENSOR_MIN)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "operands are %u bytes apart; each has %u",
                           (unsigned)own->operand_stride, (unsigned)LLMRUN_TENSOR_MIN);
    for (i = 0; i < own->operand_count; i++)
        llmrun_copy_struct(&tensors[i], sizeof(tensors[i]), llmrun_item(own->operands, own->operand_stride, i),
                           own->operand_stride);
    own->size = sizeof(*own);
    own->operands = tensors;
    own->operand_stride = sizeof(tensors[0]);
    return LLMRUN_OK;
}

#ifdef __cplusplus
}
#endif

#endif
