#include "compile/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

/* All_reduce of at most this goes in one exchange: fewer messages are worth more bytes. */
#define SMALL_BYTES ((int64_t)64 << 10)
/* Elements of a part of an all_reduce are a multiple of this, so that its address is aligned. */
#define PART_ELEMENTS 64

struct making {
    const struct value *x, *y;
    struct exchange *exchange;
    const struct mesh *mesh;
    int group; /* whose ranks take part in the steps that are added */
    int64_t batch;
    bool exact;
    struct error *error;
};

/* How the parts of a split lie in the whole: runs of bytes, `part` of them of each rank. */
struct cut {
    int64_t runs;         /* in which a part comes */
    int64_t bytes;        /* of a run of the whole, all ranks */
    int64_t part;         /* of a run, this rank's */
    const int64_t *parts; /* of a run, each rank's; NULL: all `part` */
};

static const struct split *split_over(const struct value *value, int axis)
{
    for (int i = 0; i < value->split_count; i++)
        if (value->splits[i].axis == axis)
            return &value->splits[i];
    return NULL;
}

static int64_t own_index(const struct making *making)
{
    return mesh_group_index(making->mesh, making->group);
}

static int32_t ranks_of(const struct making *making)
{
    return mesh_group_size(making->mesh, making->group);
}

/* Parts of `units` units each rank, the last ones shorter or empty, `unit` bytes each. */
static const int64_t *make_parts(struct making *making, int64_t all, int64_t units, int64_t unit)
{
    int64_t *parts = making->exchange->parts = malloc((size_t)ranks_of(making) * sizeof *parts);

    for (int32_t i = 0; parts != NULL && i < ranks_of(making); i++) {
        const int64_t left = all - i * units;

        parts[i] = (left < 0 ? 0 : left < units ? left : units) * unit;
    }
    return parts;
}

/* The ranks among which the parts of x or y are. */
static int group_of(const struct making *making)
{
    const enum mesh_axis axis = (enum mesh_axis)making->exchange->axis;
    const struct split *x = making->x != NULL ? split_over(making->x, axis) : NULL,
                       *y = making->y != NULL ? split_over(making->y, axis) : NULL;

    return (x == NULL) != (y == NULL) ? mesh_group_of_split(making->mesh, axis, (x != NULL ? x : y)->parts) : (int)axis;
}

static int cut_of(struct making *making, const struct value *whole, const struct value *part, struct cut *cut)
{
    const struct split *split = split_over(part, making->exchange->axis);
    int64_t before = 1, inner = dtype_bytes(whole->dtype);

    for (int i = 0; i < split->dimension; i++)
        before *= whole->shape[i];
    for (int i = split->dimension + 1; i < whole->rank; i++)
        inner *= whole->shape[i];
    cut->parts = NULL;
    cut->runs = split->factor == 0 ? before : before * making->batch;
    cut->bytes = before * whole->shape[split->dimension] * inner / cut->runs;
    cut->part = before * part->shape[split->dimension] * inner / cut->runs;
    if (cut->part * ranks_of(making) == cut->bytes)
        return STATUS_OK;
    /* Only a factor that is a whole dimension is cut unevenly. */
    cut->parts = make_parts(making, whole->shape[split->dimension],
                            (whole->shape[split->dimension] + split->parts - 1) / split->parts, inner);
    return cut->parts != NULL ? STATUS_OK : error_set(making->error, STATUS_MEMORY, "no memory for an exchange");
}

static struct exchange_step *add(struct making *making, enum exchange_kind kind)
{
    struct exchange_step *step = &making->exchange->steps[making->exchange->count++];

    *step = (struct exchange_step){.kind = (uint8_t)kind, .group = (uint8_t)making->group, .ranks = ranks_of(making)};
    return step;
}

static struct exchange_side side(enum exchange_place place, int64_t offset, int64_t bytes)
{
    return (struct exchange_side){
        .place = (uint8_t)place, .offset = offset, .blocks = 1, .bytes = bytes, .pitch = bytes};
}

/* The parts of all ranks, as they lie in the whole; `bytes` is that of one part. */
static struct exchange_side in_place(enum exchange_place place, const struct cut *cut)
{
    return (struct exchange_side){
        .place = (uint8_t)place, .blocks = cut->runs, .bytes = cut->part, .pitch = cut->bytes, .parts = cut->parts};
}

static int64_t parts_before(const struct cut *cut, int64_t index)
{
    int64_t bytes = 0;

    for (int64_t i = 0; i < index; i++)
        bytes += cut->parts != NULL ? cut->parts[i] : cut->part;
    return bytes;
}

