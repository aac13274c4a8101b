/* Once training runs, a step allocates nothing: neither the core nor the plugin. The allocator's functions are defined
 * here, so that calls from the plugin come here too: symbols of the program are found before those of libraries. */
#include "tiny.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/stream.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0
#else
#define COUNTS 1
#endif

static _Atomic int64_t calls;
static _Atomic int64_t bytes_of_largest;

#if COUNTS
#define REPLACED __attribute__((visibility("default")))

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static void count(size_t bytes)
{
    atomic_fetch_add(&calls, 1);
    if ((int64_t)bytes > atomic_load(&bytes_of_largest))
        atomic_store(&bytes_of_largest, (int64_t)bytes);
}

REPLACED void *malloc(size_t bytes)
{
    count(bytes);
    return __libc_malloc(bytes);
}

REPLACED void *calloc(size_t items, size_t bytes)
{
    count(items * bytes);
    return __libc_calloc(items, bytes);
}

REPLACED void *realloc(void *memory, size_t bytes)
{
    count(bytes);
    return __libc_realloc(memory, bytes);
}

REPLACED void *aligned_alloc(size_t alignment, size_t bytes)
{
    count(bytes);
    return __libc_memalign(alignment, bytes);
}

REPLACED int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    count(bytes);
    *memory = __libc_memalign(alignment, bytes);
    return *memory != NULL ? 0 : ENOMEM;
}

REPLACED void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    count(bytes);
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}
#endif

static void check_run(const struct compile_request *request)
{
    double losses[TINY_BATCH];
    struct tiny tiny;
    int64_t before = 0;

#if !COUNTS
    print_message("skipped: a sanitizer replaces the allocator itself\n");
    skip();
#endif
    tiny_open(&tiny, "cpu", NULL, NULL, request);
    tiny_fill(&tiny, 1);
    tiny_submit(&tiny);
    for (int step = 2; step <= 10; step++) {
        if (step == 3) {
            before = atomic_load(&calls);
            atomic_store(&bytes_of_largest, 0);
        }
        tiny_fill(&tiny, step);
        tiny_submit(&tiny);
        tiny_collect(&tiny, losses);
    }
    if (atomic_load(&calls) != before)
        fail_msg("%lld allocations in steps 3 to 10, the largest of %lld bytes",
                 (long long)(atomic_load(&calls) - before), (long long)atomic_load(&bytes_of_largest));
    tiny_collect(&tiny, losses);
    tiny_close(&tiny);
}

static void steps_3_to_10_allocate_nothing(void **state)
{
    struct compile_request request = tiny_request();

    (void)state;
    check_run(&request);
}

static void steps_in_bf16_with_dropout_and_recompute_allocate_nothing(void **state)
{
    struct compile_request request = tiny_request();

    (void)state;
    request.compute_dtype = LLMRUN_BF16;
    request.dropout = 0.1f;
    request.recompute = RECOMPUTE_FULL;
    check_run(&request);
}

static void an_allocation_inside_the_plugin_is_counted(void **state)
{
    struct device *device;
    struct event event;
    struct error error;
    int64_t before;

    (void)state;
#if !COUNTS
    skip();
#endif
    device = tiny_device("cpu", NULL, NULL);
    before = atomic_load(&calls);
    tiny_ok_(event_create(device, &event, &error), &error); /* the plugin's calloc; the core makes none of its own */
    assert_true(atomic_load(&calls) > before);
    event_destroy(&event);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_inside_the_plugin_is_counted),
        cmocka_unit_test(steps_3_to_10_allocate_nothing),
        cmocka_unit_test(steps_in_bf16_with_dropout_and_recompute_allocate_nothing),
    };

    return cmocka_run_group_tests_name("runtime steady state", tests, NULL, NULL);
}
