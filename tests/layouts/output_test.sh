# Who prints what: rank 0 to the terminal, the others to their logs, whatever started them; what `llmrun status` says of
# a job that runs.   `output_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
warned='warning: optim.warmup is 5 and train.steps 2:'

# once RUN: the warning is on the terminal once, and in the log of each other rank.
once() {
    [ "$(grep -c "$warned" err)" = 1 ] || complain "$1: the terminal has $(cat err)"
    for number in 1 2 3; do
        [ "$(grep -c "$warned" "$1/logs/rank_$number.log")" = 1 ] ||
            complain "$1: rank $number has $(cat "$1/logs/rank_$number.log")"
    done
    [ "$(grep -c '^step 1/2' out)" = 1 ] || complain "$1: the terminal has $(cat out)"
}

launch launched 4 --steps 2
wants 0
once launched

# The variables of torchrun, which gives all ranks one terminal.
by_hand() {
    for number in 3 2 1 0; do
        RANK=$number WORLD_SIZE=4 LOCAL_RANK=$number LOCAL_WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 \
            MASTER_PORT=$((20000 + $$ % 20000)) LLMRUN_SECRET=0123456789abcdef0123456789abcdef \
            "$llmrun" train tiny.yaml --run.threads 1 --steps 2 "$@" >>out 2>>err &
    done
    wait
}
rm out err
by_hand --run.dir by_hand
once by_hand
# A run that cannot start has no folder: each says its own there.
rm out err
by_hand --run.dir none --model.path nothing
[ "$(grep -c '^llmrun: .*nothing' err)" = 4 ] || complain "without a folder: $(cat err)"

# A job that runs.
"$llmrun" launch -n 4 -- train tiny.yaml --run.dir runs --run.threads 1 --steps 5000 --parallel.tp 2 >out 2>err &
process=$!
await runs 10
sleep 0.6 # a heartbeat of each
expect 0 out '*rank  host * state * step * what it does*' -- status runs
cp out status
kill -TERM $process
wait $process
for number in 0 1 2 3; do
    grep -Eq "^ *$number +[^ ]+ +[0-9]+ +here +[0-9]+ .* (all_|reduce_|a save)" status || complain "status: $(cat status)"
done
expect 3 '*no job of several ranks runs there*' -- status runs
finish
