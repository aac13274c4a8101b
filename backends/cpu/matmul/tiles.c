/* The kernels of one instruction set, from tiles.h: AVX2 with six by sixteen sums in twelve of sixteen registers,
 * AVX-512 with fourteen by thirty-two in twenty-eight of thirty-two. Plain C has none: gemm_plain.c serves it. */
#include "kernels/table.h"
#include "matmul/gemm_kernel.h"

#if defined(__AVX512F__)
#define TILE_ROWS    14
#define TILE_VECTORS 2
#define TILE_NAME    "avx512"
#elif defined(__AVX2__)
#define TILE_ROWS    6
#define TILE_VECTORS 1
#define TILE_NAME    "avx2"
#endif

#if defined(TILE_ROWS)
#define tile_step(a, b, sum) vec_fma(a, b, sum)
#include "matmul/tiles.h"

TILE_KERNEL(TILE_NAME, GEMM_UNIT_F32, f32)
TILE_KERNEL(TILE_NAME " widened", GEMM_UNIT_WIDE, wide)

const struct gemm_kernel *const KERNEL_NAME(gemm_f32) = &kernel_f32;
const struct gemm_kernel *const KERNEL_NAME(gemm_wide) = &kernel_wide;
#endif
