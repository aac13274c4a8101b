/* The functions and sums of docs/numerics.md in scalar C, bit for bit. */
#ifndef LLMRUN_CPU_REF_EXACT_H
#define LLMRUN_CPU_REF_EXACT_H

#include <stdint.h>

float exact_exp(float x);
float exact_log(float x);
float exact_gelu(float x);
float exact_gelu_slope(float x); /* the derivative of exact_gelu */
/* The normal quantile at (word + 1/2) / 2^32. */
float exact_normal(uint32_t word);

/* Sums of a row: element i belongs to lane i % 16; the lanes then meet in exact_tree. */
#define EXACT_LANES 16
float exact_tree(const float lanes[EXACT_LANES]);
double exact_tree_double(const double lanes[EXACT_LANES]);

#endif
