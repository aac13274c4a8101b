#include <stdlib.h>
#include <string.h>

#include "runtime/machine.h"
#include "runtime/runtime.h"
#include "support.h"

static void the_host_is_the_only_device(void **state)
{
    struct bench *bench = *state;
    struct llmrun_device *device;
    int32_t count = 0;

    assert_int_equal(bench->device->count(&count, &bench->error), LLMRUN_OK);
    assert_int_equal(count, 1);
    assert_int_equal(bench->device->open(1, NULL, &device, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_non_null(strstr(bench->error.message, "no device 1"));
}

static void info_tells_memory_and_architecture_and_writes_no_more_than_it_is_asked_to(void **state)
{
    struct bench *bench = *state;
    struct llmrun_device_info info = {.size = sizeof(info)};

    assert_int_equal(bench->device->info(0, &info, &bench->error), LLMRUN_OK);
    assert_true(info.memory_bytes >= 64 << 20 && info.memory_free_bytes > 0);
    assert_true(info.memory_free_bytes <= info.memory_bytes);
    assert_int_equal(info.alignment, 64);
    assert_string_equal(info.domain, "host");
    assert_true(strlen(info.name) > 0 && strlen(info.architecture) > 0);
    assert_int_equal(info.exact, 1);

    memset(&info, 0x5a, sizeof(info));
    info.size = offsetof(struct llmrun_device_info, domain);
    assert_int_equal(bench->device->info(0, &info, &bench->error), LLMRUN_OK);
    assert_int_equal(info.size, offsetof(struct llmrun_device_info, domain));
    assert_int_equal(info.domain[0], 0x5a);
}

static int32_t open_with(struct bench *bench, const char *key, const char *value)
{
    struct llmrun_option option = {key, value};
    const struct llmrun_options options = {
        .size = sizeof(options), .count = 1, .items = &option, .stride = sizeof(option)};
    struct llmrun_device *device = NULL;
    int32_t code = bench->device->open(0, &options, &device, &bench->error);

    if (code == LLMRUN_OK)
        bench->device->close(device);
    return code;
}

static void options_with_a_bad_value_are_refused_and_unknown_ones_ignored(void **state)
{
    struct bench *bench = *state;
    static const char *const bad[] = {"", "two", "-1", "2x", "100000"};
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(open_with(bench, "threads", bad[i]), LLMRUN_ERROR_ARGUMENT);
        assert_non_null(strstr(bench->error.message, "threads is '"));
    }
    assert_int_equal(open_with(bench, "cpu_isa", "sse9"), LLMRUN_ERROR_ARGUMENT);
    assert_non_null(strstr(bench->error.message, "sse9"));
    assert_int_equal(open_with(bench, "threads", "0"), LLMRUN_OK);
    assert_int_equal(open_with(bench, "threads", "2"), LLMRUN_OK);
    assert_int_equal(open_with(bench, "colour", "blue"), LLMRUN_OK);
}

static void an_instruction_set_opens_only_where_the_machine_has_it(void **state)
{
    struct bench *bench = *state;
    int isa;

    for (isa = 0; isa < CPU_ISAS; isa++) {
        const char *name = cpu_isa_name((enum cpu_isa)isa);
        int32_t code = open_with(bench, "cpu_isa", name);

        assert_int_equal(code, isa <= (int)cpu_isa_best() ? LLMRUN_OK : LLMRUN_ERROR_ARGUMENT);
        if (code != LLMRUN_OK)
            assert_non_null(strstr(bench->error.message, name));
    }
    assert_int_equal(open_with(bench, "cpu_isa", "auto"), LLMRUN_OK);
}

static void an_instruction_set_that_the_machine_lacks_is_named_beside_its_best(void **state)
{
    struct bench *bench = *state;
    enum cpu_isa isa = CPU_ISA_AVX2;

    assert_int_equal(device_parse_isa("avx512", &isa, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_string_equal(bench->error.message, "cpu_isa is 'avx512', which this machine lacks; its best is avx2");
    assert_int_equal(isa, CPU_ISA_AVX2);
    assert_int_equal(device_parse_isa("plain", &isa, &bench->error), LLMRUN_OK);
    assert_int_equal(isa, CPU_ISA_PLAIN);
}

static void omp_num_threads_sets_the_default_and_nonsense_in_it_does_not(void **state)
{
    int automatic;

    (void)state;
    unsetenv("OMP_NUM_THREADS");
    automatic = machine_default_threads();
    assert_true(automatic >= 1 && automatic <= machine_processors());
    setenv("OMP_NUM_THREADS", "5", 1);
    assert_int_equal(machine_default_threads(), 5);
    setenv("OMP_NUM_THREADS", "4,2", 1);
    assert_int_equal(machine_default_threads(), 4);
    setenv("OMP_NUM_THREADS", "-3", 1);
    assert_int_equal(machine_default_threads(), automatic);
    unsetenv("OMP_NUM_THREADS");
}

static void memory_is_aligned_to_lines_and_large_memory_to_huge_pages(void **state)
{
    struct bench *bench = *state;
    static const int64_t sizes[] = {1, 100, (2 << 20) - 1, 2 << 20, (5 << 20) + 1};
    uint64_t address;
    void *memory;
    size_t i;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int64_t alignment = sizes[i] < 2 << 20 ? 64 : 2 << 20;

        assert_int_equal(
            bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, sizes[i], &address, &bench->error),
            LLMRUN_OK);
        assert_int_equal(address % (uint64_t)alignment, 0);
        memset((void *)(uintptr_t)address, 1, (size_t)sizes[i]);
        bench->device->memory_free(bench->host, address);
        assert_int_equal(bench->device->host_alloc(bench->host, sizes[i], &memory, &bench->error), LLMRUN_OK);
        assert_int_equal((uintptr_t)memory % 64, 0);
        memset(memory, 1, (size_t)sizes[i]);
        bench->device->host_free(bench->host, memory);
    }
    bench->device->memory_free(bench->host, 0);
    bench->device->host_free(bench->host, NULL);
}

static void memory_that_cannot_be_given_is_an_error_with_a_sentence(void **state)
{
    struct bench *bench = *state;
    uint64_t address;

    assert_int_equal(bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, 0, &address, &bench->error),
                     LLMRUN_ERROR_ARGUMENT);
    assert_int_equal(bench->device->memory_alloc(bench->host, 77, 64, &address, &bench->error),
                     LLMRUN_ERROR_UNSUPPORTED);
    assert_int_equal(bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, INT64_MAX, &address, &bench->error),
                     LLMRUN_ERROR_MEMORY);
    assert_int_equal(bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, (int64_t)1 << 50, &address, NULL),
                     LLMRUN_ERROR_MEMORY);
    assert_int_equal(bench->error.code, LLMRUN_ERROR_MEMORY);
    assert_non_null(strstr(bench->error.message, "9223372036854775807"));
}

