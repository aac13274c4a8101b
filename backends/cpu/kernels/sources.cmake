# Sources of the cpu kernels, one line a file, relative to backends/cpu: kernels/gelu.c.

# Compiled once for each instruction set, as table.h says.
set(kernel_sources
  kernels/adamw.c
  kernels/attention.c
  kernels/attention_cached.c
  kernels/attention_fit.c
  kernels/attention_grad.c
  kernels/attention_product.c
  kernels/bias_grad.c
  kernels/dropout.c
  kernels/elementwise.c
  kernels/embedding.c
  kernels/gelu.c
  kernels/gradient_norm.c
  kernels/init.c
  kernels/layernorm.c
  kernels/loss.c
  kernels/loss_split.c
  kernels/norm_grads.c
  kernels/rmsnorm.c
  kernels/rope.c
  kernels/swiglu.c
  matmul/ops.c
  matmul/micro_panel.c
  matmul/tiles.c
)

# Compiled once, for AVX-512 with BF16: KERNEL_ISA is avx512bf16.
set(kernel_bf16_sources
  kernels/attention.c
  kernels/attention_fit.c
  kernels/attention_grad.c
  kernels/attention_product.c
  matmul/micro_panel.c
  matmul/tiles_vdpbf16.c
)

# Compiled once, for any processor: what does not depend on the instruction set.
set(kernel_common_sources
  matmul/unordered.c
  matmul/gemm.c
  matmul/gemm_part.c
  matmul/gemm_blocked.c
  matmul/gemm_choose.c
  matmul/gemm_pack.c
  matmul/gemm_plan.c
  matmul/gemm_plain.c
  matmul/gemm_regions.c
  matmul/gemm_rows.c
)

# Compiled once, where the library is there.
set(kernel_openblas_sources
  matmul/openblas.c
)
set(kernel_onednn_sources
  matmul/onednn.c
)
