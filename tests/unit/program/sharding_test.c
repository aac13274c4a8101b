/* The rules of sharding, each by a program that it accepts and one that it alone refuses. The programs are those of
 * rank 1 of 2 where they are split. */
#include "program/sharding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "program/text.h"
#include "program/verify.h"

struct rule {
    const char *name;
    const char *right;
    const char *wrong;
    const char *problem; /* in the message of the wrong one */
};

#define BEGIN   "llmrun-program 1\n"
#define FORWARD "section forward 0\n"

/* x [b s, k] w [n, k], k split. */
#define ROW_PARALLEL                                                                                                   \
    BEGIN "%0 = input f32[8,16] \"x\" full [8,32] tp split 1.0 1/2\n"                                                  \
          "%1 = parameter f32[6,16] \"w\" full [6,32] tp split 1.0 1/2\n"
/* n split. */
#define COLUMN_PARALLEL                                                                                                \
    BEGIN "%0 = input f32[8,32] \"x\"\n"                                                                               \
          "%1 = parameter f32[6,32] \"w\" full [12,32] tp split 0.0 1/2\n"

/* The loss of 2 sequences of 4, 10 logits each, one of them padding, in two parts. */
#define LOGITS         BEGIN "%0 = input f32[8,5] \"logits\" full [8,10] tp split 1.0 1/2\n%1 = input i32[8] \"targets\"\n"
#define STATISTICS     "%2 = activation f32[1,3,8] \"statistics\" full [2,3,8] tp split 0.0 1/2\n"
#define OWN_STATISTICS "%2 = input f32[1,3,8] \"statistics\" full [2,3,8] tp split 0.0 1/2\n"
#define ALL_STATISTICS "%2 = input f32[2,3,8] \"statistics\"\n"
#define WEIGHTS        "%3 = input f32[8] \"weights\"\n%4 = input f32[1] \"scale\"\n"
#define LOSSES         "%5 = result f64[2] \"losses\"\n"
#define DLOGITS        "%6 = activation f32[8,5] \"dlogits\" full [8,10] tp split 1.0 1/2\n"
#define GRADIENT                                                                                                       \
    "  loss_gradient(%0, %2, %1, %3, %4 -> %5, %6) {seq_len: 4, first: 5, vocabulary: 4, vocabulary_parts: 1, "        \
    "reserved: 0} B\n"

/* Two sequences of four positions: half of the queries, one of the sequences, or either of them for the gradients. */
#define HEADS "heads: 2, kv_heads: 1, kv_head_first: 0, kv_heads_full: 0, scale: 1, "
#define QUERIES                                                                                                        \
    BEGIN "%0 = input f32[4,8] \"q\" full [8,8] cp split 0.1 1/2\n"                                                    \
          "%1 = input f32[8,4] \"k\"\n%2 = input f32[8,4] \"v\"\n"                                                     \
          "%3 = input i32[4] \"starts\" full [8] cp split 0.1 1/2\n"
#define DOCUMENTS(offsets)                                                                                             \
    BEGIN "%0 = input f32[4,8] \"q\" full [8,8] dp split 0.0 1/2\n"                                                    \
          "%1 = input f32[4,4] \"k\" full [8,4] dp split 0.0 1/2\n"                                                    \
          "%2 = input f32[4,4] \"v\" full [8,4] dp split 0.0 1/2\n"                                                    \
          "%3 = input i32[2] \"offsets\" " offsets "\n"                                                                \
          "%4 = activation f32[4,8] \"o\" full [8,8] dp split 0.0 1/2\n"                                               \
          "%5 = activation f32[4,2] \"lse\" full [8,2] dp split 0.0 1/2\nsection forward 0\n"                          \
          "  attention(%0, %1, %2, _, %3, _ -> %4, %5) {seq_len: 4, keys: 4, query_first: 0, " HEADS "dropout: 0} F\n"
#define GRADIENTS(split, keys, keys_split, attributes)                                                                 \
    BEGIN "%0 = input f32[4,8] \"q\" full [8,8] " split "\n"                                                           \
          "%1 = input f32" keys " \"k\" " keys_split "\n%2 = input f32" keys " \"v\" " keys_split "\n"                 \
          "%3 = input f32[4,8] \"o\" full [8,8] " split "\n%4 = input f32[4,2] \"lse\" full [8,2] " split "\n"         \
          "%5 = input f32[4,8] \"do\" full [8,8] " split "\n%6 = activation f32[4,8] \"dq\" full [8,8] " split "\n"    \
          "%7 = activation f32" keys " \"dk\" " keys_split "\n%8 = activation f32" keys " \"dv\" " keys_split "\n"     \
          "section backward 0\n"                                                                                       \
          "  attention_grad(%0, %1, %2, _, _, _, %3, %4, %5 -> %6, %7, %8) {" attributes ", " HEADS "dropout: 0} B\n"

