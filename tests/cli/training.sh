# For tests that train: `. training.sh` with $1 the binary, $2 the folder of the test plugins, $3 that of helper
# programs.
# Each test is alone in a scratch folder with tiny.yaml, a model whose step takes milliseconds, and text.txt.
#
#   train RUN FLAG...      trains in the folder RUN; the exit code is in $code, the streams in the files out and err
#   begin RUN FLAG...      the same in the background, its process in $process; `reap` waits and sets $code
#   await RUN LINES        until RUN/metrics.jsonl has so many lines
#   bits RUN               "step loss_bits grad_norm_bits tokens" of every step; of steps done again the last
#   weights RUN STEP       names, shapes and checksums of all tensors of a checkpoint
#   same WHAT A B          the two files hold the same
#   wants CODE [PATTERN]   the last exit code, and a shell pattern for what stands in err
. "$(dirname "$0")/../cli/harness.sh"
plugins=$2
helpers=$3
: "$plugins" "$helpers"

# Real text that is there in every build: the help of the keys.
"$llmrun" config keys >text.txt
cat >tiny.yaml <<'END'
run: {backend: cpu}
model: {preset: demo, overrides: {n_layer: 2, n_embd: 32, n_head: 2, n_positions: 32}}
data: {train: text.txt}
train: {global_batch: 4, eval_every: 0}
optim: {decay: constant, warmup: 5}
END

complain() {
    failures=$((failures + 1))
    printf '%s\n' "$*"
}

train() {
    folder=$1
    shift
    command="train --run.dir $folder $*"
    "$llmrun" tiny.yaml --run.dir "$folder" "$@" >out 2>err
    code=$?
}

begin() {
    folder=$1
    shift
    command="train --run.dir $folder $*"
    "$llmrun" tiny.yaml --run.dir "$folder" "$@" >out 2>err &
    process=$!
}

reap() {
    wait "$process"
    code=$?
}

await() {
    tries=0
    while [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -lt "$2" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 3000 ] || ! kill -0 "$process" 2>/dev/null; then
            complain "$command: no $2 lines of metrics came: $(cat err)"
            return
        fi
        sleep 0.01
    done
}

bits() {
    text='"\([^"]*\)"' number='\([0-9]*\)'
    line="^{\"event\":\"step\",\"step\":$number,.*\"loss_bits\":$text.*\"grad_norm_bits\":$text.*\"tokens\":$number,.*"
    sed -n "s/$line/\1 \2 \3 \4/p" "$1/metrics.jsonl" |
        awk '{ last[$1] = $0 } END { for (step in last) print last[step] }' | sort -n
}

weights() {
    sed -n '/"tensors"/,$p' "$1/ckpt/$(printf 'step_%08d' "$2")/manifest.json"
}

same() {
    if ! [ -s "$2" ] || ! cmp -s "$2" "$3"; then
        complain "$1 differ:"
        diff "$2" "$3" | head -n 6
    fi
}

wants() {
    [ "$code" -eq "$1" ] || complain "$command: ended with $code, wanted $1: $(cat err)"
    if [ $# -gt 1 ]; then
        text=$(cat err)
        case $text in
        $2) ;;
        *)
            complain "$command"
            printf '  said:   %s\n  wanted: %s\n' "$text" "$2"
            ;;
        esac
    fi
}

# same_run NAME A B STEP: the same losses and the same weights.
same_run() {
    bits "$2" >bits.a
    bits "$3" >bits.b
    same "$1: losses" bits.a bits.b
    weights "$2" "$4" >weights.a
    weights "$3" "$4" >weights.b
    same "$1: weights" weights.a weights.b
}
