# The disk of one rank is full while a checkpoint is saved: all ranks say the same and end alike, or all go on.
#   `disk_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=8

# full RUN RANK RANKS FLAG...: the second checkpoint finds no room for what RANK writes.
full() {
    folder=$1 rank=$2 ranks=$3
    shift 3
    command="launch -n $ranks train --run.dir $folder $*"
    LD_PRELOAD="$helpers/kill_at.so" FULL_AT=fsync:$calls FAULT_RANK=$rank \
        "$llmrun" launch -n "$ranks" -- train tiny.yaml --run.dir "$folder" --run.threads 1 --steps $steps \
        --checkpoint.every 2 "$@" >out 2>err
    code=$?
    cp err "$folder/logs/rank_0.log"
}

# all PATTERN: each rank has a line of it.
all() {
    for number in $(seq 0 $((ranks - 1))); do
        grep -q "$1" "$folder/logs/rank_$number.log" ||
            complain "$command: rank $number said: $(cat "$folder/logs/rank_$number.log")"
    done
}

checkpoints() {
    (cd "$folder/ckpt" && echo *)
}

# A rank syncs its one file of each save; rank 0 more.
reference reference --steps $steps --checkpoint.every 2
for async in false true; do
    calls=2
    full ends.$async 3 4 --parallel.tp 2 --parallel.zero 1 --checkpoint.async $async
    wants 7
    all '^llmrun: .*step_00000004.*[Nn]o space left'
    [ "$(checkpoints)" = step_00000002 ] || complain "$command: there are $(checkpoints)"
    launch ends.$async 2 --parallel.pp 2 --train.micro_batch 1 --steps $steps --checkpoint.every 2
    wants 0
    contents ends.$async $steps >contents
    same "$command: weights and moments" reference.contents contents

    full goes_on.$async 3 4 --parallel.tp 2 --parallel.zero 1 --checkpoint.async $async --train.on_save_error continue
    wants 0
    all 'the checkpoint of step 4 could not be saved, training goes on'
    [ "$(checkpoints)" = 'step_00000002 step_00000006 step_00000008' ] || complain "$command: there are $(checkpoints)"
    grep -c '"event":"save_error"' goes_on.$async/metrics.jsonl | grep -qx 1 || complain "$command: $(cat goes_on.$async/metrics.jsonl)"
    contents goes_on.$async $steps >contents
    same "$command: weights and moments" reference.contents contents
done

# Of the last checkpoint, which alone decides how a run ends.
calls=4
full last 3 4 --parallel.tp 2 --parallel.zero 1 --train.on_save_error continue
wants 7
all '^llmrun: .*[Nn]o space left'
[ "$(checkpoints)" = 'step_00000002 step_00000004 step_00000006' ] || complain "$command: there are $(checkpoints)"

# Rank 0, which commits.
calls=9
full first 0 2 --parallel.tp 2
wants 7
all '^llmrun: .*[Nn]o space left'
finish
