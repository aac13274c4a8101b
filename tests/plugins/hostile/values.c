/* The values that cannot be, by name:
 *
 *   table-wild, table-garbage, table-size0, table-huge, table-null-device, table-null-entries, table-wild-device,
 *   table-null-name, table-wild-name, table-long-name, table-escape (in version and vendor)
 *   count-negative, count-huge
 *   info-unterminated, info-escape, info-nan, info-infinite, info-negative, info-alignment, info-huge-alignment,
 *   info-exact
 *   open-null, open-wild
 *   workspace-huge, workspace-negative, support-unknown, reason-escape
 *   host-null, host-wild, host-same; memory-zero, memory-odd, memory-same, memory-last
 *   and, in hostile.c, thread-crash, thread-recursion, stream-null, event-null, kernel-null, event-state,
 *   elapsed-negative, event-never, event-impatient, event-code, name-escape, log-escape, log-level */
#include <math.h>
#include <string.h>

#include "hostile.h"

#define WILD 0x10 /* an address where nothing is */

/* Text that never ends, up to the page behind it. */
static char endless[65536];

const struct llmrun_backend *spoil_backend(struct llmrun_backend *to, struct llmrun_device_table *device,
                                           struct llmrun_kernel_table *kernel)
{
    static char garbage[4096];

    memset(endless, 'x', sizeof endless);
    memset(garbage, 0xa5, sizeof garbage);
    if (is_ordered("table-wild"))
        return (const struct llmrun_backend *)WILD;
    if (is_ordered("table-garbage"))
        return (const struct llmrun_backend *)(void *)garbage;
    if (is_ordered("table-size0"))
        to->size = 0;
    if (is_ordered("table-huge"))
        to->size = 0x7fffffff;
    if (is_ordered("table-null-device"))
        to->device = NULL;
    if (is_ordered("table-wild-device"))
        to->device = (const struct llmrun_device_table *)WILD;
    if (is_ordered("table-null-entries")) {
        device->stream_create = NULL;
        kernel->launch = NULL;
    }
    if (is_ordered("table-null-name"))
        to->name = NULL;
    if (is_ordered("table-wild-name"))
        to->name = (const char *)WILD;
    if (is_ordered("table-long-name"))
        to->name = to->version = to->vendor = endless;
    if (is_ordered("table-escape"))
        to->version = to->vendor = "1.0\x1b[31m\n";
    return to;
}

void spoil_count(int32_t *count)
{
    if (is_due("count-negative"))
        *count = -3;
    if (is_due("count-huge"))
        *count = INT32_MAX;
}

void spoil_info(struct llmrun_device_info *info)
{
    if (is_due("info-unterminated"))
        memset(info->name, 'y', sizeof info->name + sizeof info->architecture + sizeof info->domain);
    if (is_due("info-escape"))
        strcpy(info->name, "red \x1b[31m device\n\xc2\x9b");
    if (is_due("info-nan"))
        info->flops_f32 = NAN;
    if (is_due("info-infinite"))
        info->memory_bytes_per_s = INFINITY;
    if (is_due("info-negative"))
        info->memory_bytes = -1;
    if (is_due("info-alignment"))
        info->alignment = 48;
    if (is_due("info-huge-alignment"))
        info->alignment = INT64_C(1) << 62;
    if (is_due("info-exact"))
        info->exact = 77;
}

void spoil_device(struct llmrun_device **device)
{
    if (is_due("open-null"))
        *device = NULL;
    if (is_due("open-wild"))
        *device = (struct llmrun_device *)WILD;
}

void spoil_memory(uint64_t *address)
{
    static uint64_t first;

    if (first == 0)
        first = *address;
    if (is_due("memory-zero"))
        *address = 0;
    if (is_due("memory-odd"))
        *address += 1;
    if (is_due("memory-same"))
        *address = first;
    if (is_due("memory-last"))
        *address = UINT64_MAX - 63;
}

void spoil_host_memory(void **memory)
{
    static void *first;

    if (first == NULL)
        first = *memory;
    if (is_due("host-null"))
        *memory = NULL;
    if (is_due("host-wild"))
        *memory = (void *)WILD;
    if (is_due("host-same"))
        *memory = first;
}

void spoil_answer(struct llmrun_op_support *answer)
{
    if (is_due("workspace-huge"))
        answer->workspace_bytes = INT64_MAX;
    if (is_due("workspace-negative"))
        answer->workspace_bytes = -64;
    if (is_due("support-unknown"))
        answer->support = 9;
    if (is_due("reason-escape")) {
        answer->support = LLMRUN_SUPPORT_NO;
        memset(answer->reason, 0x1b, sizeof answer->reason);
    }
}
