#include "op_case.h"

#include <llmrun/op_check.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "kernels/table.h"
#include "runtime/check.h"
#include "runtime/operand.h"

static const size_t element_bytes[LLMRUN_DTYPES] = {
    [LLMRUN_F64] = 8, [LLMRUN_F32] = 4, [LLMRUN_BF16] = 2, [LLMRUN_I32] = 4, [LLMRUN_U32] = 4};

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float random_number(uint64_t *state, enum numbers numbers)
{
    static const float special[] = {NAN,       INFINITY,   -INFINITY, 0.0f,  -0.0f,  0x1p-149f,
                                    0x1p-130f, -0x1p-140f, 0x1p-126f, 3e38f, -3e38f, 1e20f};
    uint64_t random = next_random(state);
    float sum = 0.0f;

    if (numbers == NUMBERS_SMALL)
        return (float)(random % 17);
    if (numbers == NUMBERS_SPECIAL && random % 8 == 0)
        return special[random / 8 % (sizeof(special) / sizeof(special[0]))];
    for (int i = 0; i < 4; i++)
        sum += (float)(int16_t)(random >> (16 * i)) * 0x1p-15f;
    return sum * 0.866f; /* four uniform numbers have the variance 4/3 */
}

void op_case_begin(struct op_case *op_case, uint16_t op, const void *attributes, uint64_t seed)
{
    static const uint64_t zeros[LLMRUN_OP_MAX_ATTRIBUTE_BYTES / 8];
    const struct llmrun_op_row *row = llmrun_op_row_find(op);

    memset(op_case, 0, sizeof(*op_case));
    op_case->op.size = sizeof(op_case->op);
    op_case->op.op = op;
    op_case->op.version = row->version;
    op_case->op.flags = LLMRUN_OP_EXACT;
    op_case->op.attributes = attributes != NULL ? attributes : zeros;
    op_case->op.attribute_bytes = llmrun_op_attribute_bytes(row, row->version);
    op_case->op.operand_count = llmrun_op_operand_count(row, row->version);
    op_case->op.operands = op_case->tensors;
    op_case->op.operand_stride = sizeof(op_case->tensors[0]);
    op_case->random = seed;
}

static void fill(struct op_case *op_case, int index, enum numbers numbers)
{
    void *data = op_case->data[index];

    for (int64_t i = 0; i < op_case_elements(op_case, index); i++) {
        float number = random_number(&op_case->random, numbers);
        uint32_t bits;

        switch (op_case->tensors[index].dtype) {
        case LLMRUN_F64:
            ((double *)data)[i] = number;
            break;
        case LLMRUN_F32:
            ((float *)data)[i] = number;
            break;
        case LLMRUN_BF16:
            memcpy(&bits, &number, sizeof(bits));
            ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
            break;
        default:
            ((uint32_t *)data)[i] = (uint32_t)(next_random(&op_case->random) % 17);
            break;
        }
    }
}

static size_t operand_bytes(const struct op_case *op_case, int index)
{
    return (size_t)op_case_elements(op_case, index) * element_bytes[op_case->tensors[index].dtype];
}

void *op_case_operand(struct op_case *op_case, int index, uint32_t dtype, const int64_t *extents, enum numbers numbers)
{
    struct llmrun_tensor *tensor = &op_case->tensors[index];
    int64_t stride = 1;

    tensor->dtype = dtype;
    for (tensor->rank = 0; extents[tensor->rank] != 0; tensor->rank++)
        tensor->shape[tensor->rank] = extents[tensor->rank];
    for (uint32_t i = tensor->rank; i-- > 0; stride *= tensor->shape[i])
        tensor->stride[i] = stride;
    tensor->alignment = (int64_t)element_bytes[dtype];
    op_case->data[index] = malloc(operand_bytes(op_case, index));
    assert_non_null(op_case->data[index]);
    fill(op_case, index, numbers);
    return op_case->data[index];
}

void op_case_copy(struct op_case *to, const struct op_case *from)
{
    memcpy(to, from, sizeof(*to));
    to->op.operands = to->tensors;
    for (int i = 0; i < LLMRUN_MAX_OPERANDS; i++) {
        if (from->data[i] == NULL)
            continue;
        to->data[i] = malloc(operand_bytes(from, i));
        assert_non_null(to->data[i]);
        memcpy(to->data[i], from->data[i], operand_bytes(from, i));
    }
}

void op_case_end(struct op_case *op_case)
{
    for (int i = 0; i < LLMRUN_MAX_OPERANDS; i++)
        free(op_case->data[i]);
}

