/* Generated from core/program/ops.def: do not edit. llmrun plugin contract: the ops.
 *
 * For each op: its number and version, the indices of its operands in a descriptor, and its attributes.
 * docs/ops.md says what each computes, docs/numerics.md in which order when LLMRUN_OP_EXACT is set. */
/* clang-format off */
#ifndef LLMRUN_OPS_H
#define LLMRUN_OPS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LLMRUN_ACTIVATION_NONE 0
#define LLMRUN_ACTIVATION_GELU 1 /* the tanh form */

#define LLMRUN_INIT_CONSTANT 0
#define LLMRUN_INIT_NORMAL   1
#define LLMRUN_INIT_UNIFORM  2

/* y = table[ids] (+ addend) */
#define LLMRUN_OP_EMBEDDING 1
#define LLMRUN_OP_EMBEDDING_VERSION 2
#define LLMRUN_EMBEDDING_IDS 0
#define LLMRUN_EMBEDDING_TABLE 1
#define LLMRUN_EMBEDDING_ADDEND 2
#define LLMRUN_EMBEDDING_Y 3
#define LLMRUN_EMBEDDING_OPERANDS 4

/* dtable[ids] += dy, in token order */
#define LLMRUN_OP_EMBEDDING_GRAD 2
#define LLMRUN_OP_EMBEDDING_GRAD_VERSION 2
#define LLMRUN_EMBEDDING_GRAD_IDS 0
#define LLMRUN_EMBEDDING_GRAD_DY 1
#define LLMRUN_EMBEDDING_GRAD_DTABLE 2
#define LLMRUN_EMBEDDING_GRAD_OPERANDS 3

/* residual_out = x (+ residual); y = (residual_out - mean) * rstd * weight + bias */
#define LLMRUN_OP_LAYERNORM 3
#define LLMRUN_OP_LAYERNORM_VERSION 1
#define LLMRUN_LAYERNORM_X 0
#define LLMRUN_LAYERNORM_RESIDUAL 1
#define LLMRUN_LAYERNORM_WEIGHT 2
#define LLMRUN_LAYERNORM_BIAS 3
#define LLMRUN_LAYERNORM_Y 4
#define LLMRUN_LAYERNORM_RESIDUAL_OUT 5
#define LLMRUN_LAYERNORM_MEAN 6
#define LLMRUN_LAYERNORM_RSTD 7
#define LLMRUN_LAYERNORM_OPERANDS 8

/* dx = gradient of layernorm by residual_out (+ dresidual_out, the gradient that reaches it from elsewhere) */
#define LLMRUN_OP_LAYERNORM_GRAD 4
#define LLMRUN_OP_LAYERNORM_GRAD_VERSION 2
#define LLMRUN_LAYERNORM_GRAD_DY 0
#define LLMRUN_LAYERNORM_GRAD_RESIDUAL_OUT 1
#define LLMRUN_LAYERNORM_GRAD_WEIGHT 2
#define LLMRUN_LAYERNORM_GRAD_MEAN 3
#define LLMRUN_LAYERNORM_GRAD_RSTD 4
#define LLMRUN_LAYERNORM_GRAD_DRESIDUAL_OUT 5
#define LLMRUN_LAYERNORM_GRAD_DX 6
#define LLMRUN_LAYERNORM_GRAD_DWEIGHT 7
#define LLMRUN_LAYERNORM_GRAD_DBIAS 8
#define LLMRUN_LAYERNORM_GRAD_OPERANDS 9

/* aux = x w^T + bias; y = activation(aux) */
#define LLMRUN_OP_MATMUL 5
#define LLMRUN_OP_MATMUL_VERSION 2
#define LLMRUN_MATMUL_X 0
#define LLMRUN_MATMUL_W 1
#define LLMRUN_MATMUL_BIAS 2
#define LLMRUN_MATMUL_Y 3
#define LLMRUN_MATMUL_AUX 4
#define LLMRUN_MATMUL_OPERANDS 5

/* dx = dy0 w0 (+ dy1 w1 (+ dy2 w2)), one sum */
#define LLMRUN_OP_MATMUL_INPUT_GRAD 6
#define LLMRUN_OP_MATMUL_INPUT_GRAD_VERSION 2
#define LLMRUN_MATMUL_INPUT_GRAD_DY0 0
#define LLMRUN_MATMUL_INPUT_GRAD_W0 1
#define LLMRUN_MATMUL_INPUT_GRAD_DY1 2
#define LLMRUN_MATMUL_INPUT_GRAD_W1 3
#define LLMRUN_MATMUL_INPUT_GRAD_DY2 4
#define LLMRUN_MATMUL_INPUT_GRAD_W2 5
#define LLMRUN_MATMUL_INPUT_GRAD_DX 6
#define LLMRUN_MATMUL_INPUT_GRAD_OPERANDS 7

