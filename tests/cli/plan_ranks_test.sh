# `llmrun plan` of many ranks: a rank of several has its part of the memory, and all ranks are told at a glance.
. "$(dirname "$0")/training.sh"

# memory RANKS RANK FLAG...: "STATE MOMENTS ACTIVATIONS" of that rank, bytes; the state is weights, gradients and moments.
memory() {
    world=$1 number=$2
    shift 2
    "$llmrun" plan --train.global_batch 32 --train.micro_batch 4 --world "$world" --rank "$number" "$@" >out 2>err ||
        complain "plan of rank $number of $world: $(cat err)"
    awk '/^memory/ { memory = 1 } /^arithmetic/ { memory = 0 }
        memory && /^  (parameters|optimizer state|cast weights|gradients) / { state += $NF; if (/state/) moments = $NF }
        memory && /^  (activations|in flight) / { activations += $NF }
        END { printf "%.0f %.0f %.0f\n", state, moments, activations }' out
}

# at_most WHAT FIELD LIMIT ONE: that field of `part` is more than 0 and at most LIMIT of that of the file ONE.
at_most() {
    awk -v field="$2" -v limit="$3" 'NR == 1 { one = $field } NR == 2 { part = $field }
        END { exit !(NR == 2 && part > 0 && part <= limit * one) }' "$4" part ||
        complain "$1: $(cat part) are more than $3 of $(cat "$4")"
}

# GPT-2 124M: half of what tensor parallelism divides, and what each rank has whole.
set -- --model.preset gpt2 --data.seq_len 256
memory 1 0 "$@" >one
memory 1 0 "$@" --precision.compute bf16 >one.bf16
for number in 0 1; do
    memory 2 $number "$@" --parallel.tp 2 >part
    at_most "tp 2, rank $number: weights, gradients, moments" 1 0.52 one
    at_most "tp 2, rank $number: activations" 3 0.55 one
    memory 2 $number "$@" --parallel.tp 2 --precision.compute bf16 >part
    at_most "tp 2 in bf16, rank $number: weights, gradients, moments" 1 0.52 one.bf16
    at_most "tp 2 in bf16, rank $number: activations" 3 0.55 one.bf16
done

# ZeRO-1 of 32 layers whose head is not the embedding: half of the moments, but for what rows do not divide.
set -- --model.preset llama-tiny --data.seq_len 64 \
    --model.overrides '{num_hidden_layers: 32, vocab_size: 4096, tie_word_embeddings: false}'
memory 1 0 "$@" >one
for number in 0 1; do
    memory 2 $number "$@" --parallel.zero 1 >part
    at_most "ZeRO-1, rank $number: moments" 2 0.55 one
done

# What ZeRO-1 cuts: tensors whose rows divide. A layer of 32 features has 16 rows on each of two ranks of tp.
set -- --parallel.zero 1 --parallel.tp 2 --world 128 --train.global_batch 64 --train.micro_batch 1 --numerics.batch_parts 64
expect 0 out '*
zero       optimizer state: * are whole on each; parallel.zero_group of fewer ranks divides more
*' -- plan tiny.yaml "$@"
expect 0 out "*
zero       optimizer state: * bytes are this one's of 8 ranks' parts, 0 are whole on each
*" -- plan tiny.yaml "$@" --parallel.zero_group 8

# Batch parts are those of the step, whoever has them; a line a stage; the bubble is (pp - 1) / (microbatches + pp - 1).
set -- tiny.yaml --model.overrides.n_layer 4 --train.global_batch 16 --train.micro_batch 1 --world 8
expect 0 out '*
sums       exact: 8 batch parts of 2 sequences, *
ranks      8: tp 1, pp 4, dp 2; this is rank 5 (tp 0, pp 2, dp 1)
*arithmetic of one step on this rank, *
bubble     27.27 % of a step, were stages alike and transfers free' -- plan "$@" --parallel.pp 4 --rank 5
[ "$(sed -n '/^ranks of each stage/,/^bubble/p' out | awk 'NF == 8 && $1 + 0 == $1 { print $1, $2 }' | tr '\n' ' ')" = '0 0 1 2 2 4 3 6 ' ] ||
    complain "stages: $(cat out)"
# Interleaved, with two chunks a rank: (pp - 1) / (2 microbatches + pp - 1).
expect 0 out '*
bubble     5.88 % of a step, were stages alike and transfers free' -- \
    plan "$@" --parallel.pp 2 --parallel.tp 2 --parallel.schedule interleaved --parallel.chunks 2
expect 0 out '*
ranks      8: tp 2, pp 1, dp 4; this is rank 0 (tp 0, pp 0, dp 0)
*' -- plan "$@" --parallel.tp 2
grep -q bubble out && complain "a bubble without a pipeline: $(cat out)"
expect 0 out '*' -- plan tiny.yaml
grep -q 'each stage' out && complain "stages of one rank: $(cat out)"
expect 2 'llmrun: --rank is 8; there are ranks 0 to 7' -- plan "$@" --rank 8

# 512 ranks are planned within 5 s of a processor.
set -- --model.preset llama-7b --world 512 --parallel.tp 8 --parallel.pp 8 --parallel.zero 1 --train.global_batch 512 \
    --train.micro_batch 1 --precision.compute bf16
(
    ulimit -t 5
    "$llmrun" plan "$@" --rank 511 >out 2>err
) || complain "plan of 512 ranks: $(cat err)"
grep -q '^     7      448 ' out || complain "512 ranks: $(cat out)"
finish
