#include "plugin/facts.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "plugin/guard.h"

#define ALIGNMENT_MAX INT64_C(1073741824) /* a huge page of x86-64; nothing is aligned to more */

int facts_count(const struct backend *backend, int32_t *count, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t given = 0, code = GUARDED_LONG(backend, device, count, &given, &reason);

    *count = 0;
    if (code != LLMRUN_OK)
        return backend_error(backend, code, &reason, error);
    if (given < 0 || given > FACTS_DEVICES_MAX)
        return error_set(error, STATUS_BACKEND, "%s: it says it has %d devices, expected 0 to %d", backend->name, given,
                         FACTS_DEVICES_MAX);
    *count = given;
    return STATUS_OK;
}

static void end_text(char *text, size_t bytes)
{
    text[bytes - 1] = '\0';
    text_hide_controls(text);
}

static int check(const struct backend *backend, int32_t index, const struct llmrun_device_info *info,
                 struct error *error)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"memory_bytes", (double)info->memory_bytes},
                   {"memory_free_bytes", (double)info->memory_free_bytes},
                   {"largest_allocation_bytes", (double)info->largest_allocation_bytes},
                   {"memory_bytes_per_s", info->memory_bytes_per_s},
                   {"flops_f32", info->flops_f32},
                   {"flops_bf16", info->flops_bf16},
                   {"flops_fp8", info->flops_fp8}};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!isfinite(numbers[i].value) || numbers[i].value < 0)
            return error_set(error, STATUS_BACKEND, "%s: device %d gives %g as its %s, expected 0 or more",
                             backend->name, index, numbers[i].value, numbers[i].name);
    if (info->alignment < 1 || info->alignment > ALIGNMENT_MAX || (info->alignment & (info->alignment - 1)) != 0)
        return error_set(error, STATUS_BACKEND,
                         "%s: device %d says its memory is aligned to %lld bytes, expected a power of two up to %lld",
                         backend->name, index, (long long)info->alignment, (long long)ALIGNMENT_MAX);
    if (info->exact > 1)
        return error_set(error, STATUS_BACKEND, "%s: device %d gives %u as its exact, expected 0 or 1", backend->name,
                         index, info->exact);
    return STATUS_OK;
}

int facts_describe(const struct backend *backend, int32_t index, struct llmrun_device_info *info, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;

    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    code = GUARDED(backend, device, info, index, info, &reason);
    if (code != LLMRUN_OK)
        return backend_error(backend, code, &reason, error);
    end_text(info->name, sizeof info->name);
    end_text(info->architecture, sizeof info->architecture);
    end_text(info->domain, sizeof info->domain);
    if (info->streams < 1)
        info->streams = 1;
    return check(backend, index, info, error);
}

int facts_given(const struct backend *backend, int32_t index, const char *call, const void *object, struct error *error)
{
    if (object != NULL)
        return STATUS_OK;
    return error_set(error, STATUS_BACKEND, "%s: %s on device %d succeeded and gave NULL", backend->name, call, index);
}
