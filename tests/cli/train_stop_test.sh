# Stopping on request and going on: signals, the time limit, a folder in use, what may differ and what may not.
. "$(dirname "$0")/training.sh"

# Asked once: exit code 75 with a checkpoint of the last step, and the resumed run is that of one without a stop.
# It is said at once what happens; the step named is the last one.
for signal in TERM INT USR1 HUP STOP; do
    begin stopped.$signal --steps 100000
    await stopped.$signal 4
    if [ $signal = STOP ]; then
        who=stopped.STOP/STOP how='; *'
        : >stopped.STOP/STOP
    else
        who=SIG$signal how=' in stopped.*; a second signal ends at once'
        kill -$signal "$process"
    fi
    reap
    wants 75 "$who: stopping after step * with a checkpoint*llmrun: stopped by $who after step *; the checkpoint is saved"
    step=$(sed -n 's/.*after step \([0-9]*\);.*/\1/p' err)
    grep -q "^$who: stopping after step $step with a checkpoint" err || complain "$who named another step: $(cat err)"
    [ ! -e stopped.$signal/STOP ] || complain "the file STOP is still there"
    tail -n 1 stopped.$signal/metrics.jsonl |
        grep -q '"event":"stop","step":'"$step"',"reason":"requested","exit_code":75' ||
        complain "SIG$signal: metrics.jsonl ends without a stop event: $(tail -n 1 stopped.$signal/metrics.jsonl)"
    [ -f "stopped.$signal/ckpt/$(printf 'step_%08d' "$step")/manifest.json" ] ||
        complain "SIG$signal: no checkpoint of step $step"
    train stopped.$signal --steps $((step + 3))
    wants 0
    train straight --steps $((step + 3))
    wants 0
    same_run "stopped by $who" straight stopped.$signal $((step + 3))
    rm -rf straight
done

# Asked in an evaluation, which would take most of a minute: it is given up. One between the steps, one behind the last.
for _ in 1 2 3 4 5 6 7; do cat text.txt text.txt text.txt text.txt; done >long.txt
for steps in 2 100000; do
    begin evaluating.$steps --steps $steps --train.eval_every 2 --data.valid long.txt --train.eval_tokens 0 \
        --backend cpu-ref
    await evaluating.$steps 3
    sleep 0.1
    kill -TERM "$process"
    asked=$(date +%s)
    reap
    [ $(($(date +%s) - asked)) -le 3 ] || complain "an evaluation went on for $(($(date +%s) - asked)) s"
    wants 75 '*SIGTERM: stopping after step 2 with a checkpoint*llmrun: stopped by SIGTERM after step 2; the checkpoint*'
    grep -q '"event":"eval"' evaluating.$steps/metrics.jsonl && complain 'the evaluation was not given up'
    expect 0 out '*every byte of * is as it was saved*' -- checkpoint verify evaluating.$steps
done

# Asked twice: ends at once, and the checkpoint before it stays. A step of cpu-ref with these shapes
# takes a second or more.
begin twice --backend cpu-ref --model.overrides '{n_layer: 12, n_positions: 64}' --steps 100000 --checkpoint.every 1
await twice 3
sleep 0.2
kill -TERM "$process"
sleep 0.1
kill -TERM "$process"
reap
wants 143 'SIGTERM: stopping after step *'
expect 0 out '*every byte of * is as it was saved*' -- checkpoint verify twice

# A STOP from before the run: said, removed, and no request.
train leftover --steps 2
: >leftover/STOP
train leftover --steps 4
wants 0 '*warning: leftover/STOP was there before this run began; it is removed*'
[ ! -e leftover/STOP ] || complain 'a leftover STOP is still there'
# One that cannot be removed.
mkdir -p leftover/STOP/inside
train leftover --steps 6
wants 0 '*warning: leftover/STOP was there before this run began and cannot be removed*'

# What nohup asks for.
(trap '' HUP && exec "$llmrun" tiny.yaml --run.dir nohup --steps 100000 >out 2>err) &
process=$! command='a run that ignores SIGHUP'
await nohup 4
kill -HUP "$process"
lines=$(cat nohup/metrics.jsonl | wc -l)
await nohup $((lines + 5))
kill -TERM "$process"
reap
wants 75 'SIGTERM: stopping*'

