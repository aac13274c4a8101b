/* Mutants of C sources, all in one build and switched on at run time. scripts/mutate drives it.
 *
 *     mutate list SEED FILE...        every one-token change that could be made, in an order that the seed gives:
 *                                     "FILE OFFSET LINE OLD NEW"
 *     mutate apply FILE OFFSET=ID...  FILE on stdout with the changes at these offsets in it, each as number ID
 *     mutate header                   mutants.h, which a changed file includes
 *
 * There MUTANT_* choose between a token and its change by the environment variable MUTANT, and the file that
 * MUTANTS_REACHED names gets the number of each change that is passed.
 *
 * Left alone are preprocessor lines, tables outside of functions, static data, sizes of arrays, labels, asserts (not
 * compiled in a release), and the third part of a `for`, whose changes only never end. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static int add_lines(const char *path, char ***lines, int *count)
{
    struct source s;
    struct change change;

    if (!source_read(path, &s))
        return 1;
    for (int i = 0; i < s.count; i++) {
        const struct token *token = &s.tokens[i];
        size_t bytes = strlen(path) + 100;

        if (!change_make(&s, i, 0, &change))
            continue;
        *lines = realloc(*lines, ((size_t)*count + 1) * sizeof **lines);
        if (*lines == NULL || ((*lines)[*count] = malloc(bytes)) == NULL)
            return 1;
        snprintf((*lines)[(*count)++], bytes, "%s %ld %d %.*s %s", path, token->begin, token->line,
                 (int)(token->end - token->begin), s.text + token->begin, change.other);
    }
    source_free(&s);
    return 0;
}

/* Prints the lines in an order of the seed's and frees them. */
static int list(uint64_t seed, int files, char **paths)
{
    char **lines = NULL;
    int count = 0, result = 0;

    for (int f = 0; result == 0 && f < files; f++)
        result = add_lines(paths[f], &lines, &count);
    for (int i = 0; i < count; i++) {
        int other = i + (int)(next_random(&seed) % (uint64_t)(count - i));
        char *line = lines[other];

        lines[other] = lines[i];
        puts(line);
        free(line);
    }
    free(lines);
    return result;
}

static int apply(const char *path, int count, char **words)
{
    struct change *changes = calloc((size_t)count, sizeof *changes);
    struct source s;
    int result = changes == NULL || !source_read(path, &s);

    for (int c = 0; result == 0 && c < count; c++) {
        long offset = -1;
        int id = 0, i = 0;

        sscanf(words[c], "%ld=%d", &offset, &id);
        while (i < s.count && s.tokens[i].begin != offset)
            i++;
        if (i == s.count || !change_make(&s, i, id, &changes[c])) {
            fprintf(stderr, "mutate: nothing to change at %s of %s\n", words[c], path);
            result = 1;
        }
    }
    if (result == 0) {
        puts("#include \"mutants.h\"\n#line 1");
        change_write(&s, count, changes);
        source_free(&s);
    }
    free(changes);
    return result;
}

static int header(void)
{
    puts("#ifndef MUTANTS_H\n#define MUTANTS_H\n"
         "#include <fcntl.h>\n#include <stdbool.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
         "#define MUTANT_BINARY(id, l, op, other, r) (mutant_on(id) ? (l other r) : (l op r))\n"
         "#define MUTANT_POSTFIX(id, l, op, other) (mutant_on(id) ? (l other) : (l op))\n"
         "static int mutant_chosen = -1;\n"
         "static char mutant_reached[10000];\n"
         "static inline bool mutant_on(int id)\n{\n"
         "    if (mutant_chosen < 0)\n"
         "        mutant_chosen = getenv(\"MUTANT\") != NULL ? atoi(getenv(\"MUTANT\")) : 0;\n"
         "    if (!mutant_reached[id]) {\n"
         "        const char *path = getenv(\"MUTANTS_REACHED\");\n"
         "        int file = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;\n"
         "        mutant_reached[id] = 1;\n"
         "        if (file >= 0) {\n            dprintf(file, \"%d\\n\", id);\n            close(file);\n        }\n   "
         " }\n"
         "    return mutant_chosen == id;\n}\n#endif");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "list") == 0)
        return list(strtoull(argv[2], NULL, 10), argc - 3, argv + 3);
    if (argc > 3 && strcmp(argv[1], "apply") == 0)
        return apply(argv[2], argc - 3, argv + 3);
    if (argc == 2 && strcmp(argv[1], "header") == 0)
        return header();
    fputs("usage: mutate list SEED FILE... | apply FILE OFFSET=ID... | header\n", stderr);
    return 2;
}
