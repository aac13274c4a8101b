# What a rank sends in a step: the bytes and calls that the collective plugin has counted are those that `llmrun plan`
# tells, on each rank, and those that published formulas give for the shape.
#   `traffic_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"

# A GPT-2 some of whose weights are larger than 64 KiB, and some not: sums of these go another way.
layers=4 width=128 positions=64 vocabulary=256 batch=16 micro_batch=4
sed "s|^model:.*|model: {preset: demo, overrides: {n_layer: $layers, n_embd: $width, n_head: 4, n_positions: $positions}}|" tiny.yaml >shape.yaml

# rank NUMBER RANKS FLAG...: one of those started by hand, so that each has a file of its own for its counts.
port=$((10000 + $$ % 10000))
rank() {
    number=$1 ranks=$2
    shift 2
    env RANK="$number" WORLD_SIZE="$ranks" LOCAL_RANK="$number" LOCAL_WORLD_SIZE="$ranks" \
        LLMRUN_RENDEZVOUS="127.0.0.1:$port" LLMRUN_SECRET=0123456789abcdef0123456789abcdef \
        LLMRUN_HOST_COUNT_FILE="counted.$number" "$llmrun" train shape.yaml --steps 1 --run.threads 1 --log.level error \
        --run.dir run "$@" >"out.$number" 2>"err.$number" || echo "$number: $(cat "err.$number")" >>failed
}

# "OPERATION CALLS BYTES" of all groups of a rank together.
counted() {
    tr '{},' '\n\n\n' <"$1" | tr -d ' "' | awk -F: '
        NF == 2 && $2 == "" { name = $1 }
        $1 == "calls" { calls[name] += $2 }
        $1 == "bytes" { bytes[name] += $2 }
        END { for (name in calls) print name, calls[name], bytes[name] }' | sort
}

planned() {
    sed -n '/^bytes that this rank sends/,/^memory/p' "$1" | awk '
        NF == 6 { calls[$2] += $5; bytes[$2] += $3 }
        END { for (name in calls) print name, calls[name], bytes[name] }' | sort
}

# The plugin's all_reduce of few bytes, as of the losses, takes log n steps of N bytes, for less latency, where a ring sends
# 2 N (n - 1) / n; the plan counts the ring. With four ranks that is half of N more, with two nothing.
more=0

# traffic RANKS FLAG...: all ranks; `sent.R` then has the plan of rank R, "OPERATION BYTES".
traffic() {
    ranks=$1
    shift
    set -- --data.seq_len $positions --train.global_batch $batch --train.micro_batch $micro_batch "$@"
    command="train $* on $ranks ranks"
    rm -rf run counted.* failed
    port=$((port + 1))
    number=$ranks
    while [ "$number" -gt 0 ]; do
        number=$((number - 1))
        rank $number "$ranks" "$@" &
    done
    wait
    [ ! -s failed ] || complain "$command: $(cat failed)"
    number=0
    while [ "$number" -lt "$ranks" ]; do
        "$llmrun" plan shape.yaml --world "$ranks" --rank $number "$@" >plan || complain "plan of rank $number: $*"
        planned plan | awk -v more=$more '$1 == "all_reduce" { $3 += more } { print }' >planned.$number
        counted counted.$number >counted
        same "$command: planned and counted on rank $number" planned.$number counted
        planned plan | awk '$3 > 0 { print $1, $3 }' >sent.$number
        number=$((number + 1))
    done
}

# What the formulas add up, in bytes that a rank sends: `begin RANKS`, then terms, then `adds_up_to RANK...`.
begin() {
    n=$1 gathered=0 exchanged=0 reduced=0 sent=0
}
part() { # BYTES: N (n - 1) / n, a half of an all-reduce
    echo $(($1 * (n - 1) / n))
}
gather() { # BYTES of all ranks together, TIMES
    gathered=$((gathered + ${2:-1} * $(part "$1")))
}
scatter() { # BYTES of a term, TIMES: a reduce-scatter, whose terms are exchanged
    exchanged=$((exchanged + ${2:-1} * $(part "$1")))
}
sum() { # BYTES of a term, TIMES: reduce-scatter and all-gather; up to 64 KiB each rank sends its term to all
    if [ "$1" -gt 65536 ]; then
        scatter "$1" "${2:-1}"
        gather "$1" "${2:-1}"
    else
        gathered=$((gathered + ${2:-1} * $1 * (n - 1)))
    fi
}
reduce() { # BYTES, TIMES: what one rank alone has; a ring
    reduced=$((reduced + ${2:-1} * 2 * $(part "$1")))
}
adds_up_to() {
    for number in "$@"; do
        printf '%s\n' "all_gather $gathered" "all_reduce $reduced" "all_to_all $exchanged" "send $sent" |
            grep -v ' 0$' >formula
        same "$command: formula and plan of rank $number" formula "sent.$number"
    done
}