static void memory_beyond_the_machine_s_is_refused_until_some_is_freed(void **state)
{
    struct bench *bench = *state;
    struct llmrun_device_info info = {.size = sizeof(info)};
    uint64_t small, large;
    int64_t most;

    assert_int_equal(bench->device->info(0, &info, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, 1000, &small, &bench->error),
                     LLMRUN_OK);
    most = info.memory_bytes - 999;
    assert_int_equal(bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, most, &large, &bench->error),
                     LLMRUN_ERROR_MEMORY);
    assert_non_null(strstr(bench->error.message, "1000 of the host's"));
    bench->device->memory_free(bench->host, small);
    bench->device->memory_alloc(bench->host, LLMRUN_MEMORY_DEVICE, info.memory_bytes + 1, &large, &bench->error);
    assert_non_null(strstr(bench->error.message, "; 0 of the host's"));
}

static void a_host_of_another_contract_is_refused_with_a_sentence(void **state)
{
    struct llmrun_host host = {.size = sizeof(host), .abi_major = LLMRUN_ABI_MAJOR + 1, .abi_minor = LLMRUN_ABI_MINOR};
    struct llmrun_error error = {0};

    (void)state;
    host.abi_major = LLMRUN_ABI_MAJOR;
    host.abi_minor = LLMRUN_ABI_MINOR - 1;
    assert_null(cpu_runtime_backend(&test_kernels, &host, &error));
    assert_non_null(strstr(error.message, "this host speaks 0.1: it needs 0.2 or newer"));
    host.abi_minor = LLMRUN_ABI_MINOR + 1;
    assert_non_null(cpu_runtime_backend(&test_kernels, &host, &error));
    host.abi_major = LLMRUN_ABI_MAJOR + 1;
    host.abi_minor = LLMRUN_ABI_MINOR;
    assert_null(cpu_runtime_backend(&test_kernels, &host, &error));
    assert_int_equal(error.code, LLMRUN_ERROR_VERSION);
    assert_non_null(strstr(error.message, "test is made for plugin contract 0.2, this host speaks 1.2"));
}

static void a_native_view_of_memory_is_its_host_address(void **state)
{
    struct bench *bench = *state;
    struct llmrun_native native = {.size = sizeof(native)};
    struct llmrun_stream *stream = stream_of(bench);

    assert_int_equal(bench->device->export_native(stream, 4096, &native, &bench->error), LLMRUN_OK);
    assert_string_equal(native.domain, "host");
    assert_int_equal(native.buffer + (uint64_t)native.offset, 4096);
    bench->device->stream_destroy(stream);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_host_is_the_only_device),
        CASE(info_tells_memory_and_architecture_and_writes_no_more_than_it_is_asked_to),
        CASE(options_with_a_bad_value_are_refused_and_unknown_ones_ignored),
        CASE(an_instruction_set_opens_only_where_the_machine_has_it),
        CASE(an_instruction_set_that_the_machine_lacks_is_named_beside_its_best),
        CASE(omp_num_threads_sets_the_default_and_nonsense_in_it_does_not),
        CASE(memory_is_aligned_to_lines_and_large_memory_to_huge_pages),
        CASE(memory_that_cannot_be_given_is_an_error_with_a_sentence),
        CASE(memory_beyond_the_machine_s_is_refused_until_some_is_freed),
        CASE(a_host_of_another_contract_is_refused_with_a_sentence),
        CASE(a_native_view_of_memory_is_its_host_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
