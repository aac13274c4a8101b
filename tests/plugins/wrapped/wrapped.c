#include "wrapped/wrapped.h"

#include <stdarg.h>
#include <stdio.h>

#include "kernels/table.h"

const struct llmrun_backend *inner;

const struct llmrun_backend *wrapped_open(const char *name, const struct llmrun_host *host, struct llmrun_error *error)
{
    static struct kernel_set kernels;

    kernels = cpu_kernel_set;
    kernels.name = name;
    inner = cpu_runtime_backend(&kernels, host, error);
    return inner;
}

int32_t wrapped_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return code;
    error->code = code;
    error->vendor_code = code == LLMRUN_ERROR_DEVICE ? 999 : 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return code;
}

int64_t wrapped_tensor_bytes(const struct llmrun_tensor *tensor)
{
    static const int8_t sizes[LLMRUN_DTYPES] = {
        [LLMRUN_F64] = 8,  [LLMRUN_F32] = 4,      [LLMRUN_BF16] = 2,     [LLMRUN_F16] = 2,
        [LLMRUN_I32] = 4,  [LLMRUN_U32] = 4,      [LLMRUN_U8] = 1,       [LLMRUN_E4M3FN] = 1,
        [LLMRUN_E5M2] = 1, [LLMRUN_E4M3FNUZ] = 1, [LLMRUN_E5M2FNUZ] = 1, [LLMRUN_E4M3_IEEE] = 1,
    };
    int64_t last = 0;

    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0)
            return 0;
        last += (tensor->shape[i] - 1) * tensor->stride[i];
    }
    return (last + 1) * sizes[tensor->dtype];
}
