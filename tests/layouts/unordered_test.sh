# Without exact numerics ranks train as one does but for rounding: in fp32 the losses differ from one rank's by at most a hundred
# thousandth at step 1 and a thousandth at step 100. `unordered_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=100

# losses RUN: a line a step.
losses() {
    sed -n 's/^{"event":"step","step":\([0-9]*\),"loss":\([^,]*\),.*/\1 \2/p' "$1/metrics.jsonl"
}

# near NAME LAYOUT: the losses of the run `other` are near those of the run NAME, and not the same.
near() {
    losses "$1" >losses.one
    losses other >losses.other
    paste -d ' ' losses.one losses.other | awk -v steps=$steps '
        { difference = ($4 - $2) / $2; if (difference < 0) difference = -difference }
        $1 != $3 || !($2 > 0 && $4 > 0) { bad = "no two losses in the line: " $0 }
        $1 == 1 { first = difference }
        $1 == 100 { last = difference; loss = $2 }
        $1 == 1 && difference > 1e-5 { bad = "step 1 differs by " difference }
        difference > 1e-3 { bad = "step " $1 " differs by " difference }
        END {
            if (NR != steps)
                bad = NR " lines of steps"
            print "step 1 differs by " first ", step 100, of loss " loss ", by " last
            if (bad != "")
                print bad
            exit bad != ""
        }' >difference || complain "$command: $(cat difference)"
    echo "$2: $(head -n 1 difference)"
    bits "$1" >bits.one
    bits other >bits.other
    ! cmp -s bits.one bits.other || complain "$command: sums of ranks were in one rank's order"
    rm -rf other
}

cat >gpt2-8.layouts <<'END'
2 --parallel.tp 2
2 --parallel.pp 2
2
4 --parallel.tp 2
END
echo 2 --parallel.tp 2 >qwen3-8.layouts

for family in gpt2-8 qwen3-8; do
    shape $family 2 >shape
    set --
    while IFS= read -r line; do
        set -- "$@" "$line"
    done <shape
    set -- "$@" --steps $steps --data.train documents.jsonl --data.seq_len 32 --train.global_batch 8 --numerics.exact false
    train one "$@"
    wants 0
    while read -r ranks flags; do
        # shellcheck disable=SC2086
        launch other "$ranks" "$@" $flags
        wants 0
        near one "$family on $ranks ranks $flags"
    done <$family.layouts
    rm -rf one
done
finish