h=$width
table=$((4 * vocabulary * h)) # of the embedding, which is the head too; bytes, as all here
square=$((4 * h * h)) wide=$((16 * h * h)) place=$((4 * positions * h))
activation=$((4 * micro_batch * positions * h)) # b s h
microbatches=$((batch / micro_batch))
losses=$((8 * batch))
weights=$((table + place + layers * (4 * square + 2 * wide + 4 * 13 * h) + 2 * 4 * h))

# The squares of gradients are summed in slots, f64 each: for a matrix the largest power of two of rows up to 256, times 8
# columns, for a vector the power of two.
slots=$((8 * (8 * vocabulary + 8 * positions + layers * (8 * (5 * h + 256) + 9 * h + 256) + 2 * h)))

# Tensor parallelism (Shoeybi et al. 2019, section 3): in each layer two sums of b s h forward and two backward; one for the
# embedding and one for the head. Of each token three numbers for each of 8 parts of the vocabulary.
statistics=$((micro_batch * positions * 8 * 3 * 4))
for ranks in 2 4; do
    traffic $ranks --parallel.tp $ranks --parallel.sp false
    begin $ranks
    sum $activation $((microbatches * (4 * layers + 1)))
    reduce $activation $microbatches
    gather $statistics $microbatches
    reduce $slots
    adds_up_to $(seq 0 $((ranks - 1)))
done

# With sequence parallelism (Korthikanti et al. 2022, section 4.2.2) each of these is a reduce-scatter and, later, an
# all-gather, so the same bytes; what a layer's first product takes, twice a layer, is gathered again for backward. Weights
# of norms, and biases of products whose sums are scattered, have a term on each rank.
sequence() {
    gather $((activation / element)) $((microbatches * (6 * layers + 2)))
    gather $statistics $microbatches
    sum $((4 * h)) $((6 * layers + 2))
    reduce $slots
}
for ranks in 2 4; do
    traffic $ranks --parallel.tp $ranks
    begin $ranks
    element=1
    sequence
    scatter $activation $((microbatches * (4 * layers + 2)))
    adds_up_to $(seq 0 $((ranks - 1)))
done
# In bf16 terms of sums are fp32 all the same. An embedding has no sum but a row of one rank, in bf16.
traffic 2 --parallel.tp 2 --precision.compute bf16
begin 2
element=2
sequence
scatter $activation $((microbatches * (4 * layers + 1)))
reduce $((activation / 2)) $microbatches
adds_up_to 0 1

# Data parallelism: 2 N (n - 1) / n of the gradients. A table that is embedding and head has a term of each use, added
# when those of all ranks have met; what is summed over tokens has 8 terms, of parts of the positions.
matrices() { # HOW
    $1 $table 2
    $1 $place
    $1 $square $((4 * layers))
    $1 $wide $((2 * layers))
}
vectors() {
    sum $((8 * 4 * h)) $((9 * layers + 2))
    sum $((8 * 16 * h)) $layers
}
for ranks in 2 4; do
    more=$((ranks / 4 * losses / 2))
    traffic $ranks
    begin $ranks
    matrices sum
    vectors
    reduce $losses
    adds_up_to $(seq 0 $((ranks - 1)))

    # ZeRO-1 (Rajbhandari et al. 2019, section 7.1): gradients scattered, weights gathered: the same.
    traffic $ranks --parallel.zero 1
    begin $ranks
    matrices scatter
    vectors
    gather $weights
    reduce $slots
    reduce $losses
    adds_up_to $(seq 0 $((ranks - 1)))
done

# Two groups of two ranks that each share the moments (MiCS, Zhang et al. 2022; Pax's data x fsdp): within a group
# gradients are scattered and weights gathered, between groups the shards of gradients are summed.
shards() {
    sum $(($1 / 2)) "${2:-1}"
}
more=$((losses / 2))
traffic 4 --parallel.zero 1 --parallel.zero_group 2
begin 2
matrices scatter
matrices shards
gather $weights
n=4
vectors
reduce $slots
reduce $losses
adds_up_to 0 1 2 3

# Pipeline: b s h a microbatch and boundary each way. The first and the last stage exchange the terms of the table.
traffic 4 --parallel.pp 4
for number in 0 1 2 3; do
    begin 4
    reduce $slots
    reduce $losses
    case $number in
    0 | 3) sent=$((microbatches * activation + table)) ;;
    *) sent=$((2 * microbatches * activation)) ;;
    esac
    adds_up_to $number
done

# All together, where plan and plugin are compared.
more=0
traffic 8 --parallel.tp 2 --parallel.pp 2 --parallel.zero 1 --parallel.schedule interleaved --parallel.chunks 2 \
    --parallel.recompute full --train.micro_batch 2
traffic 4 --parallel.tp 2 --parallel.pp 2 --precision.compute bf16 --parallel.schedule zero-bubble
traffic 4 --parallel.tp 2 --numerics.exact false
# Of one sequence a part of the positions is one run, which the plugin's reduce_scatter takes.
traffic 4 --parallel.tp 4 --train.micro_batch 1
traffic 4 --parallel.tp 2 --numerics.exact false --train.micro_batch 1
finish
