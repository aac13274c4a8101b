# A context of 131,072 costs a short text nothing: no memory and no time for places that it does not fill.
. "$(dirname "$0")/training.sh"

head -c 800 text.txt >short.txt
long='--model.preset llama-tiny --model.overrides.num_hidden_layers 2 --model.overrides.max_position_embeddings 131072'
ulimit -v 900000
# shellcheck disable=SC2086 # words
train long --steps 2 $long --data.train short.txt --data.valid short.txt
wants 0
bytes=$(sed -n 's/.*"event":"step".*"mem_bytes":\([0-9]*\).*/\1/p' long/metrics.jsonl | tail -n 1)
[ "$bytes" -lt 100000000 ] || complain "training on 800 bytes takes $bytes bytes"
# The same windows in a model whose context is just long enough: the same losses, evaluations and texts, to the bit.
# shellcheck disable=SC2086
train just --steps 2 $long --data.train short.txt --data.valid short.txt --data.seq_len 800
wants 0
bits long >bits.long
bits just >bits.just
same 'losses with a long context and with one that just suffices' bits.long bits.just
for model in long just; do
    expect 0 out '{*}' -- eval --model $model --data short.txt --json
    "$helpers/json_fields" loss tokens <out >of.$model
    expect 0 out 'The run*' -- generate --model $model --prompt 'The run' --tokens 40 --temperature 0
    cp out text.$model
done
same 'eval with a long context and with one that just suffices' of.long of.just
same 'texts with a long context and with one that just suffices' text.long text.just
"$helpers/json_fields" event loss tokens <long/metrics.jsonl | sed -n 's/^eval //p' | tail -n 1 >of.train
same 'loss and tokens of train and eval' of.train of.long

# Windows of one document each are as long as the longest of them.
printf '{"text": "one two three four"}\n{"text": "five"}\n' >lines.jsonl
expect 0 out '{*"tokens":22,*}' -- eval --model long --data lines.jsonl --data.pack false --json

# Short ones share rows with each other beside a long one, and each has the loss that it has without: by the mean of all.
"$llmrun" config keys | head -c 3000 | tr -d '"\\' | awk '{ all = all $0 " " } END { print "{\"text\": \"" all "\"}" }' >one.jsonl
cat lines.jsonl one.jsonl lines.jsonl >all.jsonl
for lines in lines one all; do
    expect 0 out '{*}' -- eval --model long --data $lines.jsonl --data.pack false --json
    "$helpers/json_fields" loss tokens <out
done >of.lines
awk '{ loss[NR] = $1; tokens[NR] = $2; sum[NR] = $1 * $2 } END {
    wanted = 2 * sum[1] + sum[2]
    exit !(tokens[3] == 2 * tokens[1] + tokens[2] && (sum[3] - wanted) ^ 2 < (1e-7 * wanted) ^ 2) }' of.lines ||
    complain "documents that share rows: $(cat of.lines)"
finish
