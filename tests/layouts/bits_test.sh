# Every layout gives the bits of one rank: losses, gradient norms, weights and moments over $steps steps, with packed
# documents, dropout, and clipping at each step.
#   `bits_test.sh BINARY PLUGINS HELPERS gpt2-8|llama-8|qwen3-8 fp32|bf16`
. "$(dirname "$0")/layouts.sh"
model=$4
precision=$5
steps=20

shape "$model" 4 >shape
set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <shape
set -- "$@" --steps $steps --precision.compute "$precision" --data.train documents.jsonl --data.pack true \
    --train.global_batch 16 --data.seq_len 32 --optim.clip 0.1

# one MICRO_BATCH...: a reference does for all sizes of a microbatch; the first one is that of one rank.
reference base "$@" --model.dropout 0.1 --train.micro_batch 4
base() {
    ranks=$1
    shift
    layout base "$ranks" "$@"
}

base 2 "$@" --model.dropout 0.1 --train.micro_batch 4
base 4 "$@" --model.dropout 0.1 --train.micro_batch 2
base 8 "$@" --model.dropout 0.1 --train.micro_batch 1
base 2 "$@" --model.dropout 0.1 --train.micro_batch 8 --parallel.zero 1
base 4 "$@" --model.dropout 0.1 --train.micro_batch 1 --parallel.zero 1 --parallel.recompute selective
base 2 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.tp 2
base 2 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.tp 2 --parallel.sp false
base 4 "$@" --model.dropout 0.1 --train.micro_batch 4 --parallel.tp 4 --parallel.recompute full
base 8 "$@" --model.dropout 0.1 --train.micro_batch 4 --parallel.tp 8
base 4 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.tp 2 --parallel.recompute selective
base 2 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.pp 2
base 3 "$@" --model.dropout 0.1 --train.micro_batch 4 --parallel.pp 3 --parallel.schedule gpipe
base 4 "$@" --model.dropout 0.1 --train.micro_batch 4 --parallel.pp 4 --parallel.schedule zero-bubble
base 2 "$@" --model.dropout 0.1 --train.micro_batch 4 --parallel.pp 2 --parallel.schedule interleaved \
    --parallel.chunks 2
base 4 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.pp 2 --parallel.recompute full
base 4 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.tp 2 --parallel.pp 2
base 8 "$@" --model.dropout 0.1 --train.micro_batch 2 --parallel.tp 2 --parallel.pp 2 --parallel.zero 1
echo "$runs layouts of $model in $precision have the bits of one rank"
finish
