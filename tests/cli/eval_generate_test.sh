# llmrun eval and generate on a model that was just trained.
. "$(dirname "$0")/training.sh"

head -c 3000 text.txt >valid.txt
train run --steps 12 --data.valid valid.txt --train.eval_tokens 0
wants 0
# Every line of metrics is JSON, and the step lines have their members.
"$helpers/json_fields" event <run/metrics.jsonl >events || complain 'metrics.jsonl has a line that is no JSON object'
"$helpers/json_fields" event step loss loss_bits grad_norm grad_norm_bits lr tokens tokens_per_s mfu step_ms mem_bytes \
    <run/metrics.jsonl | grep '^step ' >steps
[ "$(wc -l <steps)" -eq 12 ] || complain "12 steps have $(wc -l <steps) lines"
grep -q missing steps && complain "a step line lacks a member: $(grep -m 1 missing steps)"
[ "$(uniq events | tr '\n' ' ')" = 'start step eval checkpoint stop ' ] ||
    complain "events: $(uniq events | tr '\n' ' ')"

# The evaluation of training, the one of the command, and the perplexity e^loss are one number.
"$helpers/json_fields" event loss perplexity tokens <run/metrics.jsonl | sed -n 's/^eval //p' >of.train
expect 0 out '{*}' -- eval --model run --data valid.txt --json
"$helpers/json_fields" loss perplexity tokens <out >of.command || complain "eval --json: $(cat out)"
same 'loss, perplexity and tokens of train and eval' of.train of.command
awk '{ exit !($2 > 0.999999 * exp($1) && $2 < 1.000001 * exp($1) && $3 > 2900) }' of.command ||
    complain "perplexity is not e^loss, or few tokens: $(cat of.command)"
expect 0 out 'run/ckpt/step_00000012 at step 12 on valid.txt: loss *, perplexity * over * tokens' -- \
    eval --model run --data valid.txt
expect 0 out '{*}' -- eval --model run --data valid.txt --json --backend cpu-ref
"$helpers/json_fields" loss perplexity tokens <out >of.reference
same 'eval on cpu and cpu-ref' of.command of.reference
# What is said beside the result goes by log.level.
{ cat valid.txt && printf ' \377 \n'; } >odd_byte.txt
expect 0 err 'warning: *odd_byte.txt*' -- eval --model run --data odd_byte.txt
expect 0 err '' -- eval --model run --data odd_byte.txt --log.level error
cp valid.txt 'odd "name\.txt'
expect 0 out '{*}' -- eval --model run --data 'odd "name\.txt' --json
"$helpers/json_fields" data <out >name || complain "eval --json of an odd name: $(cat out)"
[ "$(cat name)" = 'odd "name\.txt' ] || complain "eval --json calls the file $(cat name)"

# Text: the prompt first, then as many tokens as asked for; the seed decides.
text_of() {
    target=$1
    shift
    "$llmrun" generate --model run --prompt 'The run' --tokens 40 "$@" >"$target" 2>err ||
        complain "generate $*: $(cat err)"
}
text_of a --seed 7
text_of b --seed 7
text_of c --seed 8
same 'two texts of one seed' a b
cmp -s a c && complain 'two seeds gave the same text'
for seed in 4294967303 9223372036854775807; do # 7 + 2^32: all 64 bits count
    text_of c --seed $seed
    cmp -s a c && complain "the seeds 7 and $seed gave the same text"
done
[ "$(head -c 7 a)" = 'The run' ] || complain "the text begins with $(head -c 7 a)"
text_of a --temperature 0 --seed 1
text_of b --temperature 0 --seed 2
text_of c --top-k 1 --seed 3
same 'temperature 0 with two seeds' a b
same 'temperature 0 and the most probable token alone' a c
text_of b --temperature 0 --backend cpu-ref
same 'the most probable text on cpu and cpu-ref' a b
[ "$(wc -c <a)" -le 48 ] || complain "40 tokens of one byte gave $(wc -c <a) bytes"
expect 0 out 'The run' -- generate --model run --prompt 'The run' --tokens 0

