/* Captured work: what is enqueued between begin and end is recorded and not run, and a graph of it is replayed by one
 * call. A graph is used by one thread at a time, as its streams are.
 *
 * From begin to end no thread allocates or frees memory of the device, creates or destroys kernels or programs, or
 * calls device_synchronize. Other streams join by waiting for an event that was recorded in the capture, and are joined
 * back before the end. An event that is recorded in a capture stands for a place in it: only streams of the capture
 * wait for it, and nobody else until it is recorded again outside; they wait for no other event. Streams that have not
 * joined, and their events, are used as always. What breaks these rules fails, and so does the end. */
#ifndef LLMRUN_HAL_GRAPH_H
#define LLMRUN_HAL_GRAPH_H

#include "hal/stream.h"

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
