# step_ms, eval_ms and blocked_ms against a clock outside of the process: the moments at which the lines of
# metrics.jsonl are seen in the file. Beside other tests a single line may be seen late, so what is held is the sum of a
# run and that no step is far shorter than the others. CLOCK_TEST=long has steps of some 100 ms and holds each step to
# 2 %, for a machine that does nothing else.
. "$(dirname "$0")/training.sh"
head -c 3000 text.txt >valid.txt
flags='--train.global_batch 16 --train.micro_batch 2 --data.valid valid.txt --train.eval_every 4 --checkpoint.every 6'
steps=24 bound=0
if [ "${CLOCK_TEST:-}" = long ]; then
    flags="$flags --model.overrides.n_embd 128 --model.overrides.n_positions 256"
    steps=40 bound=2
fi

# check NAME ASYNC: makes a table of step, step_ms, the time outside in ms, and the difference in per cent.
check() {
    cut -d ' ' -f 1 times >seen
    cut -d ' ' -f 2- times | "$helpers/json_fields" event step step_ms tokens_per_s step_tokens blocked_ms eval_ms |
        paste -d ' ' seen - >lines
    awk -v last=$steps -v async="$2" -v bound=$bound '
        # What a save in the background held up stands in its line, which comes when it is done.
        FNR == NR {
            if ($2 == "checkpoint") blocked[$3] = $7
            inside += $2 == "step" ? $4 : $2 == "eval" ? $8 : $2 == "checkpoint" && $3 < last ? $7 : 0
            next
        }
        $2 == "start" { start = $1 }
        $2 == "start" || $2 == "eval" { from = $1 }
        $2 == "checkpoint" && async == "false" { from = $1; blocked[$3] = 0 }
        $2 == "step" {
            outside = ($1 - from) * 1000 - blocked[$3 - 1]
            off = 100 * ($4 / outside - 1)
            printf "%d %.3f %.3f %.2f\n", $3, $4, outside, off
            if (bound > 0 && (off > bound || off < -bound)) bad = 1
            rate = $6 / $4 * 1000
            if ($5 / rate > 1.001 || rate / $5 > 1.001) { print "tokens_per_s is " $5 ", not " rate; bad = 1 }
            from = $1
        }
        $2 == "step" || $2 == "eval" { total = ($1 - start) * 1000 }
        END {
            if (inside > 1.1 * total + 50 || inside < 0.9 * total - 50) {
                print "in all " inside " ms, and outside " total
                bad = 1
            }
            exit bad
        }' lines lines >table || complain "$1: step, step_ms, ms outside, per cent:
$(cat table)"
    [ "$(wc -l <table)" -eq $steps ] || complain "$1: $(wc -l <table) of $steps steps were timed"
    # Lines that come late would agree with steps that are timed when they are noticed. But the steps are all alike.
    sort -n -k 2 table | awk '{ ms[NR] = $2 } END { exit ms[1] < ms[int((NR + 3) / 4)] / 4 }' ||
        complain "$1: a step took less than a quarter of what three of four took:
$(cat table)"
    [ "${CLOCK_TEST:-}" != long ] || { echo "$1" && cat table; }
}
for backend in cpu fakegpu; do
    for async in false true; do
        run=$backend.$async
        # shellcheck disable=SC2086
        LLMRUN_BACKEND_PATH=$plugins "$helpers/line_times" $run/metrics.jsonl "$llmrun" tiny.yaml --run.dir $run \
            --backend $backend --steps $steps --checkpoint.async $async $flags >times 2>err
        code=$? command="train of $run"
        wants 0
        check $run $async
    done
done

# A save of a second and more stops training that long, or, in the background, not at all.
if [ -f "$helpers/kill_at.so" ] && ! ldd "$llmrun" | grep -q libasan; then
    for async in false true; do
        LD_PRELOAD=$helpers/kill_at.so WAIT_AT=fsync:2
        export LD_PRELOAD WAIT_AT
        train slow.$async --steps 4 --checkpoint.every 2 --checkpoint.async $async
        unset LD_PRELOAD WAIT_AT
        wants 0
        grep '"checkpoint","step":2,' slow.$async/metrics.jsonl | "$helpers/json_fields" save_ms blocked_ms >saved
        awk -v async=$async '{ exit !($1 >= 1000 && (async == "true" ? $2 < 700 : $2 >= 1000)) }' saved ||
            complain "checkpoint.async $async: a save of a second has save_ms and blocked_ms $(cat saved)"
    done
else
    echo 'skipped: a save that takes a second, for this build takes no preloaded library'
fi
finish
