#include "base/status.h"

#include <stdio.h>
#include <string.h>

/* What foreign files hold stands in messages. A control character of theirs would end the line, or drive the terminal
 * that shows it; the second byte of U+0080 to U+009F is all that tells these from other characters of two bytes. */
static void hide_controls(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7F)
            *at = '?';
        else if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F)
            at[0] = at[1] = '?';
    }
}

int error_set(struct error *error, int status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;

        error->status = status;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        hide_controls(error->message);
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
    hide_controls(error->message);
    return error->status;
}