static const struct rule rules[] = {
    {"a kept letter is split in all operands that have it",
     COLUMN_PARALLEL "%2 = activation f32[8,6] \"y\" full [8,12] tp split 1.0 1/2\n" FORWARD
                     "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 8} F\n",
     COLUMN_PARALLEL "%2 = activation f32[8,6] \"y\"\n" FORWARD
                     "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 8} F\n",
     "operand y (value y) is replicated over tp: operand w is split 0.0 1/2, which splits both"},
    {"all operands have the same part",
     COLUMN_PARALLEL "%2 = activation f32[8,6] \"y\" full [8,12] tp split 1.0 1/2\n" FORWARD
                     "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 8} F\n",
     COLUMN_PARALLEL "%2 = activation f32[8,6] \"y\" full [8,12] tp split 1.0 0/2\n" FORWARD
                     "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 8} F\n",
     "operand y (value y) is split 1.0 0/2 over tp: operand w is split 0.0 1/2, which splits both"},
    {"two operands are not split on two letters",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     BEGIN "%0 = input f32[4,32] \"x\" full [8,32] tp split 0.0 1/2\n"
           "%1 = parameter f32[6,32] \"w\" full [12,32] tp split 0.0 1/2\n"
           "%2 = activation f32[4,6] \"y\" full [8,6] tp split 0.0 1/2\n" FORWARD
           "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 8} F\n",
     "operand w (value w) is split 0.0 1/2 over tp: operand x is split 0.0 1/2"},
    {"a sum over a split letter makes the term that its parts are",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 0:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     "operand y (value y) is partial + 0:4 over tp: the op makes it partial + 4:4"},
    {"a sum over a split letter is not the whole sum",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\"\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     "operand y (value y) is replicated over tp: the op makes it partial + 4:4"},
    {"parts of a sum are whole on a rank",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 3:3\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 3} F\n",
     "operand x (value x) is split 1.0 1/2 over tp: its parts of the sum are not whole"},
    {"a term of a sum is not rounded",
     BEGIN "%0 = input bf16[8,16] \"x\" full [8,32] tp split 1.0 1/2\n"
           "%1 = cast bf16[6,16] \"w\" full [6,32] tp split 1.0 1/2\n"
           "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
           "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     BEGIN "%0 = input bf16[8,16] \"x\" full [8,32] tp split 1.0 1/2\n"
           "%1 = cast bf16[6,16] \"w\" full [6,32] tp split 1.0 1/2\n"
           "%2 = activation bf16[8,6] \"y\" tp partial + 4:4\n" FORWARD
           "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     "operand y (value y) is partial + 4:4 over tp: a term of a sum is not rounded before the sum"},
    {"a bias comes after the sum",
     COLUMN_PARALLEL "%2 = activation f32[8,6] \"y\" full [8,12] tp split 1.0 1/2\n"
                     "%3 = parameter f32[6] \"bias\" full [12] tp split 0.0 1/2\n" FORWARD
                     "  matmul(%0, %1, %3 -> %2, _) {activation: 1, feature_parts: 8} F\n",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n%3 = parameter f32[6] \"bias\"\n" FORWARD
                  "  matmul(%0, %1, %3 -> %2, _) {activation: 0, feature_parts: 4} F\n",
     "operand bias (value bias) is replicated over tp: it comes after the reduction"},
    {"an activation comes after the sum",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     ROW_PARALLEL "%2 = activation f32[8,6] \"y\" tp partial + 4:4\n" FORWARD
                  "  matmul(%0, %1, _ -> %2, _) {activation: 1, feature_parts: 4} F\n",
     "the op's activation comes after the reduction"},
    {"an operand that the op needs whole is not split",
     BEGIN "%0 = input f32[4,32] \"x\" full [8,32] tp split 0.1 1/2\n%1 = parameter f32[32] \"weight\"\n"
           "%2 = activation f32[4,32] \"y\" full [8,32] tp split 0.1 1/2\n"
           "%3 = activation f32[4,1] \"rstd\" full [8,1] tp split 0.1 1/2\n" FORWARD
           "  rmsnorm(%0, _, %1 -> %2, _, %3) {epsilon: 1e-5, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,16] \"x\" full [8,32] tp split 1.1 1/2\n"
           "%1 = parameter f32[16] \"weight\" full [32] tp split 0.0 1/2\n"
           "%2 = activation f32[8,16] \"y\" full [8,32] tp split 1.1 1/2\n%3 = activation f32[8,1] \"rstd\"\n" FORWARD
           "  rmsnorm(%0, _, %1 -> %2, _, %3) {epsilon: 1e-5, reserved: 0} F\n",
     "operand x (value x) is split 1.1 1/2 over tp: the op needs it whole"},
    {"a norm over the width of a head takes parts of the heads",
     BEGIN "%0 = input f32[8,16] \"x\" full [8,32] tp split 1.0 1/2\n%1 = parameter f32[4] \"weight\"\n"
           "%2 = activation f32[8,16] \"y\" full [8,32] tp split 1.0 1/2\n"
           "%3 = activation f32[8,4] \"rstd\" full [8,8] tp split 1.0 1/2\n" FORWARD
           "  rmsnorm(%0, _, %1 -> %2, _, %3) {epsilon: 1e-5, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,16] \"x\" full [8,32] tp split 1.0 1/2\n%1 = parameter f32[4] \"weight\"\n"
           "%2 = activation f32[8,16] \"y\" full [8,32] tp split 1.0 1/2\n"
           "%3 = activation f32[8,4] \"rstd\"\n" FORWARD
           "  rmsnorm(%0, _, %1 -> %2, _, %3) {epsilon: 1e-5, reserved: 0} F\n",
     "operand rstd (value rstd) is replicated over tp: operand x is split 1.0 1/2, which splits both"},
    {"factors of one dimension are told apart: attention takes parts of the sequences, and no part of the keys of one",
     DOCUMENTS("full [4] dp split 0.0 1/2"),
     BEGIN "%0 = input f32[8,8] \"q\"\n%1 = input f32[4,4] \"k\" full [8,4] dp split 0.1 1/2\n"
           "%2 = input f32[4,4] \"v\" full [8,4] dp split 0.1 1/2\n"
           "%3 = activation f32[8,8] \"o\"\n%4 = activation f32[8,2] \"lse\"\n" FORWARD
           "  attention(%0, %1, %2, _, _, _ -> %3, %4) {seq_len: 4, keys: 2, query_first: 0, " HEADS "dropout: 0} F\n",
     "operand k (value k) is split 0.1 1/2 over dp: the op needs it whole"},
    {"queries are split without their keys, and their places in the keys are an attribute that dropout goes by",
     QUERIES "%4 = activation f32[4,8] \"o\" full [8,8] cp split 0.1 1/2\n"
             "%5 = activation f32[4,2] \"lse\" full [8,2] cp split 0.1 1/2\n%6 = input u32[5] \"random\"\n" FORWARD
             "  attention(%0, %1, %2, %3, _, %6 -> %4, %5) {seq_len: 2, keys: 4, query_first: 2, " HEADS
             "dropout: 0.5} F\n",
     QUERIES "%4 = activation f32[4,8] \"o\" full [8,8] cp split 0.1 1/2\n"
             "%5 = activation f32[4,2] \"lse\"\n" FORWARD
             "  attention(%0, %1, %2, %3, _, _ -> %4, %5) {seq_len: 2, keys: 4, query_first: 2, " HEADS
             "dropout: 0} F\n",
     "operand lse (value lse) is replicated over cp: operand q is split 0.1 1/2, which splits both"},
    {"gradients of keys are chains over queries, which no part of them makes",
     GRADIENTS("dp split 0.0 1/2", "[4,4]", "full [8,4] dp split 0.0 1/2", "seq_len: 4, keys: 4, query_first: 0"),
     GRADIENTS("dp split 0.1 1/2", "[8,4]", "", "seq_len: 2, keys: 4, query_first: 2"),
     "operand dk (value dk) is replicated over dp: it cannot lose the factor on which the op is split"},
    {"query heads are split with their key-value heads",
     BEGIN
     "%0 = input f32[8,4] \"q\" full [8,8] tp split 1.0 1/2\n%1 = input f32[8,2] \"k\" full [8,4] tp split 1.0 1/2\n"
     "%2 = input f32[8,2] \"v\" full [8,4] tp split 1.0 1/2\n%3 = input u32[5] \"random\"\n"
     "%4 = activation f32[8,4] \"o\" full [8,8] tp split 1.0 1/2\n"
     "%5 = activation f32[8,2] \"lse\" full [8,4] tp split 1.0 1/2\n" FORWARD
     "  attention(%0, %1, %2, _, _, %3 -> %4, %5) {seq_len: 4, keys: 4, query_first: 0, heads: 2, kv_heads: 1, "
     "kv_head_first: 1, kv_heads_full: 2, scale: 1, dropout: 0.5} F\n",
     BEGIN "%0 = input f32[8,4] \"q\" full [8,8] tp split 1.0 1/2\n%1 = input f32[8,2] \"k\"\n"
           "%2 = input f32[8,2] \"v\"\n%3 = input i32[8] \"starts\"\n"
           "%4 = activation f32[8,4] \"o\" full [8,8] tp split 1.0 1/2\n"
           "%5 = activation f32[8,2] \"lse\" full [8,4] tp split 1.0 1/2\n" FORWARD
           "  attention(%0, %1, %2, %3, _, _ -> %4, %5) {seq_len: 4, keys: 4, query_first: 0, " HEADS "dropout: 0} F\n",
     "operand k (value k) is replicated over tp: operand q is split 1.0 1/2, which splits both"},
    {"documents are those of a part of the sequences", DOCUMENTS("full [4] dp split 0.0 1/2"), DOCUMENTS(""),
     "operand document_offsets (value offsets) is replicated over dp: operand q is split 0.0 1/2, which splits both"},
    {"letters that are tied split together, with extents apart",
     BEGIN "%0 = input f32[8,4] \"dq\" full [8,8] tp split 1.0 1/2\n%1 = parameter f32[4,6] \"wq\" full [8,6] tp split "
           "0.0 1/2\n"
           "%2 = input f32[8,2] \"dk\" full [8,4] tp split 1.0 1/2\n%3 = parameter f32[2,6] \"wk\" full [4,6] tp split "
           "0.0 1/2\n"
           "%4 = activation f32[8,6] \"dx\" tp partial + 2:2\n" FORWARD
           "  matmul_input_grad(%0, %1, %2, %3, _, _ -> %4) {feature_parts: 2, reserved: 0} B\n",
     BEGIN "%0 = input f32[8,4] \"dq\" full [8,8] tp split 1.0 1/2\n%1 = parameter f32[4,6] \"wq\" full [8,6] tp split "
           "0.0 1/2\n"
           "%2 = input f32[8,4] \"dk\"\n%3 = parameter f32[4,6] \"wk\"\n"
           "%4 = activation f32[8,6] \"dx\" tp partial + 2:2\n" FORWARD
           "  matmul_input_grad(%0, %1, %2, %3, _, _ -> %4) {feature_parts: 2, reserved: 0} B\n",
     "operand dy1 (value dk) is replicated over tp: operand dy0 is split 1.0 1/2, which splits both"},
    {"the chain over tokens takes whole sequences",
     BEGIN
     "%0 = input f32[4,6] \"dy\" full [8,6] dp split 0.0 1/2\n%1 = input f32[4,5] \"x\" full [8,5] dp split 0.0 1/2\n"
     "%2 = gradient f32[6,5] \"dw\" dp partial + 2:2\nsection backward 0\n"
     "  matmul_weight_grad(%0, %1 -> %2) {batch_parts: 2, reserved: 0} W\n",
     BEGIN
     "%0 = input f32[4,6] \"dy\" full [8,6] dp split 0.1 1/2\n%1 = input f32[4,5] \"x\" full [8,5] dp split 0.1 1/2\n"
     "%2 = gradient f32[6,5] \"dw\" dp partial + 2:2\nsection backward 0\n"
     "  matmul_weight_grad(%0, %1 -> %2) {batch_parts: 2, reserved: 0} W\n",
     "operand dy (value dy) is split 0.1 1/2 over dp: the op needs it whole"},
    {"an output that cannot lose a letter forbids its split: losses over the vocabulary",
     BEGIN
     "%0 = input f32[4,6] \"x\" full [8,6] dp split 0.0 1/2\n%1 = parameter f32[10,6] \"w\"\n"
     "%2 = input i32[4] \"targets\" full [8] dp split 0.0 1/2\n%3 = input f32[4] \"weights\" full [8] dp split 0.0 "
     "1/2\n"
     "%4 = input f32[1] \"scale\"\n%5 = result f64[1] \"losses\" full [2] dp split 0.0 1/2\n" FORWARD
     "  linear_cross_entropy(%0, %1, %2, %3, %4 -> %5, _, _) {seq_len: 4, vocabulary: 10, feature_parts: 1, "
     "vocabulary_parts: 1, batch_parts: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,6] \"x\"\n%1 = parameter f32[5,6] \"w\" full [10,6] tp split 0.0 1/2\n"
           "%2 = input i32[8] \"targets\"\n%3 = input f32[8] \"weights\"\n"
           "%4 = input f32[1] \"scale\"\n%5 = result f64[2] \"losses\"\n" FORWARD
           "  linear_cross_entropy(%0, %1, %2, %3, %4 -> %5, _, _) {seq_len: 4, vocabulary: 5, feature_parts: 1, "
           "vocabulary_parts: 1, batch_parts: 1, reserved: 0} F\n",
     "operand losses (value losses) is replicated over tp: it cannot lose the factor on which the op is split"},
    {"statistics of parts of the vocabulary are split as it is",
     LOGITS STATISTICS FORWARD "  loss_statistics(%0, %1 -> %2) {seq_len: 4, first: 5, vocabulary: 4, full: 9, "
                               "vocabulary_parts: 1, reserved: 0} F\n",
     LOGITS "%2 = activation f32[1,3,8] \"statistics\"\n" FORWARD
            "  loss_statistics(%0, %1 -> %2) {seq_len: 4, first: 5, vocabulary: 4, full: 9, vocabulary_parts: 1, "
            "reserved: 0} F\n",
     "operand statistics (value statistics) is replicated over tp: operand logits is split 1.0 1/2, which splits both"},
    {"a gradient of logits takes the statistics of all ranks",
     LOGITS ALL_STATISTICS WEIGHTS LOSSES DLOGITS FORWARD GRADIENT,
     LOGITS OWN_STATISTICS WEIGHTS LOSSES DLOGITS FORWARD GRADIENT,
     "operand statistics (value statistics) is split 0.0 1/2 over tp: operand logits is split 1.0 1/2, which splits "
     "both"},
    {"what is made without a letter is the same on each rank of its split",
     LOGITS ALL_STATISTICS WEIGHTS LOSSES DLOGITS FORWARD GRADIENT,
     LOGITS ALL_STATISTICS WEIGHTS "%5 = result f64[2] \"losses\" tp partial + 1:1\n" DLOGITS FORWARD GRADIENT,
     "operand losses (value losses) is partial + 1:1 over tp: the op makes no term of it, so it would count once a "
     "rank"},
    {"a sum is finished when its terms have met",
     BEGIN "%0 = input f32[8,6] \"sum\"\n%1 = activation f32[8,6] \"y\"\n" FORWARD
           "  finish(%0, _ -> %1, _) {activation: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,6] \"sum\" tp partial + 1:1\n%1 = activation f32[8,6] \"y\"\n" FORWARD
           "  finish(%0, _ -> %1, _) {activation: 1, reserved: 0} F\n",
     "operand partial (value sum) is partial + 1:1 over tp: the op cannot take a term"},
    {"rows that are parts are split where the parts are",
     BEGIN "%0 = input f32[4,6] \"dy\" full [8,6] tp split 0.1 1/2\n"
           "%1 = partial_rows f32[2,6] \"dbias\" full [4,6] tp split 0.0 1/2\nsection backward 0\n"
           "  bias_grad(%0 -> %1) {seq_len: 2, batch_parts: 1, position_parts: 2} B\n",
     BEGIN "%0 = input f32[4,6] \"dy\" full [8,6] tp split 0.1 1/2\n"
           "%1 = partial_rows f32[2,6] \"dbias\" tp partial + 2:2\nsection backward 0\n"
           "  bias_grad(%0 -> %1) {seq_len: 2, batch_parts: 1, position_parts: 2} B\n",
     "operand dbias (value dbias) is partial + 2:2 over tp: operand dy is split 0.1 1/2, which splits both"},
    {"a reduce_rows of rows that are parts makes a term",
     BEGIN "%0 = partial_rows f32[2,6] \"rows\" full [4,6] tp split 0.0 1/2\n%1 = gradient f32[6] \"dbias\" tp partial "
           "+ 2:2\n"
           "section backward 0\n  reduce_rows(%0 -> %1) W\n",
     BEGIN "%0 = partial_rows f32[2,6] \"rows\" full [4,6] tp split 0.0 1/2\n%1 = gradient f32[6] \"dbias\" tp partial "
           "+ 1:1\n"
           "section backward 0\n  reduce_rows(%0 -> %1) W\n",
     "operand y (value dbias) is partial + 1:1 over tp: the op makes it partial + 2:2"},
    {"a reduce_rows of parts in groups makes a term of each group",
     BEGIN "%0 = partial_rows f32[4,6] \"rows\" full [8,6] dp split 0.1 1/2\n%1 = scratch f32[2,6] \"sums\" dp partial "
           "+ 2:2\n"
           "section backward 0\n  reduce_rows(%0 -> %1) W\n",
     BEGIN "%0 = partial_rows f32[4,6] \"rows\" full [8,6] dp split 0.1 1/2\n%1 = scratch f32[2,6] \"sums\" dp partial "
           "+ 4:4\n"
           "section backward 0\n  reduce_rows(%0 -> %1) W\n",
     "operand y (value sums) is partial + 4:4 over dp: the op makes it partial + 2:2"},
    {"a reduce_rows keeps the groups apart",
     BEGIN
     "%0 = partial_rows f32[4,6] \"rows\" full [8,6] tp split 0.0 1/2\n"
     "%1 = scratch f32[2,6] \"sums\" full [4,6] tp split 0.0 1/2\nsection backward 0\n  reduce_rows(%0 -> %1) W\n",
     BEGIN "%0 = partial_rows f32[4,6] \"rows\" full [8,6] tp split 0.0 1/2\n"
           "%1 = scratch f32[2,6] \"sums\" tp partial + 1:1\nsection backward 0\n  reduce_rows(%0 -> %1) W\n",
     "operand y (value sums) is partial + 1:1 over tp: operand x is split 0.0 1/2, which splits both"},
    {"an operand that the op takes as one factor is split on its outermost part",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,4] \"y\" full [8,8] tp split "
           "1.0 1/2\n" FORWARD "  gelu(%0 -> %1) F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.1 1/2\n%1 = activation f32[8,4] \"y\" full [8,8] tp split "
           "1.1 1/2\n" FORWARD "  gelu(%0 -> %1) F\n",
     "operand x (value x) is split 1.1 1/2 over tp: the op takes the dimension as one factor"},
    {"a fixed extent is not split",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\"\n%2 = activation f32[8,4] \"y\"\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 8, probability: 0.5, reserved: 0} F\n",
     BEGIN "%0 = input u32[5] \"random\" full [10] tp split 0.0 1/2\n%1 = input f32[8,4] \"x\"\n%2 = activation "
           "f32[8,4] \"y\"\n" FORWARD "  dropout(%1, %0 -> %2) {seq_len: 8, probability: 0.5, reserved: 0} F\n",
     "operand rng_state (value random) is split 0.0 1/2 over tp: the op takes a fixed extent there"},
    {"open operands take any equal split",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] dp split 1.1 1/2\n%1 = activation bf16[8,4] \"y\" full [8,8] dp split "
           "1.1 1/2\n" FORWARD "  cast(%0 -> %1) F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] dp split 1.1 1/2\n%1 = activation bf16[8,4] \"y\" full [8,8] dp split "
           "1.0 1/2\n" FORWARD "  cast(%0 -> %1) F\n",
     "operand y (value y) is split 1.0 1/2 over dp: operand x is split 1.1 1/2, which splits both"},
    {"a term is taken by no op but those that join",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 0:2\n%1 = input f32[8,4] \"b\" tp partial + 2:2\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 0:4\n" FORWARD "  reduce(%0, %1 -> %2) W\n",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 0:2\n%1 = input f32[8,4] \"b\"\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 0:2\n" FORWARD "  add(%0, %1 -> %2) F\n",
     "operand a (value a) is partial + 0:2 over tp: the op cannot take a term"},
    {"terms that are joined are the two halves of a subtree",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 4:2\n%1 = input f32[8,4] \"b\" tp partial + 6:2\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 4:4\n" FORWARD "  reduce(%0, %1 -> %2) W\n",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 2:2\n%1 = input f32[8,4] \"b\" tp partial + 4:2\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 2:2\n" FORWARD "  reduce(%0, %1 -> %2) W\n",
     "operand b (value b) is partial + 4:2 over tp: it is not the other half of a subtree of one sum"},
    {"what joined terms make is their subtree",
     BEGIN "%0 = input f32[8,4] \"a\" dp partial + 0:2\n%1 = scratch f32[8,4] \"y\" dp partial + 0:2\n" FORWARD
           "  reduce(%0, _ -> %1) W\n",
     BEGIN "%0 = input f32[8,4] \"a\" dp partial + 0:2\n%1 = scratch f32[8,4] \"y\"\n" FORWARD
           "  reduce(%0, _ -> %1) W\n",
     "operand y (value y) is replicated over dp: it is not what its terms make"},
    {"one reduction's terms are joined, not two",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 0:1\n%1 = input f32[8,4] \"b\" tp partial + 1:1\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 0:2\n" FORWARD "  reduce(%0, %1 -> %2) W\n",
     BEGIN "%0 = input f32[8,4] \"a\" tp partial + 0:1\n%1 = input f32[8,4] \"b\"\n"
           "%2 = scratch f32[8,4] \"y\" tp partial + 0:2\n" FORWARD "  reduce(%0, %1 -> %2) W\n",
     "operand b (value b) is replicated over tp: it is not the other half of a subtree of one sum"},
    {"what nothing splits is no term: it would count once a rank",
     BEGIN "%0 = input f32[8,4] \"x\"\n%1 = activation f32[8,4] \"y\"\n" FORWARD "  gelu(%0 -> %1) F\n",
     BEGIN "%0 = input f32[8,4] \"x\"\n%1 = activation f32[8,4] \"y\" tp partial + 0:1\n" FORWARD
           "  gelu(%0 -> %1) F\n",
     "operand y (value y) is partial + 0:1 over tp: the op makes no term of it"},
    {"what all ranks have may write a slot, as one rank's, and no other term",
     BEGIN "%0 = gradient f32[8,8] \"g\"\n%1 = scratch f64[4] \"sums\" tp partial slot 0:0\n"
           "section update 0\n  sum_squares(%0, %1) {slot: 1, row_parts: 1, column_parts: 1, replica: 1} U\n",
     BEGIN "%0 = gradient f32[8,8] \"g\"\n%1 = scratch f64[4] \"sums\" tp partial + 0:1\n"
           "section update 0\n  sum_squares(%0, %1) {slot: 1, row_parts: 1, column_parts: 1, replica: 1} U\n",
     "operand sums (value sums) is partial + 0:1 over tp: the op makes no term of it"},
    {"slots of a split tensor are a term",
     BEGIN
     "%0 = gradient f32[8,4] \"g\" full [8,8] tp split 1.0 1/2\n%1 = scratch f64[4] \"sums\" tp partial slot 0:0\n"
     "section update 0\n  sum_squares(%0, %1) {slot: 1, row_parts: 1, column_parts: 1} U\n",
     BEGIN "%0 = gradient f32[8,4] \"g\" full [8,8] tp split 1.0 1/2\n%1 = scratch f64[4] \"sums\"\n"
           "section update 0\n  sum_squares(%0, %1) {slot: 1, row_parts: 1, column_parts: 1} U\n",
     "operand sums (value sums) is replicated over tp: the op makes it partial slot 0:0"},
    {"random numbers go by logical places",
     BEGIN
     "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n"
     "%2 = activation f32[8,4] \"y\" full [8,8] tp split 1.0 1/2\n" FORWARD
     "  dropout(%1, %0 -> %2) {seq_len: 8, probability: 0.5, reserved: 0, channel_first: 4, channels_full: 8} F\n",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n"
           "%2 = activation f32[8,4] \"y\" full [8,8] tp split 1.0 1/2\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 8, probability: 0.5, reserved: 0, channels_full: 8} F\n",
     "operand x (value x) is split 1.0 1/2 over tp: its part begins at 4 of 8, and the op is told 0 of 8"},
    {"an inner factor has an origin of its own",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [16,4] tp split 0.1 1/2\n"
           "%2 = activation f32[8,4] \"y\" full [16,4] tp split 0.1 1/2\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 4, probability: 0.5, reserved: 0, position_first: 4, positions_full: 8} "
           "F\n",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [16,4] tp split 0.1 1/2\n"
           "%2 = activation f32[8,4] \"y\" full [16,4] tp split 0.1 1/2\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 4, probability: 0.5, reserved: 0, position_first: 8, positions_full: "
           "16} F\n",
     "operand x (value x) is split 0.1 1/2 over tp: its part begins at 4 of 8, and the op is told 8 of 16"},
    {"of sequences the random numbers themselves know the first",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [16,4] dp split 0.0 1/2\n"
           "%2 = activation f32[8,4] \"y\" full [16,4] dp split 0.0 1/2\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 4, probability: 0.5, reserved: 0} F\n",
     BEGIN "%0 = input u32[5] \"random\"\n%1 = input f32[8,4] \"x\" full [16,4] dp split 0.0 1/2\n"
           "%2 = activation f32[8,4] \"y\"\n" FORWARD
           "  dropout(%1, %0 -> %2) {seq_len: 4, probability: 0.5, reserved: 0} F\n",
     "operand y (value y) is replicated over dp: operand x is split 0.0 1/2, which splits both"},
    {"rows of a table go by logical places",
     BEGIN "%0 = input i32[8] \"ids\"\n%1 = parameter f32[3,4] \"table\" full [6,4] tp split 0.0 1/2\n"
           "%2 = activation f32[8,4] \"y\" tp partial select 0:0\n" FORWARD
           "  embedding(%0, %1, _ -> %2) {row_first: 3} F\n",
     BEGIN "%0 = input i32[8] \"ids\"\n%1 = parameter f32[3,4] \"table\" full [6,4] tp split 0.0 1/2\n"
           "%2 = activation f32[8,4] \"y\" tp partial select 0:0\n" FORWARD "  embedding(%0, %1, _ -> %2) F\n",
     "operand table (value table) is split 0.0 1/2 over tp: its part begins at 3 of 6, and the op is told 0 of 6"},
    {"what no input tells an attribute must",
     BEGIN "%0 = input i32[8] \"ids\"\n%1 = input f32[8,4] \"dy\"\n"
           "%2 = gradient f32[3,4] \"dtable\" full [6,4] tp split 0.0 1/2\nsection backward 0\n"
           "  embedding_grad(%0, %1 -> +%2) {batch_parts: 1, reserved: 0, row_first: 3} W\n",
     BEGIN "%0 = input i32[8] \"ids\"\n%1 = input f32[8,4] \"dy\"\n"
           "%2 = gradient f32[3,4] \"dtable\" full [6,4] tp split 0.0 1/2\nsection backward 0\n"
           "  embedding_grad(%0, %1 -> +%2) {batch_parts: 1, reserved: 0} W\n",
     "operand dtable (value dtable) is split 0.0 1/2 over tp: its part begins at 3 of 6, and the op is told 0 of 6"},
    {"initial values are those of a part that splits nest to",
     BEGIN "%0 = parameter f32[2,4] \"w\" full [7,4] cp split 0.0 1/2 dp split 0.0 0/2\nsection init 0\n"
           "  init(-> %0) {stream_id: 1, distribution: 1, a: 0, b: 1, reserved: 0, first0: 4, full0: 7} U\n",
     BEGIN "%0 = parameter f32[2,4] \"w\" full [7,4] cp split 0.0 1/2 dp split 0.0 0/2\nsection init 0\n"
           "  init(-> %0) {stream_id: 1, distribution: 1, a: 0, b: 1, reserved: 0, first0: 2, full0: 7} U\n",
     "operand y (value w) is split 0.0 1/2 over cp: its part begins at 4 of 7, and the op is told 2 of 7"},
    {"axes are checked one by one",
     BEGIN "%0 = input f32[4,16] \"x\" full [8,32] tp split 1.0 1/2 dp split 0.0 0/2\n"
           "%1 = parameter f32[6,16] \"w\" full [6,32] tp split 1.0 1/2\n"
           "%2 = activation f32[4,6] \"y\" full [8,6] dp split 0.0 0/2 tp partial + 4:4\n" FORWARD
           "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     BEGIN "%0 = input f32[4,16] \"x\" full [8,32] tp split 1.0 1/2 dp split 0.0 0/2\n"
           "%1 = parameter f32[6,16] \"w\" full [6,32] tp split 1.0 1/2\n"
           "%2 = activation f32[4,6] \"y\" tp partial + 4:4\n" FORWARD
           "  matmul(%0, %1, _ -> %2, _) {activation: 0, feature_parts: 4} F\n",
     "operand y (value y) is replicated over dp: operand x is split 0.0 0/2, which splits both"},
    /* Communication. */
    {"an all_gather takes parts",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,8] \"x\" tp partial + 0:1\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand x (value x) is partial + 0:1 over tp: the op takes and makes other types"},
    {"a reduce_scatter makes parts",
     BEGIN
     "%0 = input f32[8,8] \"x\" tp partial + 0:1\n%1 = activation f32[8,4] \"y\" full [8,8] tp split 1.0 1/2\n" FORWARD
     "  reduce_scatter(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,8] \"x\" tp partial + 0:1\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  reduce_scatter(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand y (value y) is replicated over tp: the op takes and makes other types"},
    {"an all_reduce takes terms",
     BEGIN "%0 = input f32[8,8] \"x\" tp partial + 0:1\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_reduce(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,8] \"x\"\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_reduce(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand x (value x) is replicated over tp: the op takes and makes other types"},
    {"an all_to_all splits elsewhere",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[4,8] \"y\" full [8,8] tp split "
           "0.1 1/2\n" FORWARD "  all_to_all(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_to_all(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand y (value y) is replicated over tp: the op takes and makes other types"},
    {"a slice is of what every rank has",
     BEGIN "%0 = input f32[8,8] \"x\"\n%1 = activation f32[4,8] \"y\" full [8,8] tp split 0.0 1/2\n" FORWARD
           "  slice(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,8] \"x\" tp partial max 0:0\n%1 = activation f32[4,8] \"y\" full [8,8] tp split 0.0 "
           "1/2\n" FORWARD "  slice(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand x (value x) is partial max 0:0 over tp: the op takes and makes other types"},
    {"communication leaves other axes alone",
     BEGIN "%0 = input f32[4,4] \"x\" full [8,8] tp split 1.0 1/2 dp split 0.0 1/2\n%1 = activation f32[4,8] \"y\" "
           "full [8,8] dp split 0.0 1/2\n" FORWARD "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN
     "%0 = input f32[4,4] \"x\" full [8,8] tp split 1.0 1/2 dp split 0.0 1/2\n%1 = activation f32[8,8] \"y\"\n" FORWARD
     "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "operand y (value y) is replicated over dp: the op changes the type over another axis"},
    {"communication keeps the logical shape",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,4] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "has extent 4 on axis '#1', wanted 8"},
    {"communication keeps the element type",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation f32[8,8] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = activation bf16[8,8] \"y\"\n" FORWARD
           "  all_gather(%0 -> %1) {axis: 1, reserved: 0} F\n",
     "x and y differ in their element type"},
    /* Values. */
    {"local extents are what the splits leave",
     BEGIN "%0 = input f32[4,3] \"x\" full [16,3] tp split 0.0 1/2 dp split 0.0 0/2\n",
     BEGIN "%0 = input f32[8,3] \"x\" full [16,3] tp split 0.0 1/2 dp split 0.0 0/2\n",
     "value x has extent 8 in dimension 0; its splits leave 4"},
    {"the last part of an extent that does not divide is shorter",
     BEGIN "%0 = input f32[1,3] \"x\" full [7,3] tp split 0.0 3/4\n",
     BEGIN "%0 = input f32[2,3] \"x\" full [7,3] tp split 0.0 3/4\n",
     "value x has extent 2 in dimension 0; its splits leave 1"},
    {"or empty", BEGIN "%0 = input f32[0,3] \"x\" full [5,3] tp split 0.0 3/4\n",
     BEGIN "%0 = input f32[1,3] \"x\" full [5,3] tp split 0.0 3/4\n",
     "value x has extent 1 in dimension 0; its splits leave 0"},
    {"parts of an inner factor are equal", BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.1 1/2\n",
     BEGIN "%0 = input f32[4,3] \"x\" full [7,3] tp split 0.1 0/2\n",
     "value x: extent 7 does not divide into 2 parts of an inner factor"},
    {"splits nest in the order of their axes",
     BEGIN "%0 = input f32[2,3] \"x\" full [8,3] cp split 0.0 1/2 tp split 0.0 0/2\n",
     BEGIN "%0 = input f32[2,3] \"x\" full [8,3] tp split 0.0 0/2 cp split 0.0 1/2\n",
     "value x is split over cp after tp"},
    {"an axis splits once", BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.0 1/2\n",
     BEGIN "%0 = input f32[2,3] \"x\" full [8,3] tp split 0.0 1/2 tp split 0.0 1/2\n",
     "value x is split over tp after tp"},
    {"a part is one of its parts", BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.0 1/2\n",
     BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.0 2/2\n", "value x has part 2 of 2 over tp"},
    {"a split is of a dimension", BEGIN "%0 = input f32[8,2] \"x\" full [8,4] tp split 1.0 1/2\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,4] tp split 2.0 1/2\n", "value x is split where it has no dimension"},
    {"nothing is split over pp", BEGIN "%0 = result f64[4] \"losses\" pp partial slot 0:0\n",
     BEGIN "%0 = result f64[2] \"losses\" full [4] pp split 0.0 1/2\n",
     "value losses is split where it has no dimension, or over no axis"},
    {"a value is not split and partial over one axis",
     BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.0 1/2 dp partial + 1:1\n",
     BEGIN "%0 = input f32[4,3] \"x\" full [8,3] tp split 0.0 1/2 tp partial + 1:1\n",
     "value x is split and partial over tp"},
    {"a term of a sum is an aligned subtree", BEGIN "%0 = input f32[8,3] \"x\" tp partial + 6:2\n",
     BEGIN "%0 = input f32[8,3] \"x\" tp partial + 5:2\n",
     "value x has parts 5:2 of a reduction over tp, which is no subtree"},
    {"other reductions have no parts", BEGIN "%0 = input f32[8,3] \"x\" tp partial max 0:0\n",
     BEGIN "%0 = input f32[8,3] \"x\" tp partial max 0:1\n",
     "value x has parts 0:1 of a reduction over tp, which is no subtree"},
    {"what is sent lies in its buffer as it is",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n"
           "%1 = scratch f32[8,4] \"b\" full [8,8] tp split 1.0 1/2\n" FORWARD
           "  send(%0 -> %1) {axis: 3, peer: 0, link: 0, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,4] \"x\" full [8,8] tp split 1.0 1/2\n%1 = scratch f32[8,8] \"b\"\n" FORWARD
           "  send(%0 -> %1) {axis: 3, peer: 0, link: 0, reserved: 0} F\n",
     "operand buffer (value b) is replicated over tp: the op changes no type"},
    {"a buffer has the type of what it receives",
     BEGIN "%0 = scratch bf16[8,4] \"b\"\n%1 = activation bf16[8,4] \"y\"\n" FORWARD
           "  receive(%0 -> %1) {axis: 3, peer: 0, link: 0, reserved: 0} F\n",
     BEGIN "%0 = scratch f32[8,4] \"b\"\n%1 = activation bf16[8,4] \"y\"\n" FORWARD
           "  receive(%0 -> %1) {axis: 3, peer: 0, link: 0, reserved: 0} F\n",
     "the buffer has another element type"},
    {"neighbours of a pipeline send to each other",
     BEGIN "%0 = input f32[8,4] \"x\"\n" FORWARD "  send(%0 -> _) {axis: 3, peer: 0, link: 0, reserved: 0} F\n",
     BEGIN "%0 = input f32[8,4] \"x\"\n" FORWARD "  send(%0 -> _) {axis: 1, peer: 0, link: 0, reserved: 0} F\n",
     "axis 1 has no neighbours that send and receive, pp has"},
    {"what one stage alone makes is a slot over pp",
     BEGIN "%0 = input f32[8,4] \"x\"\n%1 = scratch f32[8,4] \"y\" pp partial slot 0:0\n" FORWARD
           "  gelu(%0 -> %1) F\n",
     BEGIN "%0 = input f32[8,4] \"x\"\n%1 = scratch f32[8,4] \"y\" pp partial select 0:0\n" FORWARD
           "  gelu(%0 -> %1) F\n",
     "operand y (value y) is partial select 0:0 over pp: the op makes no term of it"},
};

