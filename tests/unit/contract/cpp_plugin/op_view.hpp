/* An op: its description, which a kernel keeps, and one launch of it. */
#ifndef CPP_PLUGIN_OP_VIEW_HPP
#define CPP_PLUGIN_OP_VIEW_HPP

#include <llmrun/op_check.h>
#include <llmrun/plugin.h>

#include <cstring>
#include <string>
#include <vector>

namespace cpp
{

/* Thrown inside the plugin; caught before it could reach the host. */
struct refusal {
    int32_t code;
    std::string reason;
};

/* The newest version of what the host described, apart from the host's memory. */
class op_view
{
  public:
    explicit op_view(const llmrun_op *from) : tensors_(LLMRUN_MAX_OPERANDS)
    {
        llmrun_error error = {};
        char reason[256];
        int32_t code = llmrun_read_op(from, &op_, tensors_.data(), &error);

        if (code != LLMRUN_OK)
            throw refusal{code, error.message};
        code = llmrun_op_check(&op_, reason, sizeof(reason));
        if (code != LLMRUN_OK)
            throw refusal{code, reason};
        llmrun_op_complete(&op_, tensors_.data(), attributes_);
        row_ = llmrun_op_row_find(op_.op);
        if ((op_.flags & LLMRUN_OP_EXACT) != 0)
            no("its sums are in double here, which is not the exact order");
        for (uint32_t i = 0; i < op_.operand_count; i++)
            check_operand(tensors_[i], row_->operands[i]);
    }
    op_view(const op_view &) = delete;
    op_view &operator=(const op_view &) = delete;

    [[noreturn]] void no(const std::string &why) const
    {
        throw refusal{LLMRUN_ERROR_UNSUPPORTED, std::string(row_->name) + ": " + why};
    }
    uint32_t number() const
    {
        return op_.op;
    }
    uint32_t operand_count() const
    {
        return op_.operand_count;
    }
    const char *name() const
    {
        return row_->name;
    }
    template <typename T> T attributes() const
    {
        T own;

        static_assert(sizeof(T) <= sizeof(attributes_), "the headers fit each other");
        std::memcpy(&own, attributes_, sizeof(own));
        return own;
    }
    bool adds(uint32_t operand) const
    {
        return (op_.accumulate >> operand & 1u) != 0;
    }
    bool has(uint32_t operand) const
    {
        return tensors_[operand].dtype != LLMRUN_NONE;
    }
    bool is_f64(uint32_t operand) const
    {
        return tensors_[operand].dtype == LLMRUN_F64;
    }
    int64_t extent(uint32_t operand, uint32_t dimension) const
    {
        return tensors_[operand].shape[dimension];
    }
    uint32_t rank(uint32_t operand) const
    {
        return tensors_[operand].rank;
    }
    /* Of the innermost dimension. */
    int64_t columns(uint32_t operand) const
    {
        return rank(operand) > 0 ? extent(operand, rank(operand) - 1) : 1;
    }
    int64_t elements(uint32_t operand) const
    {
        int64_t product = has(operand) ? 1 : 0;

        for (uint32_t d = 0; d < rank(operand); d++)
            product *= extent(operand, d);
        return product;
    }

  private:
    /* What llmrun_op_check leaves to the plugin: element types, alignment, strides. */
    void check_operand(const llmrun_tensor &t, const llmrun_operand_row &row) const
    {
        const std::string type = row.type, operand = std::string("operand ") + row.name;
        const bool wide = type == "wide" && t.dtype == LLMRUN_F64;
        int64_t stride = 1;

        if (t.dtype == LLMRUN_NONE)
            return;
        if (type != "i32" && type != "u32" && !wide && t.dtype != LLMRUN_F32)
            no(operand + " is " + llmrun_dtype_name(t.dtype) + ", and f32 alone is done here");
        if (t.alignment < (wide ? 8 : 4))
            no(operand + " is not aligned to its elements");
        for (uint32_t d = t.rank; d-- > 0; stride *= t.shape[d])
            if (t.shape[d] > 1 && t.stride[d] != stride)
                no(operand + " has gaps between its elements");
    }

    llmrun_op op_ = {};
    const llmrun_op_row *row_ = nullptr;
    std::vector<llmrun_tensor> tensors_;
    unsigned char attributes_[LLMRUN_OP_MAX_ATTRIBUTE_BYTES] = {};
};

struct op_call {
    const op_view &op;
    const uint64_t *addresses;
    double *work;

    template <typename T = float> T *at(uint32_t operand) const
    {
        return reinterpret_cast<T *>(static_cast<uintptr_t>(addresses[operand]));
    }
    double get(uint32_t operand, int64_t i) const
    {
        return op.is_f64(operand) ? at<double>(operand)[i] : at(operand)[i];
    }
    /* The whole value of one element of an output, once in a launch; an output that is absent is passed over. */
    void put(uint32_t operand, int64_t i, double value) const
    {
        if (!op.has(operand))
            return;
        if (op.adds(operand))
            value += get(operand, i);
        if (op.is_f64(operand))
            at<double>(operand)[i] = value;
        else
            at(operand)[i] = static_cast<float>(value);
    }
    /* The same for all elements of an output. */
    template <typename F> void each(uint32_t operand, F value) const
    {
        for (int64_t i = 0; i < op.elements(operand); i++)
            put(operand, i, value(i));
    }
};

struct op_kernel {
    uint32_t op;
    void (*run)(const op_call &call);
    /* The doubles that it works in; refuses what it cannot do. nullptr: none, and it does all. */
    int64_t (*plan)(const op_view &op);
};

template <typename A, typename B> double dot(const A *a, int64_t a_step, const B *b, int64_t b_step, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += static_cast<double>(a[i * a_step]) * b[i * b_step];
    return sum;
}

template <size_t count> const op_kernel *find_in(const op_kernel (&kernels)[count], uint32_t op)
{
    for (const op_kernel &kernel : kernels)
        if (kernel.op == op)
            return &kernel;
    return nullptr;
}

/* nullptr for an op that is not there. */
const op_kernel *find_layer_kernel(uint32_t op);
const op_kernel *find_step_kernel(uint32_t op);

} // namespace cpp

#endif
