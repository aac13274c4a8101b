/* The memory that two ranks of a machine share, and the descriptors that they hand each other for it. */
#ifndef LLMRUN_HOST_SEGMENT_H
#define LLMRUN_HOST_SEGMENT_H

#include "meeting.h"

/* Makes the memory, without a name, and maps it as the lower rank's side of `link`. The descriptor, the caller's, is in
 * *memory. */
int32_t segment_create(const struct meeting *meeting, struct link *link, int *memory, struct llmrun_error *error);
/* Maps memory that the lower rank made, as the higher rank's side; refuses what could be cut while it is in use. */
int32_t segment_open(const struct meeting *meeting, struct link *link, int memory, struct llmrun_error *error);

/* Finds out whether the other's memory can be read; it has written its side of the segment. */
void segment_probe(const struct meeting *meeting, struct link *link);

/* Sends `bytes` bytes with up to two descriptors, or receives them (descriptors that did not come are -1). Return the
 * bytes, 0 at the end of the connection, -1 with errno. They do not block where the socket does not. */
ssize_t segment_send(int socket, const void *data, size_t bytes, const int *descriptors, int count);
ssize_t segment_receive(int socket, void *data, size_t bytes, int descriptors[2]);

#endif