# The speed goes to the other stream; a stop ends the text before it, wherever tokens end.
expect 0 err '40 tokens in * s: * tokens/s' -- generate --model run --prompt 'The run' --tokens 40 --temperature 0
text_of a --temperature 0
stop=$(tail -c +18 a | head -c 3)
text_of b --temperature 0 --stop 'never to be found' --stop "$stop"
[ "$(cat b)" = "$(cat a | awk -v RS='\001' -v stop="$stop" '{
    at = index(substr($0, 8), stop); printf "%s", substr($0, 1, 6 + at) }')" ] ||
    complain "--stop '$stop' of '$(cat a)' gave '$(cat b)'"
expect 2 'llmrun: --stop is empty*' -- generate --model run --prompt x --stop ''

# A signal ends the text after the token at hand, and that is no failure.
"$llmrun" generate --model run --prompt 'The run' --tokens 100000000 >long 2>err &
for try in $(seq 500); do
    [ "$(wc -c <long)" -gt 50 ] && break
    sleep 0.01
done
kill -INT $!
wait $! || complain "generate ended with $? after a signal: $(cat err)"
[ "$(tail -c 1 long | od -An -tx1)" = ' 0a' ] || complain 'the text of a stopped generate has no last line'

# A tokenizer of files travels with the checkpoint.
cp -r "$tests/golden/tokenizer_tiny" tokens
train pairs --steps 3 --data.tokenizer tokens
wants 0
rm -r tokens
expect 0 out 'The run*' -- generate --model pairs --prompt 'The run' --tokens 5
expect 0 out '*step 3 on valid.txt*' -- eval --model pairs --data valid.txt

# A LLaMA has tables that the host writes: after initial weights, after loading, and after going on.
llama='--model.preset llama-tiny --data.seq_len 32 --data.valid valid.txt --train.eval_tokens 0 --optim.lr 0.003'
# shellcheck disable=SC2086 # words
train llama --steps 12 $llama
wants 0
# shellcheck disable=SC2086
train llama.halves --steps 6 $llama
wants 0
# shellcheck disable=SC2086
train llama.halves --steps 12 $llama
wants 0
same_run 'a LLaMA trained at once and in halves' llama llama.halves 12
"$helpers/json_fields" event loss tokens <llama/metrics.jsonl | sed -n 's/^eval //p' >of.train
expect 0 out '{*}' -- eval --model llama --data valid.txt --json
"$helpers/json_fields" loss tokens <out >of.command
same 'loss and tokens of train and eval of a LLaMA' of.train of.command
"$llmrun" generate --model llama --prompt 'The run' --tokens 40 --temperature 0 >a
"$llmrun" generate --model llama --prompt 'The run' --tokens 40 --temperature 0 --backend cpu-ref >b
same 'the most probable text of a LLaMA on cpu and cpu-ref' a b

# What cannot be done is said in a sentence.
expect 2 'llmrun: eval needs --model M*' -- eval --data valid.txt
expect 3 'llmrun: *nowhere*' -- eval --model nowhere --data valid.txt
expect 3 'llmrun: *nothing.txt*' -- eval --model run --data nothing.txt
expect 3 'llmrun: *nowhere*' -- generate --model nowhere --prompt x
expect 2 'llmrun: *prompt*empty*' -- generate --model run --prompt ''
expect 2 'llmrun: --temperature is -1; *' -- generate --model run --prompt x --temperature=-1
expect 2 'llmrun: --top-p is 0; *' -- generate --model run --prompt x --top-p 0
expect 3 'llmrun: *tensor wte.weight is *the model wants*' -- \
    eval --model run --data valid.txt --model.overrides.n_embd 64
mkdir empty
expect 3 'llmrun: empty*' -- eval --model empty --data valid.txt
finish
