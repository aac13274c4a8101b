# Strangers at every door of a job, from its first moment to its last: it trains with the bits of one that was left
# alone.  `rogue_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=12

# rank NUMBER FLAG...: one of two, started by hand. Rank 1 hesitates a second before it knocks at rank 0, first at the
# control channel, then at the collective: so long the doors are open.
rank() {
    number=$1
    shift
    RANK=$number WORLD_SIZE=2 LOCAL_RANK=$number LOCAL_WORLD_SIZE=2 LLMRUN_RENDEZVOUS=127.0.0.1:$port \
        LLMRUN_SECRET=0123456789abcdef0123456789abcdef LD_PRELOAD="$helpers/kill_at.so" FAULT_RANK=1 WAIT_AT=connect:$hesitates \
        "$llmrun" train tiny.yaml --steps $steps --run.threads 1 --run.dir run --parallel.timeout 20 \
        --parallel.collective_options '{transport: tcp}' "$@" >"out.$number" 2>"err.$number"
}

# once FLAG...: a job beside a stranger, held to the reference.
once() {
    command="two ranks $*, rank 1 hesitates at connection $hesitates"
    port=$((port + 1))
    rm -rf run
    rank 0 "$@" & first=$!
    rank 1 "$@" & second=$!
    # The processes are children of the functions' shells.
    while ! processes=$(ps -o pid= --ppid "$first,$second") || [ "$(echo "$processes" | wc -w)" -lt 2 ]; do sleep 0.01; done
    # shellcheck disable=SC2086
    "$helpers/rogue" run $processes >rogue.said &
    wait $first || complain "$command: rank 0 ended with $?: $(cat err.0)"
    wait $second || complain "$command: rank 1 ended with $?: $(cat err.1)"
    wait
    results run >results
    same "$command: losses" reference.results results
    contents run $steps >contents
    same "$command: weights and moments" reference.contents contents
}

# Where doors were shut before the stranger came to them, the job is run again; its bits count each time.
disturbed() {
    for _ in 1 2 3 4 5 6; do
        once "$@"
        cat rogue.said >>all.said
        ! awk '{ much = $1 >= 1 && $3 > 0 && $4 > 0 && $5 > 0 && $6 >= 64 } END { exit !much }' rogue.said || return
    done
    complain "$command: the stranger had little to do: $(cat rogue.said)"
}

port=$((20000 + $$ * 8 % 6000))
reference reference --steps $steps
hesitates=1
disturbed --parallel.tp 2
[ "$(grep -c 'control channel: ' err.0)" -ge 1 ] || complain "nothing was said of strangers: $(cat err.0)"
hesitates=2
disturbed --parallel.tp 2
disturbed
awk "{ second += \$7 } END { exit !second }" all.said || echo "not tried: the second door was shut each time the stranger came"
finish