/* Every rank sends its own bytes to all others. */
static int64_t gathered(const struct making *making, int64_t bytes)
{
    return bytes * (ranks_of(making) - 1);
}

static int make_all_gather(struct making *making)
{
    struct exchange_step *step = add(making, EXCHANGE_ALL_GATHER);
    struct cut cut;
    int status = cut_of(making, making->y, making->x, &cut);

    step->send = (struct exchange_side){EXCHANGE_X, 0, cut.runs, cut.part, cut.part, NULL};
    step->receive = in_place(EXCHANGE_Y, &cut);
    step->sent_bytes = gathered(making, cut.runs * cut.part);
    return status;
}

static void add_slice(struct making *making, enum exchange_place from, const struct cut *cut)
{
    struct exchange_step *step = add(making, EXCHANGE_COPY);

    step->send = (struct exchange_side){
        (uint8_t)from, parts_before(cut, own_index(making)), cut->runs, cut->part, cut->bytes, NULL};
    step->receive = (struct exchange_side){EXCHANGE_Y, 0, cut->runs, cut->part, cut->part, NULL};
}

static int make_slice(struct making *making)
{
    struct cut cut;
    int status = cut_of(making, making->x, making->y, &cut);

    if (status == STATUS_OK)
        add_slice(making, EXCHANGE_X, &cut);
    return status;
}

static void add_tree(struct making *making, int64_t offset, int64_t elements)
{
    struct exchange_step *step = add(making, EXCHANGE_REDUCE);

    step->send = side(EXCHANGE_TERMS, 0, ranks_of(making) * elements * 4);
    step->receive = side(EXCHANGE_Y, offset, elements * 4);
    step->count = elements;
}

static void need_terms(struct making *making, int64_t bytes)
{
    if (bytes > making->exchange->terms_bytes)
        making->exchange->terms_bytes = bytes;
}

/* Each rank gets all terms of its part. */
static void add_terms(struct making *making, enum exchange_place from, const struct cut *cut)
{
    struct exchange_step *step = add(making, EXCHANGE_ALL_TO_ALL);

    step->send = in_place(from, cut);
    step->receive = side(EXCHANGE_TERMS, 0, cut->runs * cut->part);
    step->sent_bytes = cut->runs * (cut->bytes - cut->part);
    need_terms(making, ranks_of(making) * cut->runs * cut->part);
}

/* Reductions that a plugin makes: in any order, of a type that it has. */
static bool is_native(const struct making *making, enum reduction reduction)
{
    return reduction == REDUCTION_SELECT || reduction == REDUCTION_SLOT || !making->exact;
}

/* The plugin's sum of what lies at `from`. */
static void add_native(struct making *making, enum exchange_place from, enum exchange_place to, int64_t bytes,
                       enum reduction reduction)
{
    struct exchange_step *step = add(making, EXCHANGE_ALL_REDUCE);
    const int64_t n = ranks_of(making);

    step->send = side(from, 0, bytes);
    step->receive = side(to, 0, bytes);
    step->dtype = reduction == REDUCTION_SLOT ? LLMRUN_U32 : making->x->dtype;
    step->operation = LLMRUN_REDUCE_SUM;
    step->count = bytes / dtype_bytes(step->dtype);
    step->sent_bytes = 2 * bytes * (n - 1) / n;
}

/* Parts of which each is one run go where they belong at once; others are cut out of the sum of all. */
static void add_native_scatter(struct making *making, const struct cut *cut, enum reduction reduction)
{
    struct exchange_step *step;

    if (cut->runs > 1 || cut->parts != NULL) {
        add_native(making, EXCHANGE_X, EXCHANGE_TERMS, value_bytes(making->x), reduction);
        add_slice(making, EXCHANGE_TERMS, cut);
        need_terms(making, value_bytes(making->x));
        return;
    }
    step = add(making, EXCHANGE_REDUCE_SCATTER);
    step->send = side(EXCHANGE_X, 0, cut->bytes);
    step->receive = side(EXCHANGE_Y, 0, cut->part);
    step->dtype = reduction == REDUCTION_SLOT ? LLMRUN_U32 : making->x->dtype;
    step->operation = LLMRUN_REDUCE_SUM;
    step->count = cut->part / dtype_bytes(step->dtype);
    step->sent_bytes = cut->bytes - cut->part;
}

