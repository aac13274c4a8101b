# Every command with every key: what the table of keys says it uses is looked at, and the rest is refused by name.
. "$(dirname "$0")/training.sh"

train run --steps 1
wants 0

# key|accepts|commands, a line a key.
"$llmrun" config keys | awk '
    /^[a-z]/ { key = substr($1, 1, length($1) - 1); line = 0 }
    { line++ }
    line == 3 { accepts = $0 }
    sub("^    used by ", "") { gsub(" and ", ", "); print key "|" accepts "|, " $0 "," }' >keys
[ "$(wc -l <keys)" -gt 45 ] || complain "config keys lists $(wc -l <keys) keys with their commands"

# A value that no key but a text takes. All that is said goes into one file: that is 500 processes, and no more.
try() {
    name=$1
    shift
    while IFS='|' read -r key accepts users; do
        case $users in *", $name,"*) uses=yes ;; *) uses=no ;; esac
        case $accepts in '    text' | '    text;'* | '    a list of texts'*) kind=text ;; *) kind=value ;; esac
        printf '%s|%s|%s|%s|' "$name" "$key" "$uses" "$kind"
        "$llmrun" "$@" "--$key" x-wrong 2>&1 >/dev/null | tail -n 1 | tr '\n' ' '
        echo
    done <keys >>said
}
try train train tiny.yaml --steps 1
try eval eval --model run --data tiny.yaml
try generate generate --model run --prompt The --tokens 1
try plan plan tiny.yaml
try 'bench step' bench step tiny.yaml --repeat 1 --patience 1
try 'bench generate' bench generate tiny.yaml --tokens 2
try 'bench gemm' bench gemm --rows 8 --repeat 1 --model gpt2-tiny
awk -F '|' '
    $3 == "no" && index($5, "llmrun: --" $2 ": " $1 " does not use " $2 ", which is for ") != 1 &&
        index($5, "llmrun: --" $2 ": " $1 " does not use " $2 "; its own flag is --") != 1 { print "not refused: " $0 }
    $3 == "yes" && $4 == "value" && index($5, "llmrun: --" $2 ": " $2 " is x-wrong") != 1 { print "not read: " $0 }
    $3 == "yes" && $5 ~ /does not use/ { print "refused: " $0 }
    END { if (NR < 350) print "only " NR " pairs" }' said >wrong
[ -s wrong ] && complain "$(cat wrong)"

# Variables are held to the table as flags are; a config file may hold keys of other commands.
LLMRUN_TRAIN_STEPS=3
export LLMRUN_TRAIN_STEPS
expect 2 'llmrun: LLMRUN_TRAIN_STEPS: eval does not use train.steps, which is for train; leave it out' -- \
    eval --model run --data text.txt
expect 2 'llmrun: LLMRUN_TRAIN_STEPS: plan does not use train.steps, *' -- plan tiny.yaml
expect 0 out '*steps: 3 *' -- config show
unset LLMRUN_TRAIN_STEPS
expect 0 out '*memory of one rank*' -- plan tiny.yaml
expect 2 'llmrun: --steps: eval does not use train.steps, *' -- eval --model run --data text.txt --steps 3
expect 2 'llmrun: --data.valid: eval does not use data.valid; its own flag is --data' -- \
    eval --model run --data text.txt --data.valid text.txt
expect 2 'llmrun: --model.preset: bench gemm does not use model.preset; its own flag is --model' -- \
    bench gemm --model.preset gpt2
expect 2 'llmrun: eval has no flag --stpes; *' -- eval --model run --data text.txt --stpes 3
expect 0 out '*Keys: run.backend *data.mask*' -- eval --help
expect 2 'llmrun: --data is given twice; expected once' -- eval --model run --data a.txt --data text.txt

# changes FLAG... -- COMMAND...: each flag, a key and its value in one word, changes what the command prints.
changes() {
    flags=
    while [ "$1" != -- ]; do
        flags="$flags $1"
        shift
    done
    shift
    "$llmrun" "$@" >first 2>/dev/null || complain "$* failed"
    for flag in $flags; do
        "$llmrun" "$@" "--$flag" 2>&1 | cmp -s first - && complain "$* --$flag changes nothing"
    done
}
changes run.seed=5 model.dropout=0.1 model.preset=gpt2-8 model.overrides.n_layer=3 data.valid=x data.valid_split=0.1 \
    data.seq_len=16 train.global_batch=8 train.micro_batch=2 optim.beta1=0.8 optim.beta2=0.8 optim.eps=1e-6 \
    optim.weight_decay=0.2 optim.clip=0 precision.compute=bf16 numerics.exact=false numerics.batch_parts=2 numerics.position_parts=4 \
    parallel.recompute=full -- plan tiny.yaml --dump step
