#include "engine/memory_advice.h"

#include <stddef.h>

#include "base/text.h"
#include "model/family.h"
#include "runtime/device_compile.h"

static const char *const recompute_names[] = {
    [RECOMPUTE_NONE] = "none", [RECOMPUTE_SELECTIVE] = "selective", [RECOMPUTE_FULL] = "full"};

/* The largest part of the global batch that is at most half of `micro_batch`; 0: there is none. */
static int64_t smaller(const struct compile_request *request, int64_t micro_batch)
{
    int64_t part = micro_batch / 2;

    while (part > 0 && request->global_batch % part != 0)
        part--;
    return part;
}

/* -1 where the request does not compile: not every microbatch goes with the parts of the batch. */
static int64_t bytes_needed(struct device *device, const struct compile_request *request)
{
    struct error ignored;
    struct compiled compiled;
    int64_t bytes;

    if (device_compile(device, request, &compiled, &ignored) != STATUS_OK)
        return -1;
    bytes = compiled.plan.total_bytes;
    compiled_finish(&compiled);
    return bytes;
}

struct fit {
    struct compile_request request;
    int64_t bytes;
};

/* The first that needs at most `room` bytes, else the one that needs least. */
static struct fit find_fit(struct device *device, const struct compile_request *given, int64_t room)
{
    struct fit best = {.request = *given, .bytes = -1};

    for (int mode = (int)given->recompute; mode <= (int)RECOMPUTE_FULL; mode++)
        for (int64_t micro_batch = given->micro_batch; micro_batch > 0; micro_batch = smaller(given, micro_batch)) {
            struct compile_request request = *given;
            int64_t bytes;

            request.recompute = (enum recompute)mode;
            request.micro_batch = micro_batch;
            if (request.eval_batch > micro_batch)
                request.eval_batch = micro_batch;
            bytes = bytes_needed(device, &request);
            if (bytes >= 0 && (best.bytes < 0 || bytes < best.bytes))
                best = (struct fit){request, bytes};
            if (bytes >= 0 && bytes <= room)
                return (struct fit){request, bytes};
        }
    return best;
}

/* What takes less, for a request that nothing in find_fit helps. */
static void add_smaller(const struct compile_request *request, struct text *mend)
{
    const bool evaluates = !request->train && request->eval_batch > 0;
    const int64_t sequence = evaluates ? compile_eval_sequence(request) : request->sequence;

    text_add(mend, "; a smaller data.seq_len (%lld)", (long long)sequence);
    if (evaluates && request->eval_batch > 1)
        text_add(mend, ", train.micro_batch (%lld)", (long long)request->eval_batch);
    text_add(mend, " or model takes less");
}

static void add_fit(const struct compile_request *request, const struct fit *fit, int64_t room, struct text *mend)
{
    text_add(mend, "; %strain.micro_batch %lld with parallel.recompute %s needs %lld bytes (now %lld with %s)",
             fit->bytes <= room ? "" : "even ", (long long)fit->request.micro_batch,
             recompute_names[fit->request.recompute], (long long)fit->bytes, (long long)request->micro_batch,
             recompute_names[request->recompute]);
}

int memory_advice_add(struct device *device, const struct compile_request *request, struct error *error)
{
    const struct model_config *model = &request->model;
    const int64_t room = device_free_bytes(device);
    struct fit fit = {.bytes = -1};
    const struct error cause = *error;
    struct text mend = {0};

    /* Where the step does fit, something else is wanting: threads, or the host's memory. */
    if (room >= 0 && bytes_needed(device, request) <= room)
        return STATUS_MEMORY;
    if (request->train)
        fit = find_fit(device, request, room);
    if (fit.bytes >= 0)
        add_fit(request, &fit, room, &mend);
    if (fit.bytes < 0 || fit.bytes > room)
        add_smaller(request, &mend);
    error_set(error, STATUS_MEMORY, "%.500s; the model has %lld parameters (%s %lld, %s %lld)%s", cause.message,
              (long long)model_parameters(model), keys_name(model->family, offsetof(struct model_config, n_layer)),
              (long long)model->n_layer, keys_name(model->family, offsetof(struct model_config, n_embd)),
              (long long)model->n_embd, mend.failed ? "" : mend.data);
    text_finish(&mend);
    return STATUS_MEMORY;
}
