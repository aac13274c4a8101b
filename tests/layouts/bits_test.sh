# Layouts of launched ranks have the bits of one rank: losses, gradient norms, evaluations, weights and moments over 50 steps, with
# clipping at each of them. The rows of a table that cover.awk makes, of one family and type:
#   `bits_test.sh BINARY PLUGINS HELPERS gpt2-8|llama-8|qwen3-8 fp32|bf16 [TABLE [RESULTS]]`
# A line a run is appended to the file RESULTS.
. "$(dirname "$0")/layouts.sh"
model=$4
precision=$5
table=${6:-$tests/layouts/cover.txt}
list=${7:-/dev/null}
steps=50
clip=0.05

shape "$model" 8 >shape
set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <shape
# Eleven samples of an evaluation, which no dp divides.
set -- "$@" --steps $steps --precision.compute "$precision" --data.train documents.jsonl --data.seq_len 32 --train.global_batch 16 \
    --optim.clip $clip --data.valid documents.jsonl --train.eval_every 30 --train.eval_tokens 352

# text NAME: the flags of it. Either windows over many documents, and dropout, or a document a sequence, and padding.
text() {
    case $1 in
    packed) echo --data.pack true --model.dropout 0.1 ;;
    apart) echo --data.pack false ;;
    esac
}

# ZERO is a stage, or stage:ranks of a group.
# way LAYOUT ZERO SP SCHEDULE RECOMPUTE MICRO_BATCH CHUNK TRANSPORT: sets $world to the ranks and $way to the flags.
way() {
    tp=$(echo "$1" | sed -n 's/.*tp\([0-9]\).*/\1/p') pp=$(echo "$1" | sed -n 's/.*pp\([0-9]\).*/\1/p')
    dp=$(echo "$1" | sed -n 's/.*dp\([0-9]\).*/\1/p')
    world=$((${tp:-1} * ${pp:-1} * ${dp:-1}))
    way="--parallel.tp ${tp:-1} --parallel.pp ${pp:-1} --parallel.zero ${2%:*} --parallel.recompute $5 --train.micro_batch $6"
    [ "$2" = "${2#*:}" ] || way="$way --parallel.zero_group ${2#*:}"
    [ "$3" = - ] || way="$way --parallel.sp $3"
    case $4 in
    -) ;;
    zero-bubble-v) way="$way --parallel.schedule zero-bubble --parallel.chunks 2" ;;
    interleaved) way="$way --parallel.schedule interleaved --parallel.chunks 2" ;;
    *) way="$way --parallel.schedule $4" ;;
    esac
    [ "$7" = - ] || way="$way --parallel.loss_chunk $7"
    [ "$8" = memory ] || way="$way --parallel.collective_options.transport $8"
}

for name in packed apart; do
    # shellcheck disable=SC2046
    reference $name "$@" $(text $name) --train.micro_batch 4
    sed -n 's/.*"grad_norm":\([^,]*\),.*/\1/p' $name/metrics.jsonl |
        awk -v clip=$clip '$1 > clip { clipped++ } END { exit !(NR == clipped) }' ||
        complain "$name: a gradient norm is within optim.clip, so it is not clipped"
    [ "$(grep -c evaluation $name.results)" = 2 ] || complain "$name: no two evaluations"
done
cmp -s packed.contents apart.contents && complain "both texts give the same weights"

grep -E "^$model +$precision " "$table" >rows
while read -r family type layout zero sp schedule recompute micro_batch chunk kind transport; do
    way "$layout" "$zero" "$sp" "$schedule" "$recompute" "$micro_batch" "$chunk" "$transport"
    before=$failures
    # shellcheck disable=SC2046,SC2086
    layout "$kind" $world "$@" $(text "$kind") $way
    [ "$failures" = "$before" ] && result="one rank's bits" || result=DIFFERS
    echo "| $family | $type | $layout | $zero | $sp | $schedule | $recompute | $micro_batch | $chunk | $kind | $transport | $result |" >>"$list"
done <rows
[ "$runs" -gt 0 ] || complain "the table has no row of $model in $precision"
[ "$failures" -gt 0 ] || echo "$runs layouts of $model in $precision have the bits of one rank"
finish
