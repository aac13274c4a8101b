# A run that is killed, at any moment, and started again with the same command ends with the losses and the weights of a
# run that was left alone.
. "$(dirname "$0")/training.sh"

# LD_PRELOAD is a list between blanks, and the tree may lie in a folder with one in its name.
preload=$scratch/kill_at.so
if ! cp "$helpers/kill_at.so" "$preload" || ! LD_PRELOAD=$preload "$llmrun" --version >/dev/null 2>&1; then
    echo "skipped: $helpers/kill_at.so cannot be preloaded into this build"
    exit 0
fi

# Killed at call FIRST, FIRST + STRIDE, ... of one name, until a run gets through.
kill_at_calls() {
    call=$1 moment=$2 stride=$3
    shift 3
    while :; do
        LD_PRELOAD=$preload KILL_AT=$call:$moment
        export LD_PRELOAD KILL_AT
        train killed "$@"
        unset LD_PRELOAD KILL_AT
        [ $code -eq 0 ] && break
        wants 137
        kills=$((kills + 1))
        train killed "$@"
        wants 0
        same_run "$name: left alone, and killed at $call $moment" "calm.$name" killed 3
        rm -rf killed
        moment=$((moment + stride))
    done
    rm -rf killed
}

# LEAST is what the calls of that many saves come to at least.
kill_at_every_call() {
    name=$1 stride=$2 least=$3
    shift 3
    set -- --model.overrides.n_layer 1 --steps 3 --checkpoint.every 1 "$@"
    kills=0
    train "calm.$name" "$@"
    wants 0
    for each in open fsync rename remove mkdir; do
        kill_at_calls $each 1 "$stride" "$@"
    done
    kill_at_calls write 1 $((stride * 13)) "$@"
    echo "$name: killed at $kills calls"
    [ "$kills" -ge "$least" ] || complain "$name: $least calls at least change files"
}
kill_at_every_call blocking 1 50 --checkpoint.keep 1
kill_at_every_call async 3 15 --checkpoint.keep 2 --checkpoint.async true --precision.compute bf16 --model.dropout 0.2

# Killed again and again while it runs, from outside, also before its first checkpoint and while one is saved.
kill_while_running() {
    name=$1
    shift
    train calm.$name "$@"
    wants 0
    for lines in 2 3 7 4 9 5 12 8; do
        before=$(cat chased.$name/metrics.jsonl 2>/dev/null | wc -l)
        begin chased.$name "$@"
        await chased.$name $((before + lines))
        kill -9 "$process"
        reap
        wants 137
    done 2>/dev/null
    train chased.$name "$@"
    wants 0
    same_run "$name: left alone, and killed eight times" calm.$name chased.$name 400
    rm -rf chased.$name calm.$name
}
kill_while_running slow-saves --steps 400 --checkpoint.every 3
kill_while_running every-step --steps 400 --checkpoint.every 1 --checkpoint.async true --model.dropout 0.2 \
    --precision.compute bf16
finish