/* dw = dy^T x, summed over tokens */
#define LLMRUN_OP_MATMUL_WEIGHT_GRAD 7
#define LLMRUN_OP_MATMUL_WEIGHT_GRAD_VERSION 1
#define LLMRUN_MATMUL_WEIGHT_GRAD_DY 0
#define LLMRUN_MATMUL_WEIGHT_GRAD_X 1
#define LLMRUN_MATMUL_WEIGHT_GRAD_DW 2
#define LLMRUN_MATMUL_WEIGHT_GRAD_OPERANDS 3

/* dbias[s * batch_parts + b] = sum of dy over the tokens of batch part b in position part s */
#define LLMRUN_OP_BIAS_GRAD 8
#define LLMRUN_OP_BIAS_GRAD_VERSION 2
#define LLMRUN_BIAS_GRAD_DY 0
#define LLMRUN_BIAS_GRAD_DBIAS 1
#define LLMRUN_BIAS_GRAD_OPERANDS 2

/* y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
#define LLMRUN_OP_GELU 9
#define LLMRUN_OP_GELU_VERSION 1
#define LLMRUN_GELU_X 0
#define LLMRUN_GELU_Y 1
#define LLMRUN_GELU_OPERANDS 2

/* dx = dy gelu'(x) */
#define LLMRUN_OP_GELU_GRAD 10
#define LLMRUN_OP_GELU_GRAD_VERSION 1
#define LLMRUN_GELU_GRAD_DY 0
#define LLMRUN_GELU_GRAD_X 1
#define LLMRUN_GELU_GRAD_DX 2
#define LLMRUN_GELU_GRAD_OPERANDS 3

/* o = dropout(softmax(scale q k^T)) v; a query takes the keys from its start, of segment_starts or document_offsets (docs/numerics.md), to its position; lse = log-sum-exp of the scaled scores */
#define LLMRUN_OP_ATTENTION 11
#define LLMRUN_OP_ATTENTION_VERSION 3
#define LLMRUN_ATTENTION_Q 0
#define LLMRUN_ATTENTION_K 1
#define LLMRUN_ATTENTION_V 2
#define LLMRUN_ATTENTION_SEGMENT_STARTS 3
#define LLMRUN_ATTENTION_DOCUMENT_OFFSETS 4
#define LLMRUN_ATTENTION_RNG_STATE 5
#define LLMRUN_ATTENTION_O 6
#define LLMRUN_ATTENTION_LSE 7
#define LLMRUN_ATTENTION_OPERANDS 8

/* gradients of attention; the weights are made again from q, k and lse. dk and dv are sums over the queries of this call */
#define LLMRUN_OP_ATTENTION_GRAD 12
#define LLMRUN_OP_ATTENTION_GRAD_VERSION 3
#define LLMRUN_ATTENTION_GRAD_Q 0
#define LLMRUN_ATTENTION_GRAD_K 1
#define LLMRUN_ATTENTION_GRAD_V 2
#define LLMRUN_ATTENTION_GRAD_SEGMENT_STARTS 3
#define LLMRUN_ATTENTION_GRAD_DOCUMENT_OFFSETS 4
#define LLMRUN_ATTENTION_GRAD_RNG_STATE 5
#define LLMRUN_ATTENTION_GRAD_O 6
#define LLMRUN_ATTENTION_GRAD_LSE 7
#define LLMRUN_ATTENTION_GRAD_DO 8
#define LLMRUN_ATTENTION_GRAD_DQ 9
#define LLMRUN_ATTENTION_GRAD_DK 10
#define LLMRUN_ATTENTION_GRAD_DV 11
#define LLMRUN_ATTENTION_GRAD_OPERANDS 12

/* y = x / (1 - p) where kept, else 0; the gradient is the same op on dy */
#define LLMRUN_OP_DROPOUT 13
#define LLMRUN_OP_DROPOUT_VERSION 3
#define LLMRUN_DROPOUT_X 0
#define LLMRUN_DROPOUT_RNG_STATE 1
#define LLMRUN_DROPOUT_Y 2
#define LLMRUN_DROPOUT_OPERANDS 3

