#include "direct.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "arithmetic.h"

#define SLICE_BYTES 524288
#define PIECES      64

bool direct_works(pid_t pid, uint64_t address, const uint8_t *expected)
{
    uint8_t found[32];
    const struct iovec to = {found, sizeof found}, from = {(void *)(uintptr_t)address, sizeof found};

    return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof found &&
           memcmp(found, expected, sizeof found) == 0;
}

/* Returns the bytes read of at most `most`, or -1. */
static int64_t read_slice(const struct link *link, const struct span *to, int64_t to_offset, const struct span *from,
                          int64_t offset, int64_t most)
{
    struct iovec here[PIECES], there[PIECES];
    int64_t bytes, reachable;
    int here_count, there_count;

    there_count = span_pieces(from, offset, most, there, PIECES, &reachable);
    here_count = span_pieces(to, to_offset, reachable, here, PIECES, &bytes);
    if (bytes < reachable)
        there_count = span_pieces(from, offset, bytes, there, PIECES, &reachable);
    return process_vm_readv(link->pid, here, (unsigned long)here_count, there, (unsigned long)there_count, 0);
}

static int64_t join_slice(const struct link *link, struct step *step, const struct span *from)
{
    char *scratch = link->mesh->scratch;
    const struct span to = span_of_memory(scratch, SCRATCH_BYTES);
    int64_t bytes = step->span.bytes - step->done, run;
    const char *source = scratch;

    bytes = bytes < SCRATCH_BYTES ? bytes : SCRATCH_BYTES;
    if (link->shared.same)
        source = span_at(from, step->done, &run);
    else
        bytes = read_slice(link, &to, 0, from, step->done, bytes);
    if (bytes > 0 && bytes < step->span.bytes - step->done)
        bytes &= ~INT64_C(3); /* elements are not cut */
    if (bytes > 0)
        arithmetic_join(step->dtype, step->reduction, span_at(&step->span, step->done, &run), step->base + step->done,
                        source, bytes);
    return bytes;
}

static int64_t copy_slice(const struct link *link, struct step *step, const struct span *from)
{
    int64_t bytes = step->span.bytes - step->done;

    bytes = bytes < SLICE_BYTES ? bytes : SLICE_BYTES;
    if (!link->shared.same)
        return read_slice(link, &step->span, step->done, from, step->done, bytes);
    span_copy(&step->span, from, step->done, bytes);
    return bytes;
}

bool direct_read(struct link *link)
{
    struct step *step = link->reading;
    const struct span from = {.side = step->offer.side, .first = step->offer.first, .bytes = step->span.bytes};
    const int64_t bytes = step->dtype != LLMRUN_NONE ? join_slice(link, step, &from) : copy_slice(link, step, &from);

    if (bytes < 0 && errno == ESRCH) {
        link_break(link, "its process has ended");
        return false;
    }
    if (bytes <= 0) {
        communicator_fail(step->request->communicator, LLMRUN_ERROR_DEVICE,
                          "reading the memory of rank %d (process %d) failed: %s", step->peer, (int)link->pid,
                          bytes < 0 ? strerror(errno) : "it is not there");
        return false;
    }
    step->done += bytes;
    return step->done == step->span.bytes;
}
