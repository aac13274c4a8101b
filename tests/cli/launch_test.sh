# Several ranks: exit codes, signals, logs, and what is left when launch itself is killed. The ranks are programs that
# open the control channel (rank_program.c), started by what `llmrun launch` is made of (launch_program.c).
. "$(dirname "$0")/harness.sh"
programs=$3
launch=$programs/launch_program
rank=$programs/rank_program

# ranks CODE PATTERN ARGUMENT...: launch_program ends with that code and says that on stderr.
ranks() {
    wanted_code=$1
    pattern=$2
    shift 2
    "$launch" "$@" >out 2>err
    code=$?
    text=$(cat err)
    if [ "$code" -ne "$wanted_code" ]; then
        failures=$((failures + 1))
        printf '%s\n  ended with %s, wanted %s: %s\n' "$*" "$code" "$wanted_code" "$text"
    fi
    case $text in
    $pattern) ;;
    *)
        failures=$((failures + 1))
        printf '%s\n  said:   %s\n  wanted: %s\n' "$*" "$text" "$pattern"
        ;;
    esac
}

complain() {
    failures=$((failures + 1))
    echo "$1"
}

unset RANK WORLD_SIZE OMP_NUM_THREADS

# All well: rank 0 speaks to the terminal, others to their logs; threads are shared out.
ranks 0 'launch: 4 ranks ended well after *' 4 logs 5000 "$rank" exchange
each=$(($(nproc) / 4))
[ $each -ge 1 ] || each=1
[ "$(cat out)" = "rank 0 of 4 has 100 to 103, threads $each" ] || complain "rank 0 said $(cat out)"
[ "$(cat logs/rank_3.log)" = "rank 3 of 4 has 100 to 103, threads $each" ] || complain "rank 3 said $(cat logs/rank_3.log)"
[ ! -e logs/rank_0.log ] || complain 'rank 0 has a log'
OMP_NUM_THREADS=7 "$launch" 2 - 5000 "$rank" exchange 2>/dev/null | grep -q 'threads 7' || complain 'OMP_NUM_THREADS was changed'
begin=$(date +%s%N)
ranks 0 '*8 ranks ended well*' 8 - 5000 "$rank" exchange
[ $((($(date +%s%N) - begin) / 1000000)) -lt 1000 ] || complain '8 ranks took more than a second'