/* losses = weighted -log softmax(x w^T)[target], summed over each sequence; dx and dw are its gradients times scale */
#define LLMRUN_OP_LINEAR_CROSS_ENTROPY 14
#define LLMRUN_OP_LINEAR_CROSS_ENTROPY_VERSION 2
#define LLMRUN_LINEAR_CROSS_ENTROPY_X 0
#define LLMRUN_LINEAR_CROSS_ENTROPY_W 1
#define LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS 2
#define LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS 3
#define LLMRUN_LINEAR_CROSS_ENTROPY_SCALE 4
#define LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES 5
#define LLMRUN_LINEAR_CROSS_ENTROPY_DX 6
#define LLMRUN_LINEAR_CROSS_ENTROPY_DW 7
#define LLMRUN_LINEAR_CROSS_ENTROPY_OPERANDS 8

/* y = a + b */
#define LLMRUN_OP_ADD 15
#define LLMRUN_OP_ADD_VERSION 1
#define LLMRUN_ADD_A 0
#define LLMRUN_ADD_B 1
#define LLMRUN_ADD_Y 2
#define LLMRUN_ADD_OPERANDS 3

/* y = x in another element type, rounded to nearest even */
#define LLMRUN_OP_CAST 16
#define LLMRUN_OP_CAST_VERSION 1
#define LLMRUN_CAST_X 0
#define LLMRUN_CAST_Y 1
#define LLMRUN_CAST_OPERANDS 2

/* y = constant a, or normal numbers of mean a and std b, or uniform in [a, b) */
#define LLMRUN_OP_INIT 17
#define LLMRUN_OP_INIT_VERSION 2
#define LLMRUN_INIT_Y 0
#define LLMRUN_INIT_OPERANDS 1

/* x as a matrix [.., last extent] is cut into row_parts x column_parts equal blocks: sums[slot + r slot_stride + c] = sum of squares of block r, c */
#define LLMRUN_OP_SUM_SQUARES 18
#define LLMRUN_OP_SUM_SQUARES_VERSION 2
#define LLMRUN_SUM_SQUARES_X 0
#define LLMRUN_SUM_SQUARES_SUMS 1
#define LLMRUN_SUM_SQUARES_OPERANDS 2

/* norm = sqrt(sum of roots in order); scale = min(1, max_norm / (norm + 1e-6)); found_inf becomes 1, and stays it, where norm or a loss is not finite */
#define LLMRUN_OP_CLIP 19
#define LLMRUN_OP_CLIP_VERSION 2
#define LLMRUN_CLIP_ROOTS 0
#define LLMRUN_CLIP_LOSSES 1
#define LLMRUN_CLIP_FOUND_INF 2
#define LLMRUN_CLIP_SCALE 3
#define LLMRUN_CLIP_NORM 4
#define LLMRUN_CLIP_OPERANDS 5

/* AdamW (Loshchilov and Hutter 2019, algorithm 2); nothing changes where found_inf is not 0 */
#define LLMRUN_OP_ADAMW 20
#define LLMRUN_OP_ADAMW_VERSION 2
#define LLMRUN_ADAMW_GRADIENT 0
#define LLMRUN_ADAMW_LEARNING_RATE 1
#define LLMRUN_ADAMW_BIAS_CORRECTION 2
#define LLMRUN_ADAMW_CLIP_SCALE 3
#define LLMRUN_ADAMW_FOUND_INF 4
#define LLMRUN_ADAMW_PARAMETER 5
#define LLMRUN_ADAMW_FIRST_MOMENT 6
#define LLMRUN_ADAMW_SECOND_MOMENT 7
#define LLMRUN_ADAMW_COPY 8
#define LLMRUN_ADAMW_OPERANDS 9

/* residual_out = x (+ residual); y = residual_out * rstd * weight, rstd = 1 / sqrt(mean(residual_out^2) + epsilon), for each head by itself */
#define LLMRUN_OP_RMSNORM 21
#define LLMRUN_OP_RMSNORM_VERSION 2
#define LLMRUN_RMSNORM_X 0
#define LLMRUN_RMSNORM_RESIDUAL 1
#define LLMRUN_RMSNORM_WEIGHT 2
#define LLMRUN_RMSNORM_Y 3
#define LLMRUN_RMSNORM_RESIDUAL_OUT 4
#define LLMRUN_RMSNORM_RSTD 5
#define LLMRUN_RMSNORM_OPERANDS 6

