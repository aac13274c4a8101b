/* Checks that each line of standard input is a JSON object and prints the members named as arguments, a line each:
 * strings as they are, numbers with 17 digits, others as JSON. A member that is missing prints "missing". Ends with 1
 * at the first line that is no object. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

static void print_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (value == NULL)
        fputs("missing", stdout);
    else if (json_is_string(value))
        fputs(json_string_value(value), stdout);
    else
        json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

int main(int argc, char **argv)
{
    static char line[1 << 20];

    while (fgets(line, sizeof line, stdin) != NULL) {
        json_error_t error;
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

        if (!json_is_object(object)) {
            fprintf(stderr, "no JSON object: %s\n%s", error.text, line);
            return 1;
        }
        for (int i = 1; i < argc; i++) {
            print_member(object, argv[i]);
            putchar(i + 1 < argc ? ' ' : '\n');
        }
        json_decref(object);
    }
    return 0;
}
