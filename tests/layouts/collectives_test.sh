# A collective that gives a wrong sum, hangs or fails late in a job that trains: what each rank says, and how it ends.
#   `collectives_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
export LLMRUN_BACKEND_PATH="$plugins"

# faulty RUN CODE PATTERN FAULT RANKS FLAG...: rank 1 is at fault; every rank says PATTERN.
faulty() {
    folder=$1 wanted=$2 pattern=$3 fault=$4 ranks=$5
    shift 5
    command="HOST_FAULT=$fault launch -n $ranks train --run.dir $folder $*"
    HOST_FAULT=$fault FAULT_RANK=1 "$llmrun" launch -n "$ranks" -- train tiny.yaml --run.dir "$folder" --run.threads 1 \
        --steps 8 --checkpoint.every 4 --parallel.timeout 2 --parallel.collective host-faulty "$@" >out 2>err
    code=$?
    wants "$wanted"
    cp err "$folder/logs/rank_0.log"
    for number in $(seq 0 $((ranks - 1))); do
        said=$folder/logs/rank_$number.log
        grep -q "^llmrun: $pattern" "$said" || complain "$command: rank $number said: $(cat "$said")"
    done
}

record() {
    for number in $(seq 0 $((ranks - 1))); do
        grep -q "$1" "$folder/logs/rank_$number.collectives.txt" && return
    done
    complain "$command: no record has $1"
}

# Replicas have other bits: the save of them says of which tensor, and the checkpoint before it stays.
differs='tensor [a-z0-9._]*\[.*\] has other bits on rank 1 (.*) than on rank 0 (.*)'
faulty sum 6 "$differs.*; no checkpoint of step 4 is saved" sum 2 --parallel.tp 2
[ -z "$(ls sum/ckpt 2>/dev/null)" ] || complain "a checkpoint of other bits is there: $(ls sum/ckpt)"
faulty later 6 "$differs.*; no checkpoint of step 8 is saved" sum:190+ 2
[ "$(ls later/ckpt)" = step_00000004 ] || complain "after a wrong sum there are $(ls later/ckpt)"

late='did not end within 2 s (parallel.timeout)'
faulty hang 5 "rank [01] on host .* failed: .*all_reduce of .* over dp in step [1-8] (rank [01] of 2) $late" \
    hang:2:all_reduce 2
record 'dp .* all_reduce .* late'
faulty held 5 'collective [0-9]* of [td]p (all_gather of [0-9]* bytes, step [1-8]) was called by all of its ranks and has ended on none$' \
    hang:60:all_gather 4 --parallel.tp 2 --parallel.zero 1
faulty link 5 "rank [01] on host .* failed: .*receive of .* over pp.* in step [1-8] .* $late" \
    hang:9:receive 2 --parallel.pp 2 --train.micro_batch 1
faulty error 5 'rank 1 on host .* failed: .*all_gather of .* over [td]p in step [1-8] .* failed: all_gather failed by order' \
    late:60:all_gather 4 --parallel.tp 2
record ' all_gather .* failed'

# A rank that skips one calls another than the rest: both are named.
calls='calls \(all_gather\|all_to_all\|all_reduce\)'
faulty skip 5 "rank [01] on host .* over tp in step [1-8] .* failed: rank [01] $calls where rank [01] $calls: their operation" \
    skip:60 2 --parallel.tp 2
record 'tp .* all_[a-z_]* .* failed'

launch carrier 2 --parallel.collective_options '{transport: carrier}'
wants 2 "*parallel.collective_options of host: transport is 'carrier'; expected auto, shm or tcp*"
finish