/* dx = gradient of rmsnorm by residual_out (+ dresidual_out, the gradient that reaches it from elsewhere) */
#define LLMRUN_OP_RMSNORM_GRAD 22
#define LLMRUN_OP_RMSNORM_GRAD_VERSION 3
#define LLMRUN_RMSNORM_GRAD_DY 0
#define LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT 1
#define LLMRUN_RMSNORM_GRAD_WEIGHT 2
#define LLMRUN_RMSNORM_GRAD_RSTD 3
#define LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT 4
#define LLMRUN_RMSNORM_GRAD_DX 5
#define LLMRUN_RMSNORM_GRAD_DWEIGHT 6
#define LLMRUN_RMSNORM_GRAD_OPERANDS 7

/* y = silu(gate) * up, silu(x) = x / (1 + exp(-x)) */
#define LLMRUN_OP_SWIGLU 23
#define LLMRUN_OP_SWIGLU_VERSION 1
#define LLMRUN_SWIGLU_GATE 0
#define LLMRUN_SWIGLU_UP 1
#define LLMRUN_SWIGLU_Y 2
#define LLMRUN_SWIGLU_OPERANDS 3

/* dgate = dy up silu'(gate); dup = dy silu(gate) */
#define LLMRUN_OP_SWIGLU_GRAD 24
#define LLMRUN_OP_SWIGLU_GRAD_VERSION 1
#define LLMRUN_SWIGLU_GRAD_DY 0
#define LLMRUN_SWIGLU_GRAD_GATE 1
#define LLMRUN_SWIGLU_GRAD_UP 2
#define LLMRUN_SWIGLU_GRAD_DGATE 3
#define LLMRUN_SWIGLU_GRAD_DUP 4
#define LLMRUN_SWIGLU_GRAD_OPERANDS 5

/* each head's pairs (i, i + d/2) turned by the angle of the token's position; the gradient is the same op on dy, inverse */
#define LLMRUN_OP_ROPE 25
#define LLMRUN_OP_ROPE_VERSION 1
#define LLMRUN_ROPE_X 0
#define LLMRUN_ROPE_POSITIONS 1
#define LLMRUN_ROPE_COSINES 2
#define LLMRUN_ROPE_SINES 3
#define LLMRUN_ROPE_Y 4
#define LLMRUN_ROPE_OPERANDS 5

/* k and v are put into the caches from row position on; then o = softmax(scale q k^T) v, row i over rows 0 to position + i of the caches */
#define LLMRUN_OP_ATTENTION_CACHED 26
#define LLMRUN_OP_ATTENTION_CACHED_VERSION 1
#define LLMRUN_ATTENTION_CACHED_Q 0
#define LLMRUN_ATTENTION_CACHED_K 1
#define LLMRUN_ATTENTION_CACHED_V 2
#define LLMRUN_ATTENTION_CACHED_POSITION 3
#define LLMRUN_ATTENTION_CACHED_K_CACHE 4
#define LLMRUN_ATTENTION_CACHED_V_CACHE 5
#define LLMRUN_ATTENTION_CACHED_O 6
#define LLMRUN_ATTENTION_CACHED_OPERANDS 7

/* y[p] = sum of rows p u to p u + u - 1 of x as a balanced tree, nearest first; y may be the first rows of x: groups ascend in each column */
#define LLMRUN_OP_REDUCE_ROWS 27
#define LLMRUN_OP_REDUCE_ROWS_VERSION 2
#define LLMRUN_REDUCE_ROWS_X 0
#define LLMRUN_REDUCE_ROWS_Y 1
#define LLMRUN_REDUCE_ROWS_OPERANDS 2

/* y = a + b, or a copy of a; y may be a or b */
#define LLMRUN_OP_REDUCE 28
#define LLMRUN_OP_REDUCE_VERSION 1
#define LLMRUN_REDUCE_A 0
#define LLMRUN_REDUCE_B 1
#define LLMRUN_REDUCE_Y 2
#define LLMRUN_REDUCE_OPERANDS 3

/* roots[k] of line {first slot, row parts, column parts} of table: row parts of each column part as a balanced tree, then these */
#define LLMRUN_OP_SLOT_TREE 29
#define LLMRUN_OP_SLOT_TREE_VERSION 1
#define LLMRUN_SLOT_TREE_SUMS 0
#define LLMRUN_SLOT_TREE_TABLE 1
#define LLMRUN_SLOT_TREE_ROOTS 2
#define LLMRUN_SLOT_TREE_OPERANDS 3

