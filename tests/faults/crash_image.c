/* The model of a disk: files with what was written and what of it was synced; folders with the names that were synced
 * and the changes since. A rename within a folder is one change, as journals have it; nothing else is kept in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "crash_log.h"
#include "fixture.h"

#define MAX_NODES   256
#define MAX_NAMES   32
#define MAX_CHANGES 256
#define MAX_HANDLES 1024

struct name {
    char text[96];
    int node;
};

struct change {
    enum logged kind; /* CREATE (a folder too), REMOVE or RENAME */
    struct name name;
    char to[96];
};

struct node {
    bool folder;
    char *data;
    int64_t bytes, synced_bytes; /* only appended to: what was synced is a prefix */
    int name_count, change_count;
    struct name names[MAX_NAMES]; /* synced */
    struct change changes[MAX_CHANGES];
};

struct disk {
    int node_count;
    struct node nodes[MAX_NODES]; /* 0 is the root */
    int handles[MAX_HANDLES];
};

struct view {
    int count;
    struct name names[MAX_NAMES + MAX_CHANGES];
};

static void apply(struct view *view, const struct change *change)
{
    const char *gone = change->name.text, *come = change->kind == LOGGED_RENAME ? change->to : change->name.text;

    for (int i = 0; i < view->count; i++)
        if (strcmp(view->names[i].text, gone) == 0 || strcmp(view->names[i].text, come) == 0)
            view->names[i--] = view->names[--view->count];
    if (change->kind == LOGGED_REMOVE)
        return;
    view->names[view->count].node = change->name.node;
    strcpy(view->names[view->count++].text, come);
}

/* The names of a folder as the running system sees them. */
static void see(const struct node *folder, struct view *view)
{
    view->count = folder->name_count;
    memcpy(view->names, folder->names, sizeof folder->names);
    for (int i = 0; i < folder->change_count; i++)
        apply(view, &folder->changes[i]);
}

static int find_node(const struct disk *disk, const char *path, size_t bytes)
{
    int node = 0;

    while (bytes > 0) {
        size_t length = strcspn(path, "/") < bytes ? strcspn(path, "/") : bytes;
        struct view view;
        int next = -1;

        see(&disk->nodes[node], &view);
        for (int i = 0; i < view.count; i++)
            if (strlen(view.names[i].text) == length && memcmp(view.names[i].text, path, length) == 0)
                next = view.names[i].node;
        assert_true(next >= 0);
        node = next;
        bytes -= length + (bytes > length);
        path += length + (path[length] == '/');
    }
    return node;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static int parent_of(const struct disk *disk, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? find_node(disk, path, (size_t)(slash - path)) : 0;
}

static void add_change(struct disk *disk, enum logged kind, const char *path, const char *to, int node)
{
    struct node *folder = &disk->nodes[parent_of(disk, path)];
    struct change *change = &folder->changes[folder->change_count++];

    assert_true(folder->change_count <= MAX_CHANGES);
    change->kind = kind;
    change->name.node = node;
    strcpy(change->name.text, last_part(path));
    if (to != NULL) {
        assert_int_equal(parent_of(disk, path), parent_of(disk, to));
        strcpy(change->to, last_part(to));
    }
}

static int add_node(struct disk *disk, bool folder)
{
    assert_true(disk->node_count < MAX_NODES);
    disk->nodes[disk->node_count].folder = folder;
    return disk->node_count++;
}

static void write_node(struct node *node, const void *data, int64_t bytes)
{
    node->data = realloc(node->data, (size_t)(node->bytes + bytes));
    memcpy(node->data + node->bytes, data, (size_t)bytes);
    node->bytes += bytes;
}

static void sync_names(struct node *folder)
{
    struct view view;

    see(folder, &view);
    assert_true(view.count <= MAX_NAMES);
    memcpy(folder->names, view.names, sizeof folder->names);
    folder->name_count = view.count;
    folder->change_count = 0;
}

static void replay(struct disk *disk, const struct logged_call *call)
{
    int node;

    switch (call->kind) {
    case LOGGED_CREATE:
    case LOGGED_MAKE_FOLDER:
        node = add_node(disk, call->kind == LOGGED_MAKE_FOLDER);
        add_change(disk, LOGGED_CREATE, call->path, NULL, node);
        if (call->kind == LOGGED_CREATE)
            disk->handles[call->handle] = node;
        break;
    case LOGGED_WRITE:
        write_node(&disk->nodes[disk->handles[call->handle]], call->data, call->bytes);
        break;
    case LOGGED_SYNC:
        disk->nodes[disk->handles[call->handle]].synced_bytes = disk->nodes[disk->handles[call->handle]].bytes;
        break;
    case LOGGED_SYNC_FOLDER:
        sync_names(&disk->nodes[find_node(disk, call->path, strlen(call->path))]);
        break;
    case LOGGED_RENAME:
    case LOGGED_REMOVE:
        add_change(disk, call->kind, call->path, call->to, find_node(disk, call->path, strlen(call->path)));
        break;
    }
}

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

static void write_file(const struct node *node, enum crash_kind kind, uint32_t *random, const char *path)
{
    int64_t bytes = kind == CRASH_KILL ? node->bytes : node->synced_bytes;
    char *data = calloc(1, (size_t)node->bytes + 1);

    if (kind == CRASH_RANDOM && node->bytes > node->synced_bytes)
        bytes += next_random(random) % (node->bytes - node->synced_bytes + 1);
    if (bytes > 0)
        memcpy(data, node->data, (size_t)bytes);
    /* The length can reach the disk before the bytes do. */
    if (kind == CRASH_RANDOM && bytes > node->synced_bytes && next_random(random) % 2 == 0) {
        memset(data + node->synced_bytes, 0, (size_t)(bytes - node->synced_bytes));
        bytes = node->bytes;
    }
    fixture_write(path, data, (size_t)bytes);
    free(data);
}

static void write_folder(const struct disk *disk, int node, enum crash_kind kind, uint32_t *random, const char *path)
{
    const struct node *folder = &disk->nodes[node];
    struct view *view = malloc(sizeof *view);
    char below[PATH_MAX];

    assert_int_equal(file_make_folders(&file_system_real, path, NULL), STATUS_OK);
    view->count = folder->name_count;
    memcpy(view->names, folder->names, sizeof folder->names);
    for (int i = 0; i < folder->change_count; i++)
        if (kind == CRASH_KILL || (kind == CRASH_RANDOM && next_random(random) % 2 == 0))
            apply(view, &folder->changes[i]);
    for (int i = 0; i < view->count; i++) {
        assert_true(file_join(below, sizeof below, path, view->names[i].text));
        if (disk->nodes[view->names[i].node].folder)
            write_folder(disk, view->names[i].node, kind, random, below);
        else
            write_file(&disk->nodes[view->names[i].node], kind, random, below);
    }
    free(view);
}

void crash_image(const struct crash_log *log, int64_t calls, enum crash_kind kind, uint32_t seed, const char *target)
{
    struct disk *disk = calloc(1, sizeof *disk);
    uint32_t random = seed * 2654435761u + (uint32_t)calls;

    assert_non_null(disk);
    add_node(disk, true);
    for (int64_t i = 0; i < calls; i++)
        replay(disk, &log->calls[i]);
    write_folder(disk, 0, kind, &random, target);
    for (int i = 0; i < disk->node_count; i++)
        free(disk->nodes[i].data);
    free(disk);
}
