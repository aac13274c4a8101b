# Signals, once and twice, in training, in an evaluation and while a checkpoint is saved; a process that is stopped and
# continued at random.
. "$(dirname "$0")/attacks.sh"
head -c 9000 text.txt >valid.txt
slow='--backend cpu-ref --model.overrides.n_layer 4 --model.overrides.n_positions 64'

# number SIGNAL
number() {
    case $1 in HUP) echo 1 ;; INT) echo 2 ;; USR1) echo 10 ;; TERM) echo 15 ;; esac
}
# stopped WHAT SIGNAL RUN: once: code 75, an answer, and a checkpoint of the step it names.
stopped() {
    ends "$1" 75 "*SIG$2: stopping after step * with a checkpoint*llmrun: stopped by SIG$2 after step *; the checkpoint is saved"
    step=$(sed -n 's/^llmrun: .* after step \([0-9]*\);.*/\1/p' err)
    expect 0 out "*$(printf 'step_%08d' "${step:-0}")*every byte*" -- checkpoint verify "$3"
    tail -n 1 "$3/metrics.jsonl" | grep -q '"reason":"requested","exit_code":75}' ||
        complain "$1: $(tail -n 1 "$3/metrics.jsonl")"
}
# ended WHAT FIRST SECOND RUN: twice: at once, with the number of the second; the checkpoints that were there are whole.
ended() {
    ends "$1" $((128 + $(number "$3"))) "*SIG$2: stopping after step *"
    ls "$4"/ckpt/step_*[0-9] >/dev/null 2>&1 && expect 0 out '*every byte*' -- checkpoint verify "$4"
}

for signal in TERM ${long:+INT USR1 HUP}; do
    # Training: a step of cpu-ref with these shapes takes most of a second.
    # shellcheck disable=SC2086
    begin training $slow --steps 100000 --checkpoint.every 1
    await training 3
    kill -$signal "$process"
    reap
    stopped "$signal in training" $signal training
    begin training $slow --steps 100000
    await training $(($(cat training/metrics.jsonl | wc -l) + 1))
    sleep 0.1
    kill -$signal "$process"
    sleep 0.05
    kill -INT "$process"
    reap
    ended "$signal, then INT in training" $signal INT training
    rm -rf training

    # An evaluation: it takes several seconds, and ends at once.
    begin evaluating $slow --steps 100000 --data.valid valid.txt --train.eval_tokens 0 --train.eval_every 1
    await evaluating 2
    sleep 0.2
    kill -$signal "$process"
    start=$(date +%s)
    reap
    [ $(($(date +%s) - start)) -le 5 ] || complain "an evaluation took $(($(date +%s) - start)) s to stop"
    stopped "$signal in an evaluation" $signal evaluating
    grep -q '"event":"eval"' evaluating/metrics.jsonl && complain "$signal in an evaluation: it has numbers"
    rm -rf evaluating
    [ -n "$long" ] || continue
    begin evaluating $slow --steps 100000 --data.valid valid.txt --train.eval_tokens 0 --train.eval_every 1
    await evaluating 2
    sleep 0.2
    kill -$signal "$process"
    # It may be over before the second one comes, and is then a run that was stopped.
    sleep 0.01
    second=true
    kill -TERM "$process" 2>/dev/null || second=false
    reap
    if $second && [ "$code" != 75 ]; then
        ended "$signal, then TERM in an evaluation" $signal TERM evaluating
    else
        stopped "$signal, then TERM after an evaluation" $signal evaluating
    fi
    rm -rf evaluating
done

# While a checkpoint is saved: the process stands still at a call of fsync when the signals come.
if preload kill_at 'signals while a checkpoint is saved'; then
    train eight --steps 8
    # saving ASYNC FSYNC SIGNAL...
    saving() {
        async=$1 call=$2
        shift 2
        rm -rf saving
        LD_PRELOAD=$preload STOP_AT=fsync:$call
        export LD_PRELOAD STOP_AT
        begin saving --steps 100000 --checkpoint.every 3 --checkpoint.async "$async"
        unset LD_PRELOAD STOP_AT
        for try in $(seq 500); do
            grep -q ') T' "/proc/$process/stat" && break
            sleep 0.01
        done
        for signal in "$@"; do
            kill -"$signal" "$process"
        done
        kill -CONT "$process"
        reap
    }
    for async in false true; do
        for call in 2 ${long:+1 3 4 5 6}; do
            saving $async $call TERM
            stopped "TERM at fsync $call of a save, async $async" TERM saving
        done
        saving $async 3 HUP TERM
        attacks=$((attacks + 1))
        case $code in
        129 | 143) ;;
        *) complain "HUP and TERM at fsync 3, async $async: ended with $code: $(cat err)" ;;
        esac
        train saving --steps 8
        wants 0
        same_run "HUP and TERM at fsync 3, async $async" eight saving 8
    done
fi

# Stopped and continued at random: nothing but time is lost.
begin halting --steps 4 $slow
times=8
[ -z "$long" ] || times=40
for try in $(seq $times); do
    kill -STOP "$process" 2>/dev/null && attacks=$((attacks + 1))
    sleep 0.0$((try * 7 % 9 + 1))
    kill -CONT "$process" 2>/dev/null
    sleep 0.0$((try * 5 % 7 + 1))
done
reap
ends 'stopped and continued at random' 0
train calm --steps 4 $slow
same_run 'stopped and continued at random' calm halting 4
survived 'signals'
