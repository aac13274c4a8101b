/* The layout of every struct of the contract, as this compiler lays it out: `abi_layout` prints it, `abi_layout FILE`
 * compares it with a committed print of it. A difference is a break of the ABI, or a growth that FILE must be made to
 * show. */
#include <llmrun/backend.h>
#include <llmrun/collective.h>
#include <llmrun/ops.h>
#include <llmrun/random.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *structure;
    const char *field; /* NULL: the structure itself */
    size_t offset;
    size_t bytes;
};

static const struct row rows[] = {
#define STRUCT(structure) {#structure, NULL, 0, sizeof(struct structure)},
#define FIELD(structure, field)                                                                                        \
    {#structure, #field, offsetof(struct structure, field), sizeof(((struct structure *)0)->field)},
#include "abi_layout.def"
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void print_row(const struct row *row, char *line, size_t bytes)
{
    if (row->field == NULL)
        snprintf(line, bytes, "%s: %zu bytes\n", row->structure, row->bytes);
    else
        snprintf(line, bytes, "  %zu %s: %zu\n", row->offset, row->field, row->bytes);
}

static int compare(FILE *file, const char *path)
{
    char here[256], there[256];
    size_t i;

    for (i = 0; i < ROWS; i++) {
        print_row(&rows[i], here, sizeof(here));
        if (fgets(there, sizeof(there), file) == NULL)
            there[0] = '\0';
        if (strcmp(here, there) == 0)
            continue;
        fprintf(stderr, "%s line %zu, %s: committed as \"%s\", compiled as \"%s\"\n", path, i + 1, rows[i].structure,
                there, here);
        return 1;
    }
    if (fgets(there, sizeof(there), file) == NULL)
        return 0;
    fprintf(stderr, "%s has more lines than the contract has fields\n", path);
    return 1;
}

/* Fields follow each other without a gap: none is missing from abi_layout.def, and no compiler pads on its own. */
static int find_gaps(void)
{
    size_t i, end = 0, total = 0;
    const char *structure = "";
    int gaps = 0;

    for (i = 0; i <= ROWS; i++) {
        if (i == ROWS || rows[i].field == NULL) {
            if (end != total) {
                fprintf(stderr, "%s: fields end at %zu of %zu bytes\n", structure, end, total);
                gaps++;
            }
            end = 0;
            total = i < ROWS ? rows[i].bytes : 0;
            structure = rows[i < ROWS ? i : 0].structure;
            continue;
        }
        if (rows[i].offset != end) {
            fprintf(stderr, "%s: %s stands at %zu, the field before it ends at %zu\n", structure, rows[i].field,
                    rows[i].offset, end);
            gaps++;
        }
        end = rows[i].offset + rows[i].bytes;
    }
    return gaps > 0;
}

int main(int argc, char **argv)
{
    char line[256];
    FILE *file;
    size_t i;
    int failed;

    if (argc == 1) {
        for (i = 0; i < ROWS; i++) {
            print_row(&rows[i], line, sizeof(line));
            fputs(line, stdout);
        }
        return find_gaps();
    }
    file = fopen(argv[1], "r");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    failed = compare(file, argv[1]);
    fclose(file);
    return find_gaps() || failed;
}