static int make_large_sum(struct making *making, enum exchange_place from, int64_t elements)
{
    const int64_t n = ranks_of(making), each = round_up((elements + n - 1) / n, PART_ELEMENTS);
    struct exchange_step *step;
    struct cut cut = {.runs = 1, .bytes = 4 * elements};

    cut.parts = make_parts(making, elements, each, 4);
    if (cut.parts == NULL)
        return error_set(making->error, STATUS_MEMORY, "no memory for an exchange");
    cut.part = cut.parts[own_index(making)];
    add_terms(making, from, &cut);
    add_tree(making, own_index(making) * each * 4, cut.part / 4);
    step = add(making, EXCHANGE_ALL_GATHER);
    step->send = side(EXCHANGE_Y, own_index(making) * each * 4, cut.part);
    step->receive = in_place(EXCHANGE_Y, &cut);
    step->sent_bytes = gathered(making, cut.part);
    return STATUS_OK;
}

/* y: the sum of what lies at `from`, of y's bytes. */
static int make_sum(struct making *making, enum exchange_place from, enum reduction reduction)
{
    const int64_t bytes = value_bytes(making->y);
    struct exchange_step *step;

    if (is_native(making, reduction)) {
        add_native(making, from, EXCHANGE_Y, bytes, reduction);
        return STATUS_OK;
    }
    if (bytes > SMALL_BYTES)
        return make_large_sum(making, from, bytes / 4);
    step = add(making, EXCHANGE_ALL_GATHER);
    step->send = side(from, 0, bytes);
    step->receive = side(EXCHANGE_TERMS, 0, bytes);
    step->sent_bytes = gathered(making, bytes);
    need_terms(making, ranks_of(making) * bytes);
    add_tree(making, 0, bytes / 4);
    return STATUS_OK;
}

/* What the device adds though any order would do: a plugin's reduce_scatter takes no rows with gaps, and its all_reduce
 * sends twice the bytes. */
static bool has_tree(const struct making *making, const struct cut *cut, enum reduction reduction)
{
    return cut->runs > 1 && making->x->dtype == LLMRUN_F32 && reduction != REDUCTION_SLOT;
}

static int make_reduce_scatter(struct making *making, enum reduction reduction)
{
    struct cut cut;
    int status = cut_of(making, making->x, making->y, &cut);

    if (status != STATUS_OK)
        return status;
    if (is_native(making, reduction) && !has_tree(making, &cut, reduction)) {
        add_native_scatter(making, &cut, reduction);
    } else {
        add_terms(making, EXCHANGE_X, &cut);
        add_tree(making, 0, cut.runs * cut.part / 4);
    }
    if (making->group != MESH_SHARDS)
        return STATUS_OK;
    making->group = MESH_COPIES;
    return make_sum(making, EXCHANGE_Y, reduction);
}

static void add_copy(struct making *making, int64_t bytes)
{
    struct exchange_step *step = add(making, EXCHANGE_COPY);

    step->send = side(EXCHANGE_X, 0, bytes);
    step->receive = side(EXCHANGE_Y, 0, bytes);
}

/* x and y of a send are what is sent and the buffer, those of a receive the buffer and what is received. */
static void make_send(struct making *making)
{
    const int64_t bytes = value_bytes(making->x);
    struct exchange_step *step;

    making->exchange->buffered = making->y != NULL;
    if (making->y != NULL)
        add_copy(making, bytes);
    step = add(making, EXCHANGE_SEND);
    step->send = side(making->y != NULL ? EXCHANGE_Y : EXCHANGE_X, 0, bytes);
    step->sent_bytes = bytes;
}

static void make_receive(struct making *making)
{
    const int64_t bytes = value_bytes(making->y);
    struct exchange_step *step = add(making, EXCHANGE_RECEIVE);

    making->exchange->buffered = making->x != NULL;
    step->receive = side(making->x != NULL ? EXCHANGE_X : EXCHANGE_Y, 0, bytes);
    if (making->x != NULL)
        add_copy(making, bytes);
}

static int make_transfer(struct making *making, const struct op *op, const struct transfer_attributes *attributes)
{
    making->exchange->peer = (int32_t)attributes->peer;
    making->exchange->link = attributes->link;
    if (attributes->peer >= (uint32_t)ranks_of(making) || making->exchange->peer == own_index(making))
        return error_set(making->error, STATUS_BUG, "%s is exchanged with rank %u of %d over %s, from rank %lld",
                         (making->x != NULL ? making->x : making->y)->name, attributes->peer, ranks_of(making),
                         mesh_axis_name((enum mesh_axis)making->exchange->axis), (long long)own_index(making));
    if (op->op == OP_SEND)
        make_send(making);
    else
        make_receive(making);
    return STATUS_OK;
}

static int check_contiguous(const struct making *making, const struct value *value)
{
    if (value == NULL || !(value->flags & VALUE_VIEW) || value->rank == 0 || value->shape[0] <= 1 ||
        value->view.pitch == value_row_elements(value))
        return STATUS_OK;
    return error_set(making->error, STATUS_BUG, "%s is exchanged and is a view with gaps", value->name);
}