# The time limit counts from the start of the process, and leaves the time to save.
start=$(date +%s)
train limited --steps 100000000 --train.time_limit 2s
wants 75 'llmrun: stopped by train.time_limit after step *; the checkpoint is saved'
[ $(($(date +%s) - start)) -le 6 ] || complain "a limit of 2 s took $(($(date +%s) - start)) s"
# So does an evaluation, which would take most of a minute, when the time is over in it.
train timed --steps 100 --train.eval_every 2 --data.valid long.txt --train.eval_tokens 0 --backend cpu-ref \
    --train.time_limit 2s
wants 75 '*llmrun: stopped by train.time_limit after step 2; the checkpoint is saved'
grep -q '"event":"eval"' timed/metrics.jsonl && complain 'the evaluation was not given up when the time was over'
grep -q '"reason":"time_limit"' limited/metrics.jsonl || complain 'no stop event names the time limit'

# A folder in use, by a process that would go on for ever.
begin busy --steps 100000000 --log.every 100000
await busy 3
cp out busy.out
"$llmrun" tiny.yaml --run.dir busy --steps 5 >out 2>err
code=$?
command='a second run in the folder'
wants 2 "llmrun: *busy is in use*$process*"
kill -9 "$process"
reap 2>/dev/null

# A folder that another run makes and fills between this one's look at it and its making it.
preload=$scratch/kill_at.so
if ! cp "$helpers/kill_at.so" "$preload" || ! LD_PRELOAD=$preload "$llmrun" --version >/dev/null 2>&1; then
    echo "skipped: two runs that make one folder; $helpers/kill_at.so cannot be preloaded into this build"
else
    LD_PRELOAD=$preload STOP_AT=mkdir:1 "$llmrun" tiny.yaml --run.dir race --steps 2 >out 2>err.race &
    process=$!
    for try in $(seq 1000); do
        grep -q ') T' "/proc/$process/stat" && break
        sleep 0.01
    done
    train race --steps 2
    wants 0
    kill -CONT "$process"
    reap
    cp err.race err
    command='a run whose folder another one makes'
    wants 2 'llmrun: another run has saved race/ckpt/step_00000002 meanwhile*'
fi

# Going on with something else that decides the bits: refused by name, and the run stays as it was.
train run --steps 4 --checkpoint.every 2
wants 0
cp run/config.resolved.yaml before.yaml
tr a-y b-z <text.txt >other.txt
refused() {
    key=$1
    shift
    train run --steps 6 "$@"
    wants 2 "llmrun: *$key*"
}
refused model.overrides --model.overrides.n_layer 3
refused model.preset --model.preset gpt2-tiny
refused data.train --data.train other.txt
refused data.seq_len --data.seq_len 16
refused run.seed --run.seed 1
refused train.global_batch --train.global_batch 8
refused optim.lr --optim.lr 1e-4
refused optim.beta2 --optim.beta2 0.999
refused model.dropout --model.dropout 0.5
cp text.txt saved.txt
cp other.txt text.txt
refused data.train
cp saved.txt text.txt
same 'config.resolved.yaml before and after refused runs' before.yaml run/config.resolved.yaml

# Threads, instructions, backend, recomputation, saving and logs may differ.
train straight --steps 8
wants 0
train run --steps 6 --run.threads 1 --run.cpu_isa plain --log.every 3 --log.level debug
wants 0
train run --steps 8 --backend cpu-ref --parallel.recompute full --checkpoint.every 1 --checkpoint.async true
wants 0
same_run 'resumed with another layout' straight run 8

# Nothing is left to do.
train run --steps 8
wants 0
grep -q 'run is at step 8 of 8 already: nothing to do' out || complain "at the last step: $(cat out)"
train run --steps 4
wants 0
same_run 'nothing was done' straight run 8

# So may the microbatches.
train micro --steps 2
wants 0
train micro --steps 4 --train.micro_batch 2
wants 0

# From a checkpoint by name; a fresh start in a folder that holds a run is refused.
train branch --steps 8 --run.resume run/ckpt/step_00000006
wants 0
bits straight | tail -n 2 >tail.a
bits branch >tail.b
same 'losses from a named checkpoint' tail.a tail.b
train run --steps 2 --run.resume none
wants 2 'llmrun: run.resume is none, and run/ckpt/step_00000008 is there already; *'
same_run 'a fresh start was refused' straight run 8
finish
