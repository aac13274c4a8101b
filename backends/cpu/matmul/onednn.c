/* bf16 products unordered by oneDNN's matmul primitive, single-threaded on each slice. The library keeps the
 * primitives that it made; making the same one again takes about 10 us. */
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "matmul/gemm_kernel.h"
#include "matmul/unordered.h"

/* oneDNN's threads are OpenMP's; a thread that sets this to 1 has its primitives made and run in itself. */
void omp_set_num_threads(int threads);

static dnnl_engine_t engine;

static void make_engine(void)
{
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

static int has_engine(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_engine);
    return engine != NULL;
}

#if defined(__x86_64__)
/* By CPUID itself: the compiler's own helpers bring a constructor into the plugin. */
static int made_by_intel(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_INTEL_ebx && edx == signature_INTEL_edx &&
           ecx == signature_INTEL_ecx;
}
#endif

/* vdpbf16ps at full rate, or AMX. Intel's processors before AMX, and virtual ones without it, run the instruction at
 * half the rate of fp32: there the exact kernels, which widen, are faster. */
static int runs_fast_kernels(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    if (isa == dnnl_cpu_isa_avx512_core_amx)
        return 1;
#if defined(__x86_64__)
    return isa == dnnl_cpu_isa_avx512_core_bf16 && !made_by_intel();
#else
    return 0;
#endif
}

static int onednn_fit(const struct gemm_problem *problem, char *reason, size_t reason_bytes)
{
    if (problem->dtype != LLMRUN_BF16) {
        snprintf(reason, reason_bytes, "oneDNN is used for bf16 only");
        return 0;
    }
    if (!runs_fast_kernels() && !unordered_always()) {
        snprintf(reason, reason_bytes, "oneDNN has no fast bf16 kernels for this processor");
        return 0;
    }
    if (!has_engine()) {
        snprintf(reason, reason_bytes, "oneDNN has no engine for this processor");
        return 0;
    }
    return 1;
}

static int describe(dnnl_memory_desc_t *memory, int64_t rows, int64_t columns, int64_t row, int64_t column,
                    dnnl_data_type_t type)
{
    return dnnl_memory_desc_init_by_strides(memory, 2, (dnnl_dims_t){rows, columns}, type,
                                            (dnnl_dims_t){row, column}) == dnnl_success;
}

static dnnl_primitive_t make_primitive(const dnnl_memory_desc_t memory[3], int add)
{
    dnnl_matmul_desc_t matmul;
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    if (dnnl_post_ops_create(&post) != dnnl_success || dnnl_primitive_attr_create(&attributes) != dnnl_success)
        goto out;
    if (add && (dnnl_post_ops_append_sum(post, 1.0f) != dnnl_success ||
                dnnl_primitive_attr_set_post_ops(attributes, post) != dnnl_success))
        goto out;
    if (dnnl_matmul_desc_init(&matmul, &memory[0], &memory[1], NULL, &memory[2]) != dnnl_success ||
        dnnl_primitive_desc_create(&description, &matmul, attributes, engine, NULL) != dnnl_success ||
        dnnl_primitive_create(&primitive, description) != dnnl_success)
        primitive = NULL;
out:
    dnnl_primitive_desc_destroy(description);
    dnnl_primitive_attr_destroy(attributes);
    dnnl_post_ops_destroy(post);
    return primitive;
}

static int execute(dnnl_primitive_t primitive, const dnnl_memory_desc_t description[3], void *const at[3])
{
    static const int names[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    dnnl_exec_arg_t arguments[3] = {{0}};
    dnnl_stream_t stream = NULL;
    int done = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success;
    for (int i = 0; i < 3 && done; i++) {
        arguments[i].arg = names[i];
        done = dnnl_memory_create(&arguments[i].memory, &description[i], engine, at[i]) == dnnl_success;
    }
    done = done && dnnl_primitive_execute(primitive, stream, 3, arguments) == dnnl_success &&
           dnnl_stream_wait(stream) == dnnl_success;
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(arguments[i].memory);
    dnnl_stream_destroy(stream);
    return done;
}

static int multiply_segment(const struct gemm_problem *slice, const struct gemm_segment *segment, int add)
{
    dnnl_memory_desc_t memory[3];
    void *at[3] = {(void *)segment->a, (void *)segment->b, slice->c};
    dnnl_data_type_t type = slice->c_dtype == LLMRUN_F32 ? dnnl_f32 : dnnl_bf16;
    if (!has_engine() || !describe(&memory[0], slice->m, segment->k, segment->a_row, segment->a_k, dnnl_bf16) ||
        !describe(&memory[1], segment->k, slice->n, segment->b_k, segment->b_column, dnnl_bf16) ||
        !describe(&memory[2], slice->m, slice->n, slice->c_row, 1, type))
        return 0;
    dnnl_primitive_t primitive = make_primitive(memory, add);
    int done = primitive != NULL && execute(primitive, memory, at);
    dnnl_primitive_destroy(primitive);
    return done;
}

/* A segment that oneDNN gives up on (no memory for a primitive) has not been added yet, and is by the plain definition.
 */
static void onednn_multiply(const struct gemm_problem *problem)
{
    for (int s = 0; s < problem->segments; s++) {
        int add = s > 0 || problem->accumulate;
        if (multiply_segment(problem, &problem->segment[s], add))
            continue;
        struct gemm_problem left = *problem;
        left.segments = 1;
        left.segment[0] = problem->segment[s];
        left.accumulate = add;
        gemm_plain(&left, NULL);
    }
}

const struct unordered unordered_onednn = {
    .fit = onednn_fit, .set_threads = omp_set_num_threads, .multiply = onednn_multiply};

UNORDERED_KERNEL(matmul, onednn, unordered_onednn)
UNORDERED_KERNEL(matmul_input_grad, onednn, unordered_onednn)
UNORDERED_KERNEL(matmul_weight_grad, onednn, unordered_onednn)
