#include <stdarg.h>
#include <stdio.h>

#include "runtime/runtime.h"

int32_t runtime_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
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