static int verify(const char *text, struct error *error)
{
    struct program program;
    int status;

    program_init(&program);
    status = program_parse(&program, text, error);
    if (status != STATUS_OK)
        fail_msg("%s\n%s", error->message, text);
    status = program_verify(&program, error);
    program_finish(&program);
    return status;
}

static void each_rule_accepts_what_is_right(void **state)
{
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (verify(rules[i].right, &error) != STATUS_OK)
            fail_msg("%s: %s", rules[i].name, error.message);
}

static void each_rule_refuses_what_is_wrong(void **state)
{
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (verify(rules[i].wrong, &error) != STATUS_BUG)
            fail_msg("%s: the wrong program is accepted", rules[i].name);
        if (strstr(error.message, rules[i].problem) == NULL)
            fail_msg("%s: '%s' does not say '%s'", rules[i].name, error.message, rules[i].problem);
    }
}

static void types_print_and_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct program program, again;
        struct text first = {0}, second = {0};
        struct error error;

        program_init(&program);
        program_init(&again);
        assert_int_equal(program_parse(&program, rules[i].right, &error), STATUS_OK);
        program_print(&program, &first);
        if (program_parse(&again, first.data, &error) != STATUS_OK)
            fail_msg("%s\n%s", error.message, first.data);
        program_print(&again, &second);
        assert_string_equal(first.data, second.data);
        /* What is split is in the text: both have the same number of types. */
        for (int64_t v = 0; v < program.value_count; v++) {
            assert_int_equal(again.values[v].split_count, program.values[v].split_count);
            assert_memory_equal(again.values[v].full, program.values[v].full, sizeof program.values[v].full);
            assert_memory_equal(again.values[v].splits, program.values[v].splits, sizeof program.values[v].splits);
            assert_memory_equal(again.values[v].partial, program.values[v].partial, sizeof program.values[v].partial);
        }
        text_finish(&first);
        text_finish(&second);
        program_finish(&program);
        program_finish(&again);
    }
}

