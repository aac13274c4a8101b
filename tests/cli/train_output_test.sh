# What a person sees of a run, and that it learns.
. "$(dirname "$0")/training.sh"
escape=$(printf '\033')

# Into a file or a pipe: plain lines, every log.every steps, the first and the last.
train plain --steps 25 --log.every 10 --checkpoint.every 20
wants 0
grep -q "$escape" out && complain 'plain output has escape sequences'
steps=$(sed -n 's/^step \([0-9]*\)\/25  loss .*  gnorm .*  lr .* tok\/s.*eta .*/\1/p' out | tr '\n' ' ')
[ "$steps" = '1 10 20 25 ' ] ||
    complain "plain output has other steps: $(cat out)"
for line in '^model  .*parameters' '^data  .*tokens' '^device  .*cpu' '^run  .*plain, steps 1 to 25' \
    '^checkpoint plain/ckpt/step_00000020$' '^checkpoint plain/ckpt/step_00000025$'; do
    grep -q "$line" out || complain "plain output has no line $line: $(cat out)"
done
[ ! -s err ] || complain "a quiet run said: $(cat err)"

# On a terminal: one line that is drawn again, and the checkpoint on a line of its own.
"$helpers/on_terminal" 0 0 "$llmrun" tiny.yaml --run.dir bar --steps 25 --checkpoint.every 20 >out 2>err
code=$? command='train on a terminal'
if [ $code -eq 125 ]; then
    echo "skipped: a run on a terminal; this machine gives none: $(cat err)"
else
    wants 0
    printf '\r%s[K[' "$escape" >redraw
    [ "$(grep -cF "$(cat redraw)" out)" -ge 2 ] || complain "no bar on a terminal: $(head -c 600 out)"
    grep -q '\[========================\] step 25/25  loss ' out || complain "the bar does not fill: $(tail -c 600 out)"
    tr -d '\r' <out | grep -q '^checkpoint bar/ckpt/step_00000025$' ||
        complain "no line for the checkpoint: $(tail -c 600 out)"
    tr -d '\r' <out | tail -n 1 | grep -q "$escape" && complain 'the last line of a terminal run is half a bar'
    # What is said meanwhile begins a line of its own.
    printf '{"prompt": "%0500d", "answer": "1"}\n' 1 >masked.jsonl
    "$helpers/on_terminal" 0 0 "$llmrun" tiny.yaml --run.dir said --steps 25 --data.train masked.jsonl \
        --data.mask prompt --train.global_batch 1 >out 2>err
    code=$? command='train on a terminal with a warning'
    wants 0
    tr -d '\r' <out | grep -q '^warning: step [0-9]* has no token to learn from' ||
        complain "$command: $(tr -d '\r' <out | grep -F 'warning: step')"
    # As wide as the terminal is at that moment, so that nothing wraps: the text alone, cut, where there is no room.
    "$helpers/on_terminal" 40 140 "$llmrun" tiny.yaml --run.dir narrow --steps 200 >out 2>err
    code=$? command='train on a terminal of 40, then 140 columns'
    wants 0
    LC_ALL=C tr '\r' '\n' <out | sed -n "s/^$escape\[K//p" >bars
    head -n 12 bars | awk 'length($0) != 39 || !/^step / { exit 1 }' || complain "$command: $(head -n 12 bars)"
    tail -n 50 bars | awk 'length($0) > 139 || length($0) < 80 || !/^\[=* *\] step / { exit 1 }' ||
        complain "$command: $(tail -n 50 bars)"
    "$helpers/on_terminal" 1 1 "$llmrun" tiny.yaml --run.dir one --steps 3 >out 2>err
    code=$? command='train on a terminal of one column'
    wants 0
fi

# Whoever reads the lines may go away: the run goes on to its last checkpoint.
{
    "$llmrun" tiny.yaml --run.dir unread --steps 300 --log.every 1 2>err
    echo $? >code
} | head -n 1 >out
code=$(cat code) command='a run whose reader goes away'
wants 0
[ ! -s err ] || complain "$command: $(cat err)"
tail -n 1 unread/metrics.jsonl | grep -q '"exit_code":0}' || complain "$command: $(tail -n 1 unread/metrics.jsonl)"
expect 0 out 'unread/ckpt/step_00000300: every byte*' -- checkpoint verify unread

# A run without run.dir gets a folder of its own, every time.
for try in 1 2; do
    "$llmrun" tiny.yaml --steps 1 >out 2>err || complain "a run without run.dir: $(cat err)"
done
[ "$(ls -d runs/demo-* | wc -l)" -eq 2 ] || complain "two runs without run.dir made $(ls -d runs/*)"
same 'config.yaml and the file that was given' tiny.yaml "$(ls -d runs/demo-* | head -n 1)/config.yaml"

# A text that repeats itself is learned: under half of the first loss after 60 steps, recomputed or not.
yes 'the cat sat on the mat. ' | head -n 400 >cat.txt
for precision in fp32 bf16; do
    for recompute in none selective full; do
        train $precision.$recompute --data.train cat.txt --steps 60 --optim.lr 1e-2 --precision.compute $precision \
            --parallel.recompute $recompute
        wants 0
        same_run "$precision, recompute none and $recompute" $precision.none $precision.$recompute 60
    done
    "$helpers/json_fields" event loss <$precision.none/metrics.jsonl |
        awk '$1 == "step" { last = $2; if (!first) first = last } END { exit !(last < 0.5 * first) }' ||
        complain "$precision: the loss does not fall: $(sed -n '2p;61p' $precision.none/metrics.jsonl)"
done
finish
