/* Queues of a device, the points in them, and what is put into them. Calls that enqueue do not wait for the device;
 * they allocate nothing and touch no text unless they fail. A stream is used by one thread at a time. */
#ifndef LLMRUN_HAL_STREAM_H
#define LLMRUN_HAL_STREAM_H

#include "hal/device.h"
#include "plugin/guard.h"

struct stream {
    struct device *device;
    struct llmrun_stream *handle;
};

struct event {
    struct device *device;
    struct llmrun_event *handle;
};

/* `kind`: LLMRUN_STREAM_COMPUTE ... */
int stream_create(struct device *device, uint32_t kind, struct stream *stream, struct error *error);
void stream_destroy(struct stream *stream);
int event_create(struct device *device, struct event *event, struct error *error);
void event_destroy(struct event *event);

/* STATUS_BUG: `what`, "an event", belongs to another device than the stream. */
int stream_foreign(const struct stream *stream, const char *what, struct error *error);

/* STATUS_BUG where stream and event belong to different devices: their order must go through the host. */
int stream_record(const struct stream *stream, const struct event *event, struct error *error);
int stream_wait(const struct stream *stream, const struct event *event, struct error *error);
/* A failure of the work before the event comes out of these two. */
int event_query(const struct event *event, bool *ready, struct error *error);
/* Blocks for at most `timeout_ns`, < 0: for ever; in parts, so that a plugin that waits longer than it is asked to is
 * found out, and that device_abandon ends it. */
int event_wait(const struct event *event, int64_t timeout_ns, bool *ready, struct error *error);
/* Waits until the event is ready. After `limit_ns` the device counts as hung and is lost: STATUS_BACKEND says that it
 * "did not finish `awaited`". Abandoned, it says that "`awaited` was abandoned", and the device is not lost. */
int event_finish(const struct event *event, int64_t limit_ns, const struct awaited *awaited, struct error *error);
/* Whether the host can reach points of events: without it event_signal is STATUS_BUG. */
bool device_signals(const struct device *device);
/* Arms an event that is ready, so that streams that wait for it from now on wait until it is signalled `ready`. An
 * armed event is not recorded; destroying it completes it, which comes before streams that wait for it are destroyed.
 */
int event_signal(const struct event *event, bool ready, struct error *error);
/* Nanoseconds between two events that are ready, 0 or more. */
int event_elapsed(const struct event *start, const struct event *end, int64_t *ns, struct error *error);

/* `bytes` bytes between buffers at byte offsets. The memory stays as it is until an event recorded after it is ready.
 */
int stream_upload(const struct stream *stream, const struct buffer *to, int64_t to_offset,
                  const struct host_buffer *from, int64_t from_offset, int64_t bytes, struct error *error);
int stream_download(const struct stream *stream, const struct host_buffer *to, int64_t to_offset,
                    const struct buffer *from, int64_t from_offset, int64_t bytes, struct error *error);
int stream_copy(const struct stream *stream, const struct buffer *to, int64_t to_offset, const struct buffer *from,
                int64_t from_offset, int64_t bytes, struct error *error);
/* Writes the 32-bit pattern; offset and bytes are multiples of 4. */
int stream_fill(const struct stream *stream, const struct buffer *buffer, int64_t offset, uint32_t pattern,
                int64_t bytes, struct error *error);

/* addresses[i] is operand i of the kernel, or value i of the program; made with buffer_address beforehand. */
int stream_launch_kernel(const struct stream *stream, const struct device_kernel *kernel, const uint64_t *addresses,
                         uint32_t count, uint64_t workspace, struct error *error);
int stream_launch_program(const struct stream *stream, const struct device_program *program, const uint64_t *addresses,
                          uint32_t count, uint64_t workspace, struct error *error);

#endif