/* Pools live as long as the program: starting threads takes longer than most cases. */
static struct pool *pool_of(int threads)
{
    static struct pool *pools[4];

    assert_in_range(threads, 1, 3);
    if (pools[threads] == NULL)
        pools[threads] = pool_create(threads);
    assert_non_null(pools[threads]);
    return pools[threads];
}

int op_case_run(struct op_case *op_case, const struct kernel *kernel, int threads)
{
    struct kernel_call call = {.op = &op_case->op, .operands = op_case->data, .pool = pool_of(threads)};
    int64_t workspace_bytes = 0;
    char reason[256];

    if (check_op(&op_case->op, reason, sizeof(reason)) != LLMRUN_OK)
        fail_msg("%s", reason);
    if (!kernel->query(&op_case->op, threads, &workspace_bytes, reason, sizeof(reason)))
        return 0;
    call.workspace = aligned_alloc(64, (size_t)(workspace_bytes + 127) / 64 * 64);
    assert_non_null(call.workspace);
    kernel->run(&call);
    free(call.workspace);
    return 1;
}

const struct kernel *op_case_kernel(const struct kernel *const *candidates)
{
    assert_non_null(candidates);
    assert_non_null(candidates[0]);
    return candidates[0];
}

static int same(uint32_t dtype, const char *a, const char *b)
{
    float x, y;
    uint16_t s, t;
    double v, w;

    switch (dtype) {
    case LLMRUN_F64:
        memcpy(&v, a, sizeof(v));
        memcpy(&w, b, sizeof(w));
        return memcmp(a, b, sizeof(v)) == 0 || (isnan(v) && isnan(w));
    case LLMRUN_F32:
        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return memcmp(a, b, sizeof(x)) == 0 || (isnan(x) && isnan(y));
    case LLMRUN_BF16:
        memcpy(&s, a, sizeof(s));
        memcpy(&t, b, sizeof(t));
        return s == t || ((s & 0x7fff) > 0x7f80 && (t & 0x7fff) > 0x7f80);
    default:
        return memcmp(a, b, element_bytes[dtype]) == 0;
    }
}

void op_case_assert_same(const struct op_case *expected, const struct op_case *found, const char *what)
{
    for (int i = 0; i < (int)expected->op.operand_count; i++) {
        uint32_t dtype = expected->tensors[i].dtype;

        for (int64_t e = 0; expected->data[i] != NULL && e < op_case_elements(expected, i); e++) {
            size_t offset = (size_t)e * element_bytes[dtype];

            if (!same(dtype, (char *)expected->data[i] + offset, (char *)found->data[i] + offset))
                fail_msg("%s: operand %d differs at %lld: %a and not %a", what, i, (long long)e,
                         op_case_value(found, i, e), op_case_value(expected, i, e));
        }
    }
}

void op_case_check(struct op_case *op_case, const char *what)
{
    uint16_t op = op_case->op.op;
    struct op_case expected, found;
    char where[160];

    op_case_copy(&expected, op_case);
    assert_true(op_case_run(&expected, op_case_kernel(reference_candidates(op, 0, LLMRUN_OP_EXACT)), 1));
    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++) {
        const struct kernel *kernel = op_case_kernel(kernel_table_candidates(op, isa, LLMRUN_OP_EXACT));

        for (int threads = 1; threads <= 3; threads++) {
            op_case_copy(&found, op_case);
            snprintf(where, sizeof(where), "%s, %s, %d threads", kernel->name, what, threads);
            assert_true(op_case_run(&found, kernel, threads));
            op_case_assert_same(&expected, &found, where);
            op_case_end(&found);
        }
    }
    op_case_end(&expected);
    op_case_end(op_case);
}

double op_case_value(const struct op_case *op_case, int operand, int64_t index)
{
    const void *data = op_case->data[operand];
    uint32_t bits;
    float wide;

    switch (op_case->tensors[operand].dtype) {
    case LLMRUN_F64:
        return ((const double *)data)[index];
    case LLMRUN_F32:
        return ((const float *)data)[index];
    case LLMRUN_BF16:
        bits = (uint32_t)((const uint16_t *)data)[index] << 16;
        memcpy(&wide, &bits, sizeof(wide));
        return wide;
    default:
        return ((const uint32_t *)data)[index];
    }
}

int64_t op_case_elements(const struct op_case *op_case, int operand)
{
    return operand_elements(&op_case->tensors[operand]);
}
