/* Joins text files with a byte 0 between them: `gather_text OUTPUT ROOT LIST`. LIST names one file a line, relative to
 * ROOT. Empty files are left out; a file that holds a byte 0 is no text and is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends one file; *count is the number of files appended so far. */
static int append_file(FILE *output, const char *path, int *count)
{
    char block[65536];
    FILE *input = fopen(path, "rb");
    size_t got, total = 0;
    int result = 1;

    if (input == NULL) {
        fprintf(stderr, "gather_text: %s cannot be read\n", path);
        return 1;
    }
    while ((got = fread(block, 1, sizeof block, input)) > 0) {
        if (memchr(block, 0, got) != NULL) {
            fprintf(stderr, "gather_text: %s holds a byte 0\n", path);
            goto out;
        }
        if (total == 0 && *count > 0)
            fputc(0, output);
        fwrite(block, 1, got, output);
        total += got;
    }
    *count += total > 0;
    result = ferror(input) || ferror(output);
out:
    fclose(input);
    return result;
}

int main(int argc, char **argv)
{
    char name[2048], path[4096];
    FILE *output = NULL, *list = NULL;
    int count = 0, result = 1;

    if (argc != 4) {
        fprintf(stderr, "usage: gather_text OUTPUT ROOT LIST\n");
        return 2;
    }
    output = fopen(argv[1], "wb");
    list = fopen(argv[3], "r");
    if (output == NULL || list == NULL) {
        fprintf(stderr, "gather_text: %s cannot be opened\n", output == NULL ? argv[1] : argv[3]);
        goto out;
    }
    result = 0;
    while (result == 0 && fgets(name, sizeof name, list) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        snprintf(path, sizeof path, "%s/%s", argv[2], name);
        result = append_file(output, path, &count);
    }
out:
    if (list != NULL)
        fclose(list);
    if (output != NULL && fclose(output) != 0)
        result = 1;
    return result;
}