static void texts_that_say_no_type_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"tp 0.0 1/2", "split or partial"},
        {"tp split 0 1/2", "expected ."},
        {"tp split 0.0 1:2", "expected /"},
        {"tp split 0.0 -1/2", "smaller numbers that are not negative"},
        {"tp split 256.0 1/2", "smaller numbers that are not negative"},
        {"tp split 0.0 1/2147483648", "smaller numbers that are not negative"},
        {"tp partial min 0:0", "a reduction: +, max, select or slot"},
        {"tp partial + 0/1", "expected :"},
        {"full 8", "expected ["},
        {"cp split 0.0 0/2 tp split 0.0 0/2 dp split 0.0 0/2 dp split 0.0 0/2", "fewer splits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct program program;
        struct error error;
        char text[256];

        program_init(&program);
        snprintf(text, sizeof text, BEGIN "%%0 = input f32[8,3] \"x\" %s\n", wrong[i][0]);
        assert_int_equal(program_parse(&program, text, &error), STATUS_INPUT);
        if (strstr(error.message, wrong[i][1]) == NULL)
            fail_msg("'%s' does not say '%s'", error.message, wrong[i][1]);
        program_finish(&program);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_accepts_what_is_right),
        cmocka_unit_test(each_rule_refuses_what_is_wrong),
        cmocka_unit_test(types_print_and_parse),
        cmocka_unit_test(texts_that_say_no_type_are_refused),
    };

    return cmocka_run_group_tests_name("program sharding", tests, NULL, NULL);
}
