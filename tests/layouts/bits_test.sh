# Every layout gives the bits of one rank: losses, gradient norms, weights and moments over 50 steps, with packed documents, dropout,
# and clipping at each step. Each family in each type has half of the layouts of the table, so that all of them run in every type and
# family but in different pairs; with `full` each has all.
#   `bits_test.sh BINARY PLUGINS HELPERS gpt2-8|llama-8|qwen3-8 fp32|bf16 [full]`
. "$(dirname "$0")/layouts.sh"
model=$4
precision=$5
which=${6:-half}
steps=50

shape "$model" 4 >shape
set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <shape
set -- "$@" --steps $steps --precision.compute "$precision" --data.train documents.jsonl --data.pack true --data.seq_len 32 \
    --train.global_batch 16 --model.dropout 0.1 --optim.clip 0.05

# ranks, then flags: batch parts are fewer and more than microbatches, which the sizes of a microbatch decide.
cat >table <<'END'
2 --train.micro_batch 4
4 --train.micro_batch 2
8 --train.micro_batch 1
2 --train.micro_batch 8 --parallel.zero 1
4 --train.micro_batch 1 --parallel.zero 1 --parallel.recompute selective
8 --train.micro_batch 2 --parallel.zero 1 --parallel.recompute full
2 --train.micro_batch 2 --parallel.tp 2
2 --train.micro_batch 4 --parallel.tp 2 --parallel.sp false --parallel.recompute selective
4 --train.micro_batch 4 --parallel.tp 4 --parallel.recompute full
8 --train.micro_batch 2 --parallel.tp 8
4 --train.micro_batch 2 --parallel.tp 2 --parallel.recompute selective
4 --train.micro_batch 1 --parallel.tp 2 --parallel.sp false --parallel.zero 1
2 --train.micro_batch 2 --parallel.pp 2
3 --train.micro_batch 4 --parallel.pp 3 --parallel.schedule gpipe --parallel.recompute selective
4 --train.micro_batch 4 --parallel.pp 4 --parallel.schedule zero-bubble
2 --train.micro_batch 2 --parallel.pp 2 --parallel.schedule interleaved --parallel.chunks 2
2 --train.micro_batch 1 --parallel.pp 2 --parallel.schedule zero-bubble --parallel.chunks 2
4 --train.micro_batch 2 --parallel.pp 2 --parallel.recompute full
4 --train.micro_batch 2 --parallel.tp 2 --parallel.pp 2
8 --train.micro_batch 2 --parallel.tp 2 --parallel.pp 2 --parallel.zero 1
END

case "$model $precision" in
gpt2-8*fp32 | llama-8*bf16 | qwen3-8*fp32) turn=0 ;;
*) turn=1 ;;
esac

reference base "$@" --train.micro_batch 4
sed -n 's/.*"grad_norm":\([^,]*\),.*/\1/p' base/metrics.jsonl | awk '$1 <= 0.05 { few++ } END { exit few > 0 }' ||
    complain "a gradient norm is within optim.clip, so it is not clipped"
while read -r ranks flags; do
    turn=$((turn + 1))
    [ $((turn % 2)) = 1 ] || [ "$which" = full ] || continue
    # shellcheck disable=SC2086
    layout base "$ranks" "$@" $flags
done <table
echo "$runs layouts of $model in $precision have the bits of one rank"
finish
