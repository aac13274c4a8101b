/* Captured work: what is enqueued between begin and end is recorded and not run, and a graph of it is replayed by one
 * call. A stream whose device does not capture is used as before. A graph is used by one thread at a time, as its
 * stream is.
 *
 * From begin to end nothing on this device may allocate or free memory, prepare a kernel, build a program, copy from or
 * to host memory that is not of host_buffer_create, or wait for the device, from any thread. Other streams join by
 * waiting for an event that was recorded in the capture, and must be joined back before the end. An event recorded in a
 * capture stands for a place in it: until it is recorded again outside, only streams of that capture wait for it. What
 * breaks these rules fails, and so does the end. */
#ifndef LLMRUN_PLUGIN_GRAPH_H
#define LLMRUN_PLUGIN_GRAPH_H

#include "plugin/stream.h"

/* All zero: none. Names the memory, kernels and programs of the recorded work, which outlive it. */
struct graph {
    struct device *device;
    struct llmrun_graph *handle;
};

/* The calls below need this; without it they are STATUS_BUG. */
bool device_captures(const struct device *device);

/* A begin that fails leaves the stream as it was. After one that succeeds comes exactly one end or cancel, on the same
 * stream. */
int stream_capture_begin(const struct stream *stream, struct error *error);
/* The capture is over and the stream runs its work again, whatever the status. May take long. */
int stream_capture_end(const struct stream *stream, struct graph *graph, struct error *error);
/* For a capture whose recording failed: ends it and keeps nothing of it. */
void stream_capture_cancel(const struct stream *stream);

/* Enqueues all recorded work; does not wait and allocates nothing. An earlier replay of the graph may still run: this
 * one comes after it. */
int stream_replay(const struct stream *stream, const struct graph *graph, struct error *error);
/* Blocks until its replays have ended. */
void graph_destroy(struct graph *graph);

#endif
