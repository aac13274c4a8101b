#include "hal/capability.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hal/device.h"
#include "hal/op_key.h"
#include "plugin/guard.h"

struct capability_entry {
    uint64_t key; /* 0: free */
    struct llmrun_op_support answer;
};

/* Open addressing; `capacity` is a power of two, at most half full. */
struct capability_cache {
    pthread_mutex_t mutex;
    struct capability_entry *entries;
    int64_t capacity;
    int64_t count;
    int64_t total;
};

struct capability_cache *capability_cache_create(void)
{
    struct capability_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        return NULL;
    cache->capacity = 64;
    cache->entries = calloc((size_t)cache->capacity, sizeof *cache->entries);
    if (cache->entries == NULL) {
        free(cache);
        return NULL;
    }
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void capability_cache_destroy(struct capability_cache *cache)
{
    if (cache == NULL)
        return;
    pthread_mutex_destroy(&cache->mutex);
    free(cache->entries);
    free(cache);
}

/* The entry of `key`, or the free one where it belongs. */
static struct capability_entry *find(struct capability_entry *entries, int64_t capacity, uint64_t key)
{
    uint64_t at = key & (uint64_t)(capacity - 1);

    while (entries[at].key != 0 && entries[at].key != key)
        at = (at + 1) & (uint64_t)(capacity - 1);
    return &entries[at];
}

static bool grow(struct capability_cache *cache)
{
    const int64_t capacity = cache->capacity * 2;
    struct capability_entry *entries = calloc((size_t)capacity, sizeof *entries);

    if (entries == NULL)
        return false;
    for (int64_t i = 0; i < cache->capacity; i++)
        if (cache->entries[i].key != 0)
            *find(entries, capacity, cache->entries[i].key) = cache->entries[i];
    free(cache->entries);
    cache->entries = entries;
    cache->capacity = capacity;
    return true;
}

static int ask(struct device *device, const struct llmrun_op *op, struct llmrun_op_support *answer, struct error *error)
{
    const struct backend *backend = device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    memset(answer, 0, sizeof *answer);
    answer->size = sizeof *answer;
    if (backend->has_kernel)
        code = GUARDED_LONG(backend, kernel, query, device->handle, op, answer, &reason);
    else
        code = GUARDED_LONG(backend, program, query, device->handle, op, answer, &reason);
    if (code != LLMRUN_OK)
        return backend_error(backend, code, &reason, error);
    answer->reason[sizeof answer->reason - 1] = '\0';
    text_hide_controls(answer->reason);
    if (answer->support > LLMRUN_SUPPORT_EMULATED || answer->workspace_bytes < 0 ||
        answer->workspace_bytes > CAPABILITY_WORKSPACE_MAX) {
        snprintf(answer->reason, sizeof answer->reason, "the plugin gave the answer %u with %lld bytes of workspace",
                 answer->support, (long long)answer->workspace_bytes);
        answer->support = LLMRUN_SUPPORT_NO;
        answer->workspace_bytes = 0;
    }
    if (answer->support == LLMRUN_SUPPORT_NO && answer->reason[0] == '\0')
        snprintf(answer->reason, sizeof answer->reason, "the plugin gave no reason");
    return STATUS_OK;
}

int capability_query(struct device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct error *error)
{
    struct capability_cache *cache = device->capabilities;
    const uint64_t key = op_key(op);
    struct capability_entry *entry;
    int result = STATUS_OK;

    pthread_mutex_lock(&cache->mutex);
    cache->total++;
    entry = find(cache->entries, cache->capacity, key);
    if (entry->key == key) {
        *answer = entry->answer;
        goto out;
    }
    result = ask(device, op, answer, error);
    if (result != STATUS_OK)
        goto out;
    if (2 * (cache->count + 1) > cache->capacity && !grow(cache))
        goto out; /* right all the same, only not remembered */
    entry = find(cache->entries, cache->capacity, key);
    entry->key = key;
    entry->answer = *answer;
    cache->count++;
out:
    pthread_mutex_unlock(&cache->mutex);
    return result;
}

void capability_count(const struct device *device, int64_t *asked, int64_t *total)
{
    struct capability_cache *cache = device->capabilities;

    pthread_mutex_lock(&cache->mutex);
    *asked = cache->count;
    *total = cache->total;
    pthread_mutex_unlock(&cache->mutex);
}
