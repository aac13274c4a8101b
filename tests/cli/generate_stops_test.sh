# Where generation stops by the files of a Hugging Face directory, and in checkpoints and exports of it. The tokens are
# those of transformers' generate (tests/golden/make_huggingface.py).
. "$(dirname "$0")/training.sh"

models=$tests/golden/huggingface
greedy=$(sed -n 's/^llama_fp32 //p' "$models/greedy.txt")
tokens() {
    echo "$greedy" | cut -d ' ' -f "$1"
}
# ends_after COUNT MODEL FLAG...: the text is "The" and so many tokens of one byte each. Those from 128 are no part of a
# character here, and shown as U+FFFD.
ends_after() {
    {
        printf 'The'
        for token in $(tokens "1-$1"); do
            if [ "$token" -lt 128 ]; then printf "\\$(printf '%03o' "$token")"; else printf '\357\277\275'; fi
        done
        echo
    } >wanted
    shift
    "$llmrun" generate --prompt The --tokens 12 --temperature 0 --model "$@" >found 2>err ||
        complain "generate --model $*: $(cat err)"
    cmp -s wanted found || complain "generate --model $*: $(od -c found), wanted $(od -c wanted)"
}
# files GENERATION CONFIG: what base names as eos_token_id in the two files; '' for a file or a field that is not there.
files() {
    rm -rf base
    cp -r "$models/llama_fp32" base
    rm base/generation_config.json
    [ -z "$1" ] || echo "$1" >base/generation_config.json
    sed -i '/"eos_token_id"/d' base/config.json
    [ -z "$2" ] || sed -i "s/\"head_dim\"/\"eos_token_id\": $2, \"head_dim\"/" base/config.json
}
fourth=$(tokens 4) second=$(tokens 2)
files '' ''
ends_after 12 base --tokenizer bytes
files '{"eos_token_id": 2}' ''
ends_after 12 base --tokenizer bytes
files "{\"eos_token_id\": $fourth}" 2
ends_after 3 base --tokenizer bytes
files "{\"eos_token_id\": [2, $fourth]}" "$second"
ends_after 3 base --tokenizer bytes
files '' "[2, $second]"
ends_after 1 base --tokenizer bytes
files '{"top_p": 0.5}' "$fourth"
ends_after 3 base --tokenizer bytes

# They travel: through import, export and training, in which nothing is learned here.
files "{\"eos_token_id\": [$fourth, 258], \"top_p\": 0.5}" "$second"
expect 0 out '*' -- checkpoint import base base.ckpt
ends_after 3 base.ckpt --tokenizer bytes
expect 0 out '*' -- checkpoint export base.ckpt base.hf
cmp -s base/generation_config.json base.hf/generation_config.json || complain 'generation_config.json was not exported'
ends_after 3 base.hf --tokenizer bytes
train tuned --steps 1 --model.path base --model.init weights --data.tokenizer bytes --optim.lr 0
wants 0
ends_after 3 tuned

# In a model of that shape with another vocabulary these numbers are other tokens, or none.
train shape --steps 1 --model.path base --data.tokenizer bytes
wants 0
expect 0 out 'The*' -- generate --model shape --prompt The --tokens 3
expect 0 out '*' -- checkpoint export shape shape.hf
[ ! -e shape.hf/generation_config.json ] || complain 'ids of another vocabulary were exported'
grep -q '"eos_token_id": 0' shape.hf/config.json || complain "config.json of another vocabulary: $(grep eos shape.hf/config.json)"
expect 0 out 'The*' -- generate --model shape.hf --tokenizer bytes --prompt The --tokens 3

# With the tokenizer of the same directory the ids are the model's, whatever its weights: where all of them end a text
# there is none. Also when the directory is gone, and not with another tokenizer.
train maker --steps 1 --data.tokenizer "$tests/golden/tokenizer_tiny"
wants 0
expect 0 out '*' -- checkpoint export maker own.hf
vocabulary=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' own.hf/config.json)
echo "{\"eos_token_id\": [$(seq -s , 0 $((vocabulary - 1)))]}" >own.hf/generation_config.json
train own --steps 1 --model.path own.hf
wants 0
train byted --steps 1 --model.path own.hf --data.tokenizer bytes
wants 0
expect 0 out 'The' -- generate --model own --prompt The --tokens 3 --temperature 0
expect 0 out 'The?*' -- generate --model byted --prompt The --tokens 3 --temperature 0
expect 0 out '*' -- checkpoint export own own.again
[ -e own.again/generation_config.json ] || complain 'generation_config.json of the same tokenizer was not exported'
mv own.hf elsewhere
expect 0 out 'The' -- generate --model own --prompt The --tokens 3 --temperature 0
expect 0 out 'The?*' -- generate --model byted --prompt The --tokens 3 --temperature 0

# Ids that no token of the model has never come.
files '{"eos_token_id": [259, -1]}' 259
expect 0 out 'The*' -- generate --model base --tokenizer bytes --prompt The --tokens 3
files '' 259
expect 0 out 'The*' -- generate --model base --tokenizer bytes --prompt The --tokens 3

# What is no id, or no JSON, is refused where it would be used.
refused() {
    files "$1" 2
    expect 3 "llmrun: base/generation_config.json: $2" -- generate --model base --tokenizer bytes --prompt The
    expect 0 out '*' -- eval --model base --tokenizer bytes --data text.txt
}
ulimit -v 600000
refused '{"eos_token_id": "2"}' "'eos_token_id' has the wrong type; *"
refused '{"eos_token_id": 2' 'not valid JSON*'
refused "$(awk 'BEGIN { for (i = 0; i < 10000; i++) printf "{\"a\":" }')" 'JSON nested deeper than 64*'
files '' '"2"'
expect 3 "llmrun: base/config.json: 'eos_token_id' has the wrong type*" -- generate --model base --tokenizer bytes --prompt The
finish