/* what matmul does after its sum: aux = partial + bias; y = activation(aux) */
#define LLMRUN_OP_FINISH 30
#define LLMRUN_OP_FINISH_VERSION 1
#define LLMRUN_FINISH_PARTIAL 0
#define LLMRUN_FINISH_BIAS 1
#define LLMRUN_FINISH_Y 2
#define LLMRUN_FINISH_AUX 3
#define LLMRUN_FINISH_OPERANDS 4

/* of each vocabulary part: the largest logit m, the sum of exp(logit - m), and the target's logit: -0 where another part has it, NaN where none has */
#define LLMRUN_OP_LOSS_STATISTICS 31
#define LLMRUN_OP_LOSS_STATISTICS_VERSION 1
#define LLMRUN_LOSS_STATISTICS_LOGITS 0
#define LLMRUN_LOSS_STATISTICS_TARGETS 1
#define LLMRUN_LOSS_STATISTICS_STATISTICS 2
#define LLMRUN_LOSS_STATISTICS_OPERANDS 3

/* losses and the gradient of the logits, as linear_cross_entropy has them, from the statistics of all vocabulary parts */
#define LLMRUN_OP_LOSS_GRADIENT 32
#define LLMRUN_OP_LOSS_GRADIENT_VERSION 1
#define LLMRUN_LOSS_GRADIENT_LOGITS 0
#define LLMRUN_LOSS_GRADIENT_STATISTICS 1
#define LLMRUN_LOSS_GRADIENT_TARGETS 2
#define LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS 3
#define LLMRUN_LOSS_GRADIENT_SCALE 4
#define LLMRUN_LOSS_GRADIENT_LOSSES 5
#define LLMRUN_LOSS_GRADIENT_DLOGITS 6
#define LLMRUN_LOSS_GRADIENT_OPERANDS 7

#define LLMRUN_OPS 33 /* one past the last */

struct llmrun_embedding_attributes {
    int64_t row_first; /* id of the first row of table; other ids give -0 */
};

struct llmrun_embedding_grad_attributes {
    uint32_t batch_parts; /* equal parts of the tokens that are summed as a balanced tree; 1: one chain */
    uint32_t reserved; /* 0 */
    int64_t row_first; /* id of the first row of dtable */
};

struct llmrun_layernorm_attributes {
    float epsilon; /* added to the variance */
};

struct llmrun_layernorm_grad_attributes {
    int64_t seq_len; /* positions of one sequence */
    uint32_t batch_parts; /* as in bias_grad */
    uint32_t position_parts; /* as in bias_grad */
};

struct llmrun_matmul_attributes {
    uint32_t activation; /* LLMRUN_ACTIVATION_NONE or LLMRUN_ACTIVATION_GELU */
    uint32_t feature_parts; /* equal parts of k that are summed as a balanced tree; 1: one chain */
};

struct llmrun_matmul_input_grad_attributes {
    uint32_t feature_parts; /* equal parts of n, p and q: part i of all three is one chain */
    uint32_t reserved; /* 0 */
};

struct llmrun_matmul_weight_grad_attributes {
    uint32_t batch_parts; /* equal parts of the tokens that are summed as a balanced tree; 1: one chain */
    uint32_t reserved; /* 0 */
};

struct llmrun_bias_grad_attributes {
    int64_t seq_len; /* positions of one sequence */
    uint32_t batch_parts; /* equal parts of the sequences */
    uint32_t position_parts; /* equal parts of each sequence */
};

struct llmrun_attention_attributes {
    int64_t seq_len; /* queries of one sequence, at neighbouring positions */
    int64_t keys; /* positions of one sequence, each with a key */
    int64_t query_first; /* position of a sequence's first query; query_first + sequence <= keys */
    uint32_t heads; /* query heads */
    uint32_t kv_heads; /* key and value heads; divides heads */
    uint32_t kv_head_first; /* the key and value head that is head 0 of this call: dropout counts from its query heads on */
    uint32_t kv_heads_full; /* key and value heads of all calls that share the heads; 0: this call has all */
    float scale; /* of the scores */
    float dropout; /* probability that a weight is dropped; 0: rng_state is absent */
};

struct llmrun_attention_grad_attributes {
    int64_t seq_len; /* as in attention */
    int64_t keys; /* as in attention */
    int64_t query_first; /* as in attention */
    uint32_t heads; /* as in attention */
    uint32_t kv_heads; /* as in attention */
    uint32_t kv_head_first; /* as in attention */
    uint32_t kv_heads_full; /* as in attention */
    float scale; /* as in attention */
    float dropout; /* as in attention */
};

