#include "engine/chosen_device.h"

#include <stdio.h>
#include <string.h>

#include "hal/trial.h"
#include "plugin/guard.h"
#include "plugin/probe.h"

static int open_device(struct chosen_device *chosen, const struct config *config, struct error *error)
{
    static const char *const isas[] = {[CONFIG_CPU_ISA_AUTO] = "auto",
                                       [CONFIG_CPU_ISA_PLAIN] = "plain",
                                       [CONFIG_CPU_ISA_AVX2] = "avx2",
                                       [CONFIG_CPU_ISA_AVX512] = "avx512"};
    char threads[24];
    const struct llmrun_option options[] = {{"threads", threads}, {"cpu_isa", isas[config->run.cpu_isa]}};
    const int64_t timeout_ns = config->parallel.timeout * INT64_C(1000000000);
    struct plugin_search search;
    int status;

    snprintf(threads, sizeof threads, "%lld", (long long)config->run.threads);
    status = plugin_search_default(&search, config->run.backend, error);
    if (status == STATUS_OK)
        status = plugin_search_name(&search, LLMRUN_PLUGIN_COLLECTIVE, config->parallel.collective, error);
    if (status == STATUS_OK)
        status = registry_init(&search, device_trial, &chosen->registry, error);
    chosen->registry.probe_timeout_ns = timeout_ns < PROBE_TIMEOUT_NS ? timeout_ns : PROBE_TIMEOUT_NS;
    if (status == STATUS_OK)
        status = registry_open(&chosen->registry, config->run.backend, &chosen->backend, error);
    guard_watch(timeout_ns); /* not before: a process with threads is not the best one to fork */
    if (status == STATUS_OK)
        status = device_open(chosen->backend, 0, options, 2, &chosen->device, error);
    if (status == STATUS_OK)
        chosen->device->timeout_ns = timeout_ns;
    return status;
}

int chosen_device_open(struct chosen_device *chosen, const struct config *config, struct error *error)
{
    int status;

    memset(chosen, 0, sizeof *chosen);
    status = open_device(chosen, config, error);
    if (status == STATUS_OK) {
        bool able = chosen->device->info.exact;

        chosen->exact =
            config->numerics.exact == CONFIG_EXACT_TRUE || (config->numerics.exact == CONFIG_EXACT_AUTO && able);
        if (chosen->exact && !able)
            status = error_set(error, STATUS_BACKEND, "numerics.exact is true, and backend %s has no exact kernels",
                               chosen->backend->name);
    }
    if (status != STATUS_OK)
        chosen_device_close(chosen);
    return status;
}

void chosen_device_close(struct chosen_device *chosen)
{
    device_close(chosen->device);
    registry_finish(&chosen->registry);
    memset(chosen, 0, sizeof *chosen);
}