changes data.pack=false data.seq_len=16 train.eval_tokens=64 model.overrides.layer_norm_epsilon=0.1 precision.compute=bf16 -- \
    eval --model run --data tiny.yaml --json
changes model.overrides.layer_norm_epsilon=9 precision.compute=bf16 -- \
    generate --model run --prompt The --tokens 60 --seed 3 --temperature 1

# What a run was trained with holds in eval. Two prompts with answers of 3 and 5 bytes, whose prompts are not learned:
# with the bytes 0 that end the documents, 3 + 1 + 5 + 1 targets (by hand).
printf '{"prompt": "one", "answer": "uno"}\n{"prompt": "four?", "answer": "cinco"}\n' >pairs.jsonl
train masked --steps 2 --data.train pairs.jsonl --data.valid pairs.jsonl --data.mask prompt --data.pack false
wants 0
"$helpers/json_fields" event loss tokens <masked/metrics.jsonl | sed -n 's/^eval //p' >of.train
expect 0 out '{*}' -- eval --model masked --data pairs.jsonl --json
"$helpers/json_fields" loss tokens <out >of.command
same 'eval of a masked run' of.train of.command
[ "$(cut -d ' ' -f 2 of.command)" = 10 ] || complain "masked targets: $(cat of.command)"

# tokens_of FLAG...: what eval counts of text.txt under these flags.
tokens_of() {
    "$llmrun" eval --model "$@" --json >out 2>err || complain "eval $*: $(cat err)"
    "$helpers/json_fields" tokens <out
}
expect 3 'llmrun: pairs.jsonl: there is no token to predict in the first train.eval_tokens of it; data.mask prompt *' -- \
    eval --model masked --data pairs.jsonl --data.pack true --data.seq_len 2 --train.eval_tokens 2 --json
all=$(tokens_of masked --data pairs.jsonl --data.mask none)
[ "$all" -gt 10 ] || complain "data.mask none in eval counts $all tokens"
[ "$(tokens_of run --data text.txt --train.eval_tokens 96)" = 96 ] ||
    complain "three windows of 32 tokens: $(cat out)"
[ "$(tokens_of run --data text.txt --data.seq_len 16 --train.eval_tokens 40)" = 32 ] ||
    complain "two windows of 16 tokens: $(cat out)"
[ "$(tokens_of run --data text.txt --train.eval_tokens 5)" = 32 ] || complain "one window at least: $(cat out)"
LLMRUN_TRAIN_EVAL_TOKENS=64
export LLMRUN_TRAIN_EVAL_TOKENS
[ "$(tokens_of run --data text.txt)" = 64 ] || complain "eval_tokens of the environment: $(cat out)"
unset LLMRUN_TRAIN_EVAL_TOKENS
# A limit that the run had for its own evaluations does not cut a text that eval is asked about.
train limited --steps 1 --data.valid text.txt --train.eval_tokens 64
wants 0
[ "$(tokens_of limited --data text.txt)" -gt 3000 ] || complain "eval takes a part of the text: $(cat out)"

# A tokenizer that is named is the one that reads the text, whatever the model came with.
cp -r "$tests/golden/tokenizer_tiny" tokens
train pieces --steps 1 --data.tokenizer tokens
wants 0
pieces=$(tokens_of pieces --data text.txt)
bytes=$(tokens_of pieces --data text.txt --tokenizer bytes)
[ "$pieces" -lt "$bytes" ] || complain "--tokenizer bytes: $bytes tokens, $pieces with the model's own"
[ "$(tokens_of pieces --data text.txt --data.tokenizer bytes)" = "$bytes" ] || complain 'data.tokenizer bytes differs'
expect 3 'llmrun: tokenizer /nothere: *' -- eval --model pieces --data text.txt --tokenizer /nothere
expect 3 'llmrun: tokenizer /nothere: *' -- generate --model run --prompt The --tokenizer /nothere
expect 3 "llmrun: text.txt*outside the model's vocabulary of 256*" -- eval --model run --data text.txt --tokenizer tokens

# Flags of a command's own that would do nothing.
expect 2 'llmrun: --shapes *--profile*' -- bench step tiny.yaml --repeat 1 --shapes
expect 2 'llmrun: --shapes *--profile*' -- bench generate tiny.yaml --tokens 2 --shapes
expect 2 'llmrun: --no-probe *--support*' -- backends --support cpu --no-probe
finish
