#include "hal/trial.h"

#include "hal/stream.h"

#define BYTES 4096

int device_trial(const struct backend *backend, struct error *error)
{
    struct buffer buffers[2] = {{0}};
    struct host_buffer hosts[2] = {{0}};
    struct stream stream = {0};
    struct event event = {0};
    struct device *device;
    bool ready;
    int result = device_open(backend, 0, NULL, 0, &device, error);

    if (result != STATUS_OK)
        return result;
    for (int i = 0; result == STATUS_OK && i < 2; i++) {
        result = buffer_create(device, LLMRUN_MEMORY_DEVICE, BYTES, &buffers[i], error);
        if (result == STATUS_OK)
            result = host_buffer_create(device, BYTES, &hosts[i], error);
    }
    if (result == STATUS_OK)
        result = stream_create(device, LLMRUN_STREAM_COMPUTE, &stream, error);
    if (result == STATUS_OK)
        result = event_create(device, &event, error);
    if (result == STATUS_OK)
        result = event_query(&event, &ready, error);
    if (result == STATUS_OK)
        result = device_synchronize(device, error);
    event_destroy(&event);
    stream_destroy(&stream);
    for (int i = 0; i < 2; i++) {
        host_buffer_destroy(&hosts[i]);
        buffer_destroy(&buffers[i]);
    }
    device_close(device);
    return result;
}
