/* What is prepared on a device - kernels and programs - by its description: an equal description gets the object that
 * is there. Kernels and programs themselves stand in device.h. */
#ifndef LLMRUN_HAL_PREPARED_H
#define LLMRUN_HAL_PREPARED_H

#include <pthread.h>
#include <stdint.h>

struct device;
struct prepared;

struct prepared_cache {
    pthread_mutex_t mutex; /* held while the plugin makes an object, so that it makes each once */
    struct prepared *kernels;
    struct prepared *programs;
};

void prepared_init(struct prepared_cache *cache);
void prepared_finish(struct prepared_cache *cache);
/* Before the device is closed, unless it is lost. */
void prepared_destroy_programs(struct device *device);

#endif
