/* The tile that multiplies bf16 pairs with vdpbf16ps. */
#include "kernels/table.h"
#include "kernels/vec.h"
#include "matmul/gemm_kernel.h"

/* a and b hold pairs of bf16, whatever the lanes are called. */
static inline struct f32x16 tile_step(struct f32x16 a, struct f32x16 b, struct f32x16 sum)
{
    return vec_add_pairs(vec_to_bits(a), vec_to_bits(b), sum);
}

#define TILE_ROWS    14
#define TILE_VECTORS 2
#include "matmul/tiles.h"

TILE_KERNEL("avx512 vdpbf16ps", GEMM_UNIT_PAIR, pair)

const struct gemm_kernel *const KERNEL_NAME(gemm_pair) = &kernel_pair;