struct llmrun_dropout_attributes {
    int64_t seq_len; /* positions of one sequence */
    float probability; /* that an element is dropped */
    uint32_t reserved; /* 0 */
    int64_t position_first; /* position of the first row of each sequence */
    int64_t positions_full; /* positions of a whole sequence; 0: those of x */
    int64_t channel_first; /* channel of the first column */
    int64_t channels_full; /* channels of all ranks; 0: those of x */
};

struct llmrun_linear_cross_entropy_attributes {
    int64_t seq_len; /* positions of one sequence */
    int64_t vocabulary; /* rows of w that are tokens; the rest is padding, masked and without gradient */
    uint32_t feature_parts; /* equal parts of c that a logit sums as a balanced tree; 1: one chain */
    uint32_t vocabulary_parts; /* equal parts of the rows of w: each has a maximum and a sum of its own, and dx adds them as a balanced tree */
    uint32_t batch_parts; /* equal parts of the tokens that dw sums as a balanced tree; 1: one chain */
    uint32_t reserved; /* 0 */
};

struct llmrun_init_attributes {
    uint64_t stream_id; /* of the random numbers: made from the seed and the tensor's name */
    uint32_t distribution; /* LLMRUN_INIT_CONSTANT, LLMRUN_INIT_NORMAL or LLMRUN_INIT_UNIFORM */
    float a; /* value, mean or lower end */
    float b; /* std or upper end */
    uint32_t reserved; /* 0 */
    int64_t first0; /* logical index of the first element along dimension 0 */
    int64_t full0; /* logical extent of dimension 0; 0: that of y */
    int64_t first1; /* as first0, of dimension 1 */
    int64_t full1; /* as full0 */
    int64_t first2; /* as first0, of dimension 2 */
    int64_t full2; /* as full0 */
};

struct llmrun_sum_squares_attributes {
    int64_t slot; /* first element of sums that is written; the others keep their value */
    uint32_t row_parts; /* divides the rows: the product of all extents but the last */
    uint32_t column_parts; /* divides the last extent */
    uint32_t slot_stride; /* slots from a row of blocks to the next; 0: column_parts */
    uint32_t replica; /* 1: another rank counts the same x, the slots become 0 */
};

struct llmrun_clip_attributes {
    float max_norm; /* 0: scale is 1 */
    uint32_t reserved; /* 0 */
};

struct llmrun_adamw_attributes {
    float beta1; /* decay of the first moment */
    float beta2; /* decay of the second moment */
    float epsilon; /* added to the root of the second moment */
    float weight_decay; /* decoupled, times the learning rate */
};

struct llmrun_rmsnorm_attributes {
    float epsilon; /* added to the mean of the squares */
    uint32_t reserved; /* 0 */
};

struct llmrun_rmsnorm_grad_attributes {
    int64_t seq_len; /* positions of one sequence */
    uint32_t batch_parts; /* as in bias_grad */
    uint32_t position_parts; /* as in bias_grad */
    uint32_t head_parts; /* equal parts of the heads, as the others */
    uint32_t reserved; /* 0 */
};

struct llmrun_rope_attributes {
    uint32_t heads; /* of x; the tables have a row for each position and a column for each pair of one head */
    uint32_t inverse; /* 1: turned back */
};

struct llmrun_attention_cached_attributes {
    uint32_t heads; /* query heads */
    uint32_t kv_heads; /* key and value heads; divides heads */
    float scale; /* of the scores */
};

struct llmrun_finish_attributes {
    uint32_t activation; /* LLMRUN_ACTIVATION_NONE or LLMRUN_ACTIVATION_GELU */
    uint32_t reserved; /* 0 */
};

struct llmrun_loss_statistics_attributes {
    int64_t seq_len; /* positions of one sequence */
    int64_t first; /* the token whose logits are the first column; targets count from token 0 */
    int64_t vocabulary; /* columns that are tokens; the rest is padding */
    int64_t full; /* tokens of the whole vocabulary */
    uint32_t vocabulary_parts; /* equal parts of the columns */
    uint32_t reserved; /* 0 */
};

struct llmrun_loss_gradient_attributes {
    int64_t seq_len; /* positions of one sequence, or of the piece of one that the rows are: losses are then added to */
    int64_t first; /* as in loss_statistics; whole parts lie before it */
    int64_t vocabulary; /* as in loss_statistics */
    uint32_t vocabulary_parts; /* as in loss_statistics */
    uint32_t reserved; /* 0 */
};

#ifdef __cplusplus
}
#endif

#endif
