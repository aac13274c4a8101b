# A run trained with a tokenizer.json, which then generates without the folder; files that are refused.
. "$(dirname "$0")/training.sh"

tokenizers=$(dirname "$0")/../golden/tokenizers
cp -r "$tokenizers/llama3" mine
printf '{"eos_token": {"content": "<right>"}, "model_max_length": 1000000000000000019884624838656}' >mine/tokenizer_config.json
train run --steps 4 --data.tokenizer mine --data.seq_len 16
wants 0
train run --steps 6 --data.tokenizer mine --data.seq_len 16
wants 0

# Another end of text is another tokenizer.
printf '{"eos_token": "<left>"}' >mine/tokenizer_config.json
train run --steps 8 --data.tokenizer mine --data.seq_len 16
wants 2 '*data.tokenizer: tokenizer holds other contents*'

# Its class is named in what is exported: transformers would take GPT-2's split by the model_type of config.json.
rm -r mine
expect 0 out '{*}' -- eval --model run --data text.txt --json
"$helpers/json_fields" tokens loss <out >of.run
expect 0 out 'exported: *' -- checkpoint export run exported
expect 0 out '{*}' -- eval --model exported --data text.txt --data.seq_len 16 --json
"$helpers/json_fields" tokens loss <out >of.export
same 'eval of a run and of its export' of.run of.export
grep -q '"tokenizer_class": "PreTrainedTokenizerFast"' exported/tokenizer_config.json &&
    grep -q '"content": "<right>"' exported/tokenizer_config.json || complain "$(cat exported/tokenizer_config.json)"
expect 0 out 'The run*' -- generate --model run --prompt 'The run' --tokens 8 --seed 1
expect 0 out '{*}' -- eval --model run --data text.txt --json

# The template's token is enough to go on from; without such a token a prompt is needed.
expect 0 out '*' -- generate --model run --prompt '' --tokens 8 --seed 1
train plain --steps 1 --data.seq_len 16
wants 0
expect 2 '*--prompt is empty, and the tokenizer has no token that begins a text*' -- generate --model plain --prompt ''

# What a model has learned by heart it knows in a prompt: special tokens are the same in both. `text` makes characters.
printf '{"prompt": "<|begin|>on<both>", "answer": "in<ab"}\n' >chat.jsonl
chat() {
    run=$1
    shift
    train "$run" --data.train chat.jsonl --data.tokenizer "$tokenizers/gpt2" --data.pack false "$@"
    wants 0
}
chat tuned --steps 60 --data.seq_len 16 --optim.lr 1e-2 --optim.weight_decay 0 --data.mask prompt
expect 0 out '<|begin|>on<both>in<ab' -- generate --model tuned --prompt '<|begin|>on<both>' --temperature 0 --tokens 8
chat characters --steps 1 --data.special text
case $(cat out) in *'data     20 training tokens'*) ;; *) complain "data.special text: $(cat out)" ;; esac
train characters --steps 2 --data.train chat.jsonl --data.tokenizer "$tokenizers/gpt2" --data.pack false --data.special find
wants 2 '*data.special is find, but the run to resume has text*'

# Files beside the vocabulary travel too: a token that one of them adds is one in the run, in what goes on, in its texts.
cp -r "$tokenizers/../tokenizer_tiny" side
printf '{"<|user|>": 800}' >side/added_tokens.json
printf '{"model_type": "gpt2"}' >side/config.json
printf '<|user|>one<|user|>two' >user.txt
train beside --steps 1 --data.train user.txt --data.tokenizer side --data.seq_len 16
wants 0
case $(cat out) in *'vocabulary 801'*) ;; *) complain "added_tokens.json: $(cat out)" ;; esac
tokens=$(sed -n 's/^data *\([0-9]*\) training.*/\1/p' out)
rm -r side
train beside --steps 2 --data.train user.txt --data.tokenizer side --data.seq_len 16
wants 0
expect 0 out "*\"tokens\":$((tokens - 1)),*" -- eval --model beside --data user.txt --json
expect 0 out '<|user|>one*' -- generate --model beside --prompt '<|user|>one' --tokens 4

# What is malformed ends with 3 and names the file.
mkdir broken
refused() {
    rm -rf bad
    train bad --steps 1 --data.tokenizer broken --data.seq_len 16
    wants 3 "*broken/tokenizer.json: $1*"
}
head -c 3000 "$tokenizers/qwen2/tokenizer.json" >broken/tokenizer.json
refused 'not valid JSON at byte'
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "["; }' >broken/tokenizer.json
refused 'JSON nested deeper than 64'
sed 's/"NFC"/"NFKC"/' "$tokenizers/qwen2/tokenizer.json" >broken/tokenizer.json
refused "the normalizer is of type 'NFKC'"
sed 's/\[^\\\\r\\\\n/[^\\\\r/' "$tokenizers/qwen2/tokenizer.json" >broken/tokenizer.json
refused 'Split has the regular expression (?i:'
finish
