# What the lines of metrics.jsonl say of each step, against a calculation by hand.
. "$(dirname "$0")/training.sh"
LLMRUN_BACKEND_PATH=$plugins
export LLMRUN_BACKEND_PATH

# steps RUN FIELD...: these of every step, a line each.
steps() {
    run=$1
    shift
    grep '"event":"step"' "$run/metrics.jsonl" | "$helpers/json_fields" "$@"
}

# A step of 4 sequences of 32 tokens, two layers 32 wide, 256 bytes. Forward each token has 24 c^2 a layer (12 c^2
# weights, 2 operations each), 2 c (32 + 1) for the pairs of attention that a token has on average, twice, and 2 c 256 in
# the head: 128 (2 (24576 + 2112) + 16384) = 8,929,280. Backward has twice as many. What is computed again is no use.
FAKEGPU_FLOPS=1e6
export FAKEGPU_FLOPS
for flags in '' '--train.micro_batch 1' '--train.micro_batch 2 --parallel.recompute full' '--precision.compute bf16'; do
    peak=1e6
    [ "$flags" != '--precision.compute bf16' ] || peak=2e6 # as the device says
    # shellcheck disable=SC2086
    train flops --backend fakegpu --steps 3 $flags
    wants 0
    steps flops mfu step_ms mem_bytes | awk -v peak=$peak '
        { flops = $1 * peak * $2 / 1000; if (flops < 0.995 * 26787840 || flops > 1.005 * 26787840) exit 1 }
        END { exit NR != 3 }' || complain "$command: mfu and step_ms are $(steps flops mfu step_ms)"
    rm -rf flops
done
unset FAKEGPU_FLOPS
train unknown --steps 2
wants 0
[ "$(steps unknown mfu | sort -u)" = null ] || complain "mfu of a device that tells no rate: $(steps unknown mfu)"

# Half of the tokens are prompts: rates are of all tokens and of those that were trained, sums of the latter.
for line in 1 2 3 4 5 6 7 8; do
    printf '{"prompt": "%015d", "answer": "%015d"}\n' $line $line
done >pairs.jsonl
for flags in '' '--train.micro_batch 2'; do
    # shellcheck disable=SC2086
    train pairs --steps 6 --data.train pairs.jsonl --data.mask prompt --data.pack false $flags
    wants 0
    steps pairs step tokens step_tokens trained_tokens tokens_per_s trained_tokens_per_s step_ms | awk '
        function off(a, b) { return a < 0.998 * b || a > 1.002 * b }
        { sum += $4 }
        $1 != NR || $2 != sum || $3 != 128 || $4 >= 128 || $4 < 32 { exit 1 }
        off($5 * $7 / 1000, $3) || off($6 * $7 / 1000, $4) { exit 1 }
        END { if (NR != 6) exit 1 }' ||
        complain "$command: $(steps pairs step tokens step_tokens trained_tokens tokens_per_s trained_tokens_per_s step_ms)"
    rm -rf pairs
done

# What is random in a step follows from all 64 bits of the seed, the step and the sequence: with one text of 20 bytes,
# weights that are given and a learning rate of 0 nothing else differs.
printf 'abcdefghijklmnopqrst' >short.txt
train maker --steps 1
wants 0
expect 0 out '*' -- checkpoint export maker maker.hf
losses() {
    run=$1
    shift
    train $run --steps 3 --data.train short.txt --data.tokenizer bytes --model.path maker.hf --model.init weights \
        --model.dropout 0.5 --optim.lr 0 "$@"
    wants 0
    steps $run loss_bits >losses.$run
}
losses first --run.seed 7
losses again --run.seed 7 --train.micro_batch 2
same 'random numbers of the same sequences in other microbatches' losses.first losses.again
[ "$(sort -u losses.first | wc -l)" -eq 3 ] || complain "three steps with the random numbers of one: $(cat losses.first)"
for seed in 8 4294967303 8589934599; do
    losses other --run.seed $seed
    cat losses.first losses.other | sort | uniq -d | grep -q . && complain "seed $seed has random numbers of seed 7"
    rm -rf other
done
losses one --run.seed 7 --train.global_batch 1
cat losses.first losses.one | sort | uniq -d | grep -q . && complain 'four sequences have the random numbers of one'

# A folder has the name of the preset or of the directory, whatever ends it.
for path in maker.hf maker.hf/ ./maker.hf// "$PWD/maker.hf"; do
    "$llmrun" tiny.yaml --steps 1 --data.train short.txt --data.tokenizer bytes --model.path "$path" >out 2>err ||
        complain "a run of $path: $(cat err)"
done
[ "$(ls runs | grep -c '^maker\.hf-20[0-9]*T[0-9]*Z\(\.[2-4]\)*$')" -eq 4 ] || complain "four runs of a directory: $(ls runs)"
long=$(printf '%0120d' 0)
cp -r maker.hf "$long"
"$llmrun" tiny.yaml --steps 1 --data.train short.txt --data.tokenizer bytes --model.path "$long" >out 2>err ||
    complain "a run of a long name: $(cat err)"
ls runs | grep -q "^$(printf '%0100d' 0)-20" || complain "the folder of a long name is $(ls runs)"
finish