# Nothing of the secret is seen: not in the arguments of a rank, not in what is printed.
"$launch" 2 logs 5000 "$rank" hang 0 >out 2>err & process=$!
sleep 0.5
for child in $(ps -o pid= --ppid $process); do
    secret=$(tr '\0' '\n' <"/proc/$child/environ" | sed -n 's/^LLMRUN_SECRET=//p')
    [ ${#secret} -eq 64 ] || complain "the secret has ${#secret} characters"
    tr '\0' ' ' <"/proc/$child/cmdline" | grep -q "$secret" && complain 'the secret is on a command line'
    children="$children $child"
done
grep -q "$secret" err && complain 'the secret is printed'

# Launch is killed: no rank stays.
kill -KILL $process
wait $process 2>/dev/null
sleep 0.3
for child in $children; do
    [ ! -d "/proc/$child" ] || grep -q '^State:.Z' "/proc/$child/status" || complain "rank $child lives without launch"
done

# The root cause's code and its last lines; those that fail because of it do not count.
ranks 7 '*rank 2: line 11 of rank 2*rank 2: line 30 of rank 2
launch: rank 2 failed with exit code 7; its log is logs/rank_2.log' 4 logs 5000 "$rank" fail 2 7
grep -q 'rank 2: line 10 of' err && complain 'more than 20 lines of a log are shown'
grep -q 'rank 2 on host .* failed: as the test wants it' logs/rank_1.log || complain "rank 1 said $(cat logs/rank_1.log)"
ranks 7 '*launch: rank 0 failed with exit code 7' 4 logs 5000 "$rank" fail 0 7
ranks 5 '*launch: rank 1 was killed by signal 11 (Segmentation fault); its log is *' 4 - 5000 "$rank" kill 1 11
log=$(sed -n 's/.*its log is \(.*\)/\1/p' err)
[ -f "$log" ] || complain "the log $log of a failed rank is gone"
rm -rf "${log%/*}"
ranks 5 '*launch: rank 0 was killed by signal 9 (Killed)' 2 logs 5000 "$rank" kill 0 9
ranks 3 '*launch: rank 1 failed with exit code 3*' 3 logs 5000 "$rank" exit 1 3

# One that fails before it joins: the others get a grace time, then they are killed.
begin=$(date +%s)
ranks 4 '*ranks that did not end within 0.5 s of the first failure are killed*launch: rank 1 failed with exit code 4*' \
    3 logs 500 "$rank" sleep 1 4
[ $(($(date +%s) - begin)) -le 3 ] || complain 'the grace time was longer'
ranks 2 'launch: rank 0: ./nothing could not be started: No such file or directory' 2 logs 500 ./nothing

# Stopped on request, each rank asked once.
for signal in TERM INT; do
    rm -f out err
    "$launch" 3 logs 5000 "$rank" stop >out 2>err & process=$!
    until grep -qs runs out; do sleep 0.05; done
    kill -$signal $process
    wait $process
    code=$?
    [ $code -eq 75 ] || complain "SIG$signal: ended with $code: $(cat err)"
    grep -q 'launch: 3 ranks stopped on request' err || complain "SIG$signal: said $(cat err)"
done

# Asked twice: at once.
rm -f out
"$launch" 2 logs 60000 "$rank" hang 0 >out 2>err & process=$!
until grep -qs hangs out; do sleep 0.05; done
kill -TERM $process
sleep 0.2
[ -d /proc/$process ] || complain 'one signal ended launch'
kill -TERM $process
wait $process
code=$?
[ $code -eq 143 ] || complain "two signals: ended with $code: $(cat err)"

# A rank that prints much blocks nobody.
ranks 0 '*ended well*' 2 logs 5000 "$rank" print
tail -n 1 logs/rank_1.log | grep -q 'rank 1 prints line 199999' || complain 'lines of a log are missing'

# Several machines of Slurm, here both on one: nodes x 2 ranks, one secret.
machine() {
    SLURM_STEP_ID=0 SLURM_JOB_ID=$$ SLURM_PROCID=$1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=0 SLURM_GTIDS=$1 \
        SLURM_STEP_NODELIST="localhost,other" LLMRUN_SECRET=$2 "$launch" 2 "logs$1" 5000 "$rank" exchange
}
machine 1 'a secret of several machines' >out1 2>err1 & process=$!
machine 0 'a secret of several machines' >out 2>err || complain "several machines: $(cat err)"
wait $process || complain "the second machine: $(cat err1)"
grep -q 'rank 0 of 4 has 100 to 103' out || complain "several machines: $(cat out)"
grep -q 'rank 3 of 4 has 100 to 103' logs1/rank_3.log || complain "the second machine: $(cat logs1/rank_3.log)"
machine 0 '' >out 2>err
[ $? -eq 2 ] || complain 'several machines without a secret were started'
grep -q 'the ranks share no secret.*export LLMRUN_SECRET=' err || complain "without a secret: $(cat err)"

# Ranks that something else starts share a secret, here that of a file in their run folder.
by_hand() {
    RANK=$1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port "$llmrun" train --run.dir hand --model.preset gpt2-tiny \
        --train.global_batch 2 --train.micro_batch 1 --data.seq_len 16 --train.steps 1 >"hand$1" 2>&1
}
port=$((20000 + $$ % 10000))
! by_hand 0 || complain 'ranks started by hand need no secret'
grep -q "the ranks share no secret.* or write it into hand/.secret" hand0 || complain "by hand: $(cat hand0)"
mkdir -p hand
(umask 077 && echo 'a secret of a run folder' >hand/.secret)
by_hand 1 & process=$!
by_hand 0 || complain "rank 0 by hand: $(cat hand0)"
wait $process || complain "rank 1 by hand: $(cat hand1)"
grep -q '^rank 0 of 2 (RANK and WORLD_SIZE)' hand0 || complain "rank 0 by hand: $(cat hand0)"

# The command itself.
expect 2 'llmrun: launch needs -n N: *' -- launch train
expect 2 'llmrun: -n is 0; a whole number in \[1, 1024\] is wanted' -- launch -n 0 train
expect 2 'llmrun: * has no flag --stpes, did you mean --steps?' -- launch -n 2 train --stpes 3
export RANK=1
expect 2 'llmrun: RANK is set and WORLD_SIZE is not*' -- launch -n 2 config keys
unset RANK
expect 0 '*llmrun launch: 3 ranks ended well*' -- launch -n 3 --log-dir logs -- config keys
expect 0 out 'usage: llmrun launch*--log-dir DIR*' -- launch --help
finish
