# `llmrun plan` tells what the run then takes, to the byte, and how its sums are cut.
. "$(dirname "$0")/training.sh"

# number NAME: of a row of the plan's table of memory.
number() {
    sed -n "s/^  $1  *\([0-9]*\).*/\1/p" out
}

# plan_is_exact FLAG...: the plan's arena is what the regions add up to, and what a run of the same config reports.
plan_is_exact() {
    expect 0 out '*memory of one rank, bytes*' -- plan tiny.yaml "$@"
    total=$(number arena)
    sum=$(sed -n '/^memory/,/^  arena/s/^  [a-z ]*[a-z]  *\([0-9]*\)$/\1/p' out |
        awk '{ sum += int(($1 + 4095) / 4096) * 4096 } END { print sum }')
    [ "$total" = "$sum" ] || complain "plan $*: regions of $sum bytes, an arena of $total"
    train run "$@" --steps 1
    wants 0
    grep -q "\"event\":\"step\".*\"mem_bytes\":$total}" run/metrics.jsonl ||
        complain "plan $*: $total bytes, and the run says $(tail -n 2 run/metrics.jsonl)"
    rm -rf run
}

plan_is_exact
plan_is_exact --train.micro_batch 1
plan_is_exact --train.micro_batch 2 --numerics.batch_parts 2 --precision.compute bf16
plan_is_exact --numerics.exact false --train.micro_batch 1
for recompute in selective full; do
    plan_is_exact --parallel.recompute $recompute --train.micro_batch 2 --model.dropout 0.1
done
for schedule in 'gpipe 1' 'zero-bubble 1' 'zero-bubble 2' 'interleaved 2'; do
    plan_is_exact --train.micro_batch 1 --parallel.schedule ${schedule% *} --parallel.chunks ${schedule#* }
done
plan_is_exact --model.preset llama-tiny --data.seq_len 32 --data.valid_split 0.1

# Of Mistral, what its window holds.
expect 0 out '*2 sequences of 4096 tokens*' -- plan --model.preset mistral-7b --train.global_batch 2 --parallel.recompute full
expect 2 'llmrun: data.seq_len 4104 is longer than the model'"'"'s window of 4096' -- \
    plan --model.preset mistral-7b --data.seq_len 4104

# Four batch parts in four microbatches: the sums of one part and of two wait for others. In one microbatch none does.
expect 0 out '*
sums       exact: 4 batch parts of 1 sequence, 8 position parts, up to 8 feature parts
*' -- plan tiny.yaml --train.micro_batch 1
gradients=$(number gradients)
waiting=$(number 'pending sums')
[ "$waiting" -gt "$gradients" ] && [ "$waiting" -lt $((2 * gradients)) ] ||
    complain "sums that wait take $waiting bytes, gradients $gradients"
expect 0 out '*  pending sums                    0
*' -- plan tiny.yaml --train.micro_batch 4
expect 0 out '*
sums       unordered
*' -- plan tiny.yaml --numerics.exact false

# What a schedule keeps in flight.
expect 0 out '*
schedule   1f1b, 1 chunk of layers, one microbatch after the other
*  in flight                       0
*' -- plan tiny.yaml --train.micro_batch 1
expect 0 out '*
schedule   gpipe, 1 chunk of layers, activations of up to 4 wait for their backward
*' -- plan tiny.yaml --train.micro_batch 1 --parallel.schedule gpipe
four=$(number 'in flight')
expect 0 out '*' -- plan tiny.yaml --train.micro_batch 1 --parallel.schedule gpipe --train.global_batch 8
[ "$four" -gt 0 ] && [ "$(number 'in flight')" -eq $((2 * four)) ] ||
    complain "four microbatches in flight take $four bytes, eight $(number 'in flight')"
expect 0 out '*
schedule   zero-bubble, 2 chunks of layers, activations of up to 2 wait for B, of 2 for W
*' -- plan tiny.yaml --train.micro_batch 1 --parallel.schedule zero-bubble --parallel.chunks 2

# The largest numbers of the table are what a device and the passes take.
expect 0 out '*' -- plan tiny.yaml --run.threads 1024
expect 2 'llmrun: --run.threads: run.threads is 1025; a whole number in *0, 1024* is wanted' -- \
    plan tiny.yaml --run.threads 1025
expect 0 out '*exact: 256 batch parts*' -- plan tiny.yaml --numerics.batch_parts 256 --train.global_batch 256

# No device is needed, nor data, for a model that fits on none.
expect 0 out '*model      68976648192 parameters: 80 layers, width 8192, 64 heads (8 of keys and values)*' -- \
    plan --model.preset llama2-70b --train.global_batch 1
expect 0 out '*section forward*section backward*section update*section combine_input*section reduce*' -- \
    plan tiny.yaml --dump step
expect 0 out '*job init*job step*launch forward 0*launch backward 0*launch combine_input 0*launch update 0*record done*' -- \
    plan tiny.yaml --dump commands
expect 0 out '*launch forward 1*launch backward_input 1*launch backward_weight 0*launch combine_weight 0*' -- \
    plan tiny.yaml --dump commands --parallel.schedule zero-bubble --parallel.chunks 2
# Of several ranks, the parts of the whole step.
expect 0 out '*
sums       exact: 4 batch parts of 1 sequence, 8 position parts, up to 8 feature parts
ranks      4: tp 1, pp 1, dp 4; this is rank 3 (tp 0, pp 0, dp 3)
bytes that this rank sends in a step
  dp  *' -- plan tiny.yaml --world 4 --rank 3 --train.micro_batch 1
expect 2 "llmrun: --dump is 'graph'; it can be step or commands" -- plan tiny.yaml --dump graph
finish
