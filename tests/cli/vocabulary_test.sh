# A tokenizer with more tokens than the model has rows, and one with fewer.
. "$(dirname "$0")/training.sh"

tokenizers=$(dirname "$0")/../golden/tokenizers

# Token 355 of the tokenizer is a syllable in three characters: a model without its row trains, is evaluated and
# generates while no text has it.
syllable=$(printf '\341\204\200\341\205\241\341\206\250')
small="--data.tokenizer $tokenizers/gpt2 --model.overrides.vocab_size 355 --data.seq_len 16"
printf 'a %s\n' "$syllable" >hangul.txt
train run --steps 2 $small
wants 0
expect 0 out '{*}' -- eval --model run --data text.txt --json
expect 0 out 'The run*' -- generate --model run --prompt 'The run' --tokens 8
train other --steps 1 $small --data.train hangul.txt
wants 3 "llmrun: hangul.txt: document 1: token 3 of the document is 355, outside the model's vocabulary of 355*"
expect 3 "llmrun: hangul.txt: document 1: token 3 of the document is 355, outside the model's vocabulary of 355*" \
    -- eval --model run --data hangul.txt
expect 3 "llmrun: token 3 of the prompt is 355, outside the model's vocabulary of 355" -- generate --model run --prompt "a $syllable"

# The same bits as with a row for each token: the logits of rows that no text has are part of no loss here.
expect 0 out '*' -- checkpoint export run run.hf
cp -r run.hf more.hf
sed 's/}],"normalizer"/},{"id":356,"content":"[PAD]","special":true}],"normalizer"/' \
    run.hf/tokenizer.json >more.hf/tokenizer.json
grep -q PAD more.hf/tokenizer.json || complain 'no token was added'
"$llmrun" eval --model run.hf --data text.txt --json | sed 's/"model":"[^"]*"//' >with
"$llmrun" eval --model more.hf --data text.txt --json | sed 's/"model":"[^"]*"//' >without
same 'the loss with a token more in the tokenizer' with without

# Rows behind the tokenizer's last token are never picked, and a text goes on to its end.
yes 'a text that stays as it is' | head -n 200 >fixed.txt # what is drawn below follows from it
train wide --steps 1 --model.overrides.vocab_size 400 --data.train fixed.txt
wants 0
for temperature in 0 2; do
    expect 0 err '40 tokens in*' -- generate --model wide --prompt hello --tokens 40 --temperature $temperature --seed 4
done
finish
