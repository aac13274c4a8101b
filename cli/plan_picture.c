#include "plan_picture.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/file.h"
#include "compile/picture.h"

/* Ranks in a picture: of a whole world, and of a dp replica, at most. */
#define WORLD_MOST   8
#define REPLICA_MOST 16

/* The ranks of the rows; those of a pipeline stand below each other. NULL without memory. */
static struct mesh *choose_rows(const struct mesh *mesh, int32_t *count)
{
    const int64_t replica = (int64_t)mesh->sizes[MESH_TP] * mesh->sizes[MESH_PP];
    const int32_t dp = mesh_world(mesh) <= WORLD_MOST ? mesh->sizes[MESH_DP] : 1;
    const int32_t tp = replica <= REPLICA_MOST ? mesh->sizes[MESH_TP] : 1;
    struct mesh row = *mesh, *rows = NULL, *grown;
    int64_t capacity = 0;

    *count = 0;
    row.index[MESH_CP] = 0;
    for (row.index[MESH_DP] = 0; row.index[MESH_DP] < dp; row.index[MESH_DP]++)
        for (row.index[MESH_TP] = 0; row.index[MESH_TP] < tp; row.index[MESH_TP]++)
            for (row.index[MESH_PP] = 0; row.index[MESH_PP] < row.sizes[MESH_PP]; row.index[MESH_PP]++) {
                grown = array_reserve(rows, *count, 1, &capacity, sizeof *rows);
                if (grown == NULL) {
                    free(rows);
                    return NULL;
                }
                rows = grown;
                rows[(*count)++] = row;
            }
    return rows;
}

static int draw(const struct compile_request *request, plan_compile *compile, void *context, const struct mesh *rows,
                int32_t count, struct text *svg, struct error *error)
{
    struct compiled *ranks = calloc((size_t)count, sizeof *ranks);
    int32_t made = 0;
    int status = ranks != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for a picture");

    for (; status == STATUS_OK && made < count; made += status == STATUS_OK) {
        struct compile_request own = *request;

        own.mesh = rows[made];
        status = compile(context, &own, &ranks[made], error);
    }
    if (status == STATUS_OK)
        status = picture_draw(ranks, count, request->schedule, svg, error);
    if (status == STATUS_OK && svg->failed)
        status = error_set(error, STATUS_MEMORY, "no memory for a picture");
    while (made > 0)
        compiled_finish(&ranks[--made]);
    free(ranks);
    return status;
}

static int write_file(const char *path, const struct text *svg, struct error *error)
{
    const struct file_system *fs = &file_system_real;
    const int handle = fs->open(fs, path, FILE_CREATE);
    int status, problem;

    if (handle < 0)
        return error_set(error, STATUS_STORAGE, "%s: cannot be written: %s", path, file_problem_text(-handle));
    status = file_write_all(fs, handle, path, svg->data, (size_t)svg->length, error);
    problem = fs->close(fs, handle);
    if (status == STATUS_OK && problem < 0)
        status = error_set(error, STATUS_STORAGE, "%s: cannot be written: %s", path, file_problem_text(-problem));
    return status;
}

int plan_picture_write(const struct compile_request *request, plan_compile *compile, void *context, const char *path,
                       struct error *error)
{
    int32_t count;
    struct mesh *rows = choose_rows(&request->mesh, &count);
    struct text svg = {0};
    int status = rows != NULL ? draw(request, compile, context, rows, count, &svg, error)
                              : error_set(error, STATUS_MEMORY, "no memory for a picture");

    if (status == STATUS_OK)
        status = write_file(path, &svg, error);
    text_finish(&svg);
    free(rows);
    return status;
}
