#include "dist/variables.h"

#include <stddef.h>
#include <string.h>

const char *variable_find(char *const *variables, const char *name)
{
    const size_t length = strlen(name);

    for (char *const *at = variables; at != NULL && *at != NULL; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return (*at)[length + 1] != '\0' ? *at + length + 1 : NULL;
    return NULL;
}
