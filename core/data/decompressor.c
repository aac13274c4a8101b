#include "data/decompressor.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/file.h"

#define INPUT_BYTES ((int64_t)1 << 18)

struct decompressor {
    enum compression compression;
    int handle;
    const char *name;
    int64_t file_bytes;
    int64_t taken; /* bytes of the file that were read */
    int64_t at;    /* of them in `input`, from here to `end` those that were not used */
    int64_t end;
    bool within; /* a member or frame has begun and not ended */
    bool finished;
    z_stream gzip;
    ZSTD_DStream *zstd;
    char input[INPUT_BYTES];
};

static int refuse(const struct decompressor *from, const char *what, struct error *error)
{
    return error_set(error, STATUS_INPUT, "%s: %s at byte %lld of %lld: %s; get the file again", from->name,
                     from->compression == COMPRESSION_GZIP ? "gzip" : "zstd",
                     (long long)(from->taken - (from->end - from->at)), (long long)from->file_bytes, what);
}

int decompressor_create(enum compression compression, int handle, const char *name, int64_t file_bytes,
                        struct decompressor **out, struct error *error)
{
    struct decompressor *made = calloc(1, sizeof *made);
    bool ready = made != NULL;

    if (ready) {
        made->compression = compression;
        made->handle = handle;
        made->name = name;
        made->file_bytes = file_bytes;
    }
    if (ready && compression == COMPRESSION_GZIP)
        ready = inflateInit2(&made->gzip, 15 + 16) == Z_OK; /* 16: with gzip's own header and checksum */
    else if (ready)
        ready = (made->zstd = ZSTD_createDStream()) != NULL;
    if (!ready) {
        free(made);
        return error_set(error, STATUS_MEMORY, "%s: no memory to decompress it", name);
    }
    *out = made;
    return STATUS_OK;
}

void decompressor_destroy(struct decompressor *decompressor)
{
    if (decompressor == NULL)
        return;
    if (decompressor->compression == COMPRESSION_GZIP)
        inflateEnd(&decompressor->gzip);
    ZSTD_freeDStream(decompressor->zstd);
    free(decompressor);
}

/* Makes some input available, unless the file has ended. */
static int fill(struct decompressor *from, struct error *error)
{
    int64_t left = from->file_bytes - from->taken, bytes = left < INPUT_BYTES ? left : INPUT_BYTES;
    int status;

    if (from->at < from->end || bytes == 0)
        return STATUS_OK;
    status = file_read_range(&file_system_real, from->handle, from->name, from->taken, from->input, bytes, error);
    from->at = 0;
    from->end = bytes;
    from->taken += bytes;
    return status;
}

/* Behind a member another one may follow, or zeros to the end, as on tapes. */
static int next_member(struct decompressor *from, struct error *error)
{
    int64_t zeros = 0;
    int status;

    while ((status = fill(from, error)) == STATUS_OK && from->at < from->end && from->input[from->at] == 0) {
        from->at++;
        zeros++;
    }
    if (status != STATUS_OK)
        return status;
    if (from->at == from->end)
        from->finished = true;
    else if (zeros > 0 || (unsigned char)from->input[from->at] != 0x1f)
        return refuse(from, "something else follows the compressed text", error);
    else if (inflateReset(&from->gzip) != Z_OK)
        return error_set(error, STATUS_BUG, "%s: zlib refuses to begin again", from->name);
    return STATUS_OK;
}

static int step_gzip(struct decompressor *from, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    int result;

    from->gzip.next_in = (Bytef *)from->input + from->at;
    from->gzip.avail_in = (uInt)(from->end - from->at);
    from->gzip.next_out = (Bytef *)out;
    from->gzip.avail_out = (uInt)bytes;
    result = inflate(&from->gzip, Z_NO_FLUSH);
    from->at = from->end - from->gzip.avail_in;
    *got = bytes - from->gzip.avail_out;
    if (result == Z_STREAM_END) {
        from->within = false;
        return next_member(from, error);
    }
    from->within = true;
    if (result == Z_MEM_ERROR)
        return error_set(error, STATUS_MEMORY, "%s: no memory to decompress it", from->name);
    if (result != Z_OK && result != Z_BUF_ERROR)
        return refuse(from, from->gzip.msg != NULL ? from->gzip.msg : "it is damaged", error);
    return STATUS_OK;
}

static int step_zstd(struct decompressor *from, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    ZSTD_inBuffer in = {from->input, (size_t)from->end, (size_t)from->at};
    ZSTD_outBuffer into = {out, (size_t)bytes, 0};
    size_t result = ZSTD_decompressStream(from->zstd, &into, &in);

    from->at = (int64_t)in.pos;
    *got = (int64_t)into.pos;
    if (ZSTD_isError(result) && ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
        return error_set(error, STATUS_MEMORY, "%s: no memory to decompress it", from->name);
    if (ZSTD_isError(result))
        return refuse(from, ZSTD_getErrorName(result), error);
    from->within = result != 0;
    return STATUS_OK;
}

int decompressor_read(struct decompressor *from, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    *got = 0;
    while (*got < bytes && !from->finished) {
        /* zlib counts in 32 bits. */
        int64_t room = bytes - *got < (int64_t)1 << 30 ? bytes - *got : (int64_t)1 << 30, made = 0, before;
        int status = fill(from, error);

        if (status != STATUS_OK)
            return status;
        if (from->at == from->end && !from->within) {
            from->finished = true;
            break;
        }
        before = from->at;
        status = from->compression == COMPRESSION_GZIP ? step_gzip(from, out + *got, room, &made, error)
                                                       : step_zstd(from, out + *got, room, &made, error);
        if (status != STATUS_OK)
            return status;
        *got += made;
        if (made == 0 && from->within && from->at == from->end && from->taken == from->file_bytes && before == from->at)
            return refuse(from, "the file ends too early", error);
    }
    return STATUS_OK;
}
