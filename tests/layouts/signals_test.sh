# Jobs that are stopped from outside: all ranks end after the same step with a checkpoint, and another layout goes on
# from it. What runs while launch is killed ends with it.
#   `signals_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=5000
binary=$(readlink -f "$llmrun")

every=0
start() {
    folder=$1 ranks=$2
    shift 2
    command="launch -n $ranks train --run.dir $folder $*"
    "$llmrun" launch -n "$ranks" -- train tiny.yaml --run.dir "$folder" --run.threads 1 --steps $steps \
        --checkpoint.every $every "$@" >out 2>err &
    process=$!
    await "$folder" 6
}

# Ranks of this test that still run.
left() {
    find /proc -maxdepth 2 -name exe -lname "$binary" 2>/dev/null | while read -r exe; do
        [ "$(readlink "${exe%exe}cwd")" != "$scratch" ] || echo "${exe%exe}"
    done
}

# Each rank says that it stopped after the step of the one checkpoint.
stopped() {
    [ "$code" = 75 ] || complain "$command: ended with $code: $(cat err)"
    saved=$(ls "$folder/ckpt")
    step=$((1${saved#step_} - 100000000))
    cp err "$folder/logs/rank_0.log"
    for rank in $(seq 0 $((ranks - 1))); do
        grep -q "stopped by .* after step $step; the checkpoint is saved" "$folder/logs/rank_$rank.log" ||
            complain "$command: $saved is there, and rank $rank said: $(cat "$folder/logs/rank_$rank.log")"
    done
    [ "$(sed -n 's/.*"event":"stop","step":\([0-9]*\),"reason":"requested","exit_code":75.*/\1/p' \
        "$folder/metrics.jsonl")" = "$step" ] || complain "$command: $(tail -n 1 "$folder/metrics.jsonl")"
}

# The next three steps, of one rank here and of another layout there.
goes_on() {
    cp -r "$folder" alone
    train alone --steps $((step + 3))
    wants 0
    launch "$folder" "$@" --steps $((step + 3))
    wants 0
    for run in alone "$folder"; do
        results "$run" | tail -n 3 >"$run.results"
        contents "$run" $((step + 3)) >"$run.contents"
    done
    same "$folder: losses" alone.results "$folder.results"
    same "$folder: weights and moments" alone.contents "$folder.contents"
    rm -rf alone
}

start term 4 --parallel.tp 2 --parallel.zero 1
kill -TERM $process
reap
stopped
goes_on 2 --parallel.pp 2 --train.micro_batch 1
start int 2 --parallel.pp 2 --train.micro_batch 1 --checkpoint.async true
kill -INT $process
reap
stopped
goes_on 4 --parallel.tp 2

# The file that asks, and the limit of time: rank 0 sees them.
start file 2
touch file/STOP
reap
stopped
[ ! -e file/STOP ] || complain 'STOP is still there'

# A signal for rank 0 alone, as a batch system may send it.
start one 2 --parallel.tp 2
kill -TERM "$(ps -o pid= --ppid $process | head -n 1)"
reap
stopped

# A second signal ends all at once; the last checkpoint stays.
every=3
start twice 2
kill -TERM $process
kill -INT $process
reap
case $code in 143 | 130) ;; *) complain "two signals: ended with $code: $(cat err)" ;; esac
[ -z "$(left)" ] || complain "two signals: left are $(left)"

# Launch is killed.
start killed 4 --parallel.tp 2
kill -KILL $process
wait $process 2>/dev/null
tries=0
while [ -n "$(left)" ] && [ $tries -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
[ -z "$(left)" ] || complain "launch was killed, left are $(left)"

# Nobody reads what ranks print.
"$llmrun" launch -n 2 -- train tiny.yaml --run.dir closed --run.threads 1 --steps 3 >&- 2>err
code=$? command='with stdout closed'
wants 0
{
    "$llmrun" launch -n 2 -- train tiny.yaml --run.dir pipe --run.threads 1 --steps 30 --log.every 1 2>err
    echo $? >code.pipe
} | head -n 1 >/dev/null
[ "$(cat code.pipe)" = 0 ] || complain "a reader that went away: ended with $(cat code.pipe): $(cat err)"
finish