static int check_reduction(const struct making *making, enum reduction reduction)
{
    if (reduction == REDUCTION_NONE || reduction == REDUCTION_MAX)
        return error_set(making->error, STATUS_BUG, "%s has no sum that ranks exchange", making->x->name);
    if (reduction == REDUCTION_SUM && making->exact && making->x->dtype != LLMRUN_F32)
        return error_set(making->error, STATUS_BUG, "%s is a term of an exact sum and is %s, not f32", making->x->name,
                         dtype_name(making->x->dtype));
    return STATUS_OK;
}

int exchange_make(const struct program *program, const struct op *op, const struct mesh *mesh, int64_t batch,
                  bool exact, struct exchange *exchange, struct error *error)
{
    const struct communication_attributes *attributes = program_attributes(program, op);
    const int32_t *operands = program_operands(program, op);
    struct making making = {.x = operands[0] != NO_VALUE ? &program->values[operands[0]] : NULL,
                            .y = operands[1] != NO_VALUE ? &program->values[operands[1]] : NULL,
                            .exchange = exchange,
                            .mesh = mesh,
                            .batch = batch,
                            .exact = exact,
                            .error = error};
    enum reduction reduction = REDUCTION_NONE;
    int status;

    *exchange = (struct exchange){.axis = (uint8_t)attributes->axis, .peer = -1};
    making.group = group_of(&making);
    if (making.y != NULL)
        exchange->y_offset = program_root_offset(program, operands[1]) * dtype_bytes(making.y->dtype);
    if (making.x != NULL)
        reduction = (enum reduction)making.x->partial[attributes->axis].reduction;
    status = check_contiguous(&making, making.x);
    if (status == STATUS_OK)
        status = check_contiguous(&making, making.y);
    if (status == STATUS_OK && (op->op == OP_REDUCE_SCATTER || op->op == OP_ALL_REDUCE))
        status = check_reduction(&making, reduction);
    if (status != STATUS_OK)
        return status;
    switch (op->op) {
    case OP_ALL_GATHER:
        status = make_all_gather(&making);
        break;
    case OP_SLICE:
        status = make_slice(&making);
        break;
    case OP_REDUCE_SCATTER:
        status = make_reduce_scatter(&making, reduction);
        break;
    case OP_ALL_REDUCE:
        status = make_sum(&making, EXCHANGE_X, reduction);
        break;
    case OP_SEND:
    case OP_RECEIVE:
        status = make_transfer(&making, op, program_attributes(program, op));
        break;
    default:
        status = error_set(error, STATUS_BUG, "%s is no exchange", op_info_find(op->op)->name);
    }
    if (status != STATUS_OK)
        exchange_finish(exchange);
    return status;
}

void exchange_finish(struct exchange *exchange)
{
    free(exchange->parts);
    memset(exchange, 0, sizeof *exchange);
}

static struct llmrun_tensor rows_of(uint32_t rank, int64_t rows, int64_t columns, int64_t alignment)
{
    struct llmrun_tensor tensor = {.dtype = LLMRUN_F32, .rank = rank, .alignment = alignment};

    tensor.shape[rank - 1] = columns;
    tensor.stride[rank - 1] = 1;
    if (rank == 2) {
        tensor.shape[0] = rows;
        tensor.stride[0] = columns;
    }
    return tensor;
}

void exchange_describe_reduce(const struct exchange *exchange, const struct exchange_step *step, int64_t alignment,
                              bool exact, struct llmrun_tensor *tensors, struct llmrun_op *out)
{
    const struct op_info *info = op_info_find(LLMRUN_OP_REDUCE_ROWS);
    const int64_t offset = exchange->y_offset + step->receive.offset, least = offset & -offset;

    tensors[LLMRUN_REDUCE_ROWS_X] = rows_of(2, step->ranks, step->count, alignment);
    tensors[LLMRUN_REDUCE_ROWS_Y] = rows_of(1, 1, step->count, offset != 0 && least < alignment ? least : alignment);
    *out = (struct llmrun_op){.size = sizeof *out,
                              .op = info->id,
                              .version = info->version,
                              .flags = LLMRUN_OP_DETERMINISTIC | (exact ? LLMRUN_OP_EXACT : 0),
                              .operand_count = LLMRUN_REDUCE_ROWS_OPERANDS,
                              .operands = tensors,
                              .operand_stride = sizeof *tensors};
    op_lower(info, out);
}

const char *exchange_kind_name(enum exchange_kind kind)
{
    static const char *const names[] = {"all_gather", "all_to_all", "all_reduce", "reduce_scatter",
                                        "send",       "receive",    "copy",       "reduce"};

    return names[kind];
}
