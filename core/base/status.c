#include "base/status.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

int error_set(struct error *error, int status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;

        error->status = status;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        text_hide_controls(error->message);
    }
    return status;
}

int error_prefix(struct error *error, const char *format, ...)
{
    char old[sizeof error->message];
    va_list arguments;
    int used;

    if (error == NULL)
        return STATUS_BUG;
    memcpy(old, error->message, sizeof old);
    va_start(arguments, format);
    used = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (used >= 0 && (size_t)used < sizeof error->message)
        snprintf(error->message + used, sizeof error->message - (size_t)used, ": %s", old);
    text_hide_controls(error->message);
    return error->status;
}
