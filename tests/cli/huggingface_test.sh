# Hugging Face directories: evaluated, trained from, imported, exported, and refused where they are not what they say.
. "$(dirname "$0")/training.sh"

models=$tests/golden/huggingface
loss_of() {
    "$llmrun" eval --tokenizer bytes --data "$models/text.txt" --json --model "$@" >out 2>err ||
        complain "eval $*: $(cat err)"
    "$helpers/json_fields" loss <out
}

# transformers' loss of each model, of the directory and of what is imported from it.
for model in gpt2_fp32_shards gpt2_bf16 gpt2_fp16 llama_fp32 llama_bf16_tied_shards gpt2_own_head llama_own_head_shards; do
    wanted=$(sed -n "s/^$model //p" "$models/losses.txt")
    found=$(loss_of "$models/$model")
    awk -v a="$wanted" -v b="$found" 'BEGIN { d = (a - b) / a; exit !(d < 1e-5 && d > -1e-5) }' ||
        complain "$model has the loss $found, transformers says $wanted"
    expect 0 out "$model.ckpt: a checkpoint of * parameters" -- checkpoint import "$models/$model" $model.ckpt
    expect 0 out '*every byte*' -- checkpoint verify $model.ckpt
    manifest=$(tr -d ' \n' <$model.ckpt/manifest.json)
    case $manifest in # nothing was trained yet
    *'"step":0,'*'"tokens":0'[,}]*) ;;
    *) complain "$model is imported with the state $(printf %s "$manifest" | head -c 600)" ;;
    esac
    [ "$(loss_of $model.ckpt)" = "$found" ] || complain "$model has another loss after import"
    expect 0 out "$model.back: * tensors, * in 1 file" -- checkpoint export $model.ckpt $model.back
    [ "$(loss_of $model.back)" = "$found" ] || complain "$model has another loss after import and export"
    cmp -s "$models/$model/generation_config.json" $model.back/generation_config.json ||
        complain "$model: generation_config.json was not copied"
done

# A head that differs from the embedding though config.json ties them: transformers' choice, said, in whatever reads it.
for model in gpt2_own_head llama_own_head_shards; do
    said="*$model: lm_head.weight differs from the token embedding, though config.json ties them*"
    expect 0 err "$said" -- eval --model "$models/$model" --data "$models/text.txt" --tokenizer bytes
    expect 0 err '' -- eval --model $model.ckpt --data "$models/text.txt" --tokenizer bytes
    expect 0 err '' -- eval --model $model.back --data "$models/text.txt" --tokenizer bytes
    expect 0 err "$said" -- checkpoint import "$models/$model" $model.again
    grep -q '"tie_word_embeddings": false' $model.back/config.json || complain "$model is exported as a tied model"
    set -- --data.train "$models/text.txt" --data.tokenizer bytes --model.path "$models/$model" \
        --train.global_batch 2 --optim.lr 0
    expect 0 err "$said" -- train "$@" --run.dir $model.run --model.init weights --steps 1
    expect 3 '*: tensor lm_head.weight is not of the model that *model.overrides*' -- eval --model $model.ckpt \
        --data "$models/text.txt" --tokenizer bytes --model.overrides.tie_word_embeddings true
    [ "$(loss_of $model.run)" = "$(loss_of "$models/$model")" ] || complain "$model has another loss in training"
    expect 0 err '*resuming from*' -- train "$@" --run.dir $model.run --model.init weights --steps 2
    expect 3 "*lm_head.weight differs from the token embedding, and tie_word_embeddings is true; *" -- train "$@" \
        --run.dir none --model.init weights --model.overrides.tie_word_embeddings true
    expect 0 out '*overrides: {tie_word_embeddings: false} *# model.path*' -- config show --model.path "$models/$model" \
        --model.init weights
    case $model in # by hand: two matrices of 259 x 16 outside of the layers
    gpt2*) count=15392 ;;
    *) count=12208 ;;
    esac
    expect 0 out "model *$count parameters*" -- plan --model.path "$models/$model" --model.init weights
    expect 0 out '*overrides: {} *' -- config show --model.path "$models/$model"
done
greedy_of() {
    "$llmrun" generate --model "$1" --tokenizer bytes --prompt The --tokens 12 --temperature 0 2>err | tail -c +4 |
        od -An -v -tu1 | tr -s ' \n' ' '
}
# Bytes of tokens that are no UTF-8 are not printed as they are: only the beginning can be compared.
case $(greedy_of "$models/gpt2_own_head") in
' 98 68 '*) ;;
*) complain "gpt2_own_head goes on with $(greedy_of "$models/gpt2_own_head"), transformers with 98 68" ;;
esac

# Weights that are gone or others by now do not change a run that began with a head of its own.
cp -r "$models/llama_own_head_shards" turned
set -- --data.train "$models/text.txt" --data.tokenizer bytes --model.path turned --train.global_batch 2 \
    --model.init weights --run.dir turned.run
expect 0 err '*' -- train "$@" --steps 1
rm turned/*.safetensors*
expect 0 err '*resuming from*' -- train "$@" --steps 2
rm -r turned
expect 0 err '*resuming from*' -- train "$@" --steps 3
# One that began when such a head was passed over goes on without it.
cp -r "$models/gpt2_own_head" old
set -- --data.train "$models/text.txt" --data.tokenizer bytes --model.path old --train.global_batch 2 --run.dir old.run \
    --model.overrides.vocab_size 259
expect 0 err '*' -- train "$@" --steps 1
expect 0 err '*resuming from*' -- train "$@" --model.init weights --steps 2

ls | grep partial && complain 'a folder of an unfinished import or export is left'

# Training goes on from stored weights; what it saves needs the directory no more.
cp -r "$models/gpt2_bf16" base
cp "$tests"/golden/tokenizer_tiny/* base
cp "$models/text.txt" text.txt
"$llmrun" train --data.train text.txt --run.dir tuned --model.path base --model.init weights --data.tokenizer bytes \
    --train.global_batch 2 --steps 3 >out 2>err || complain "training from base: $(cat err)"
"$helpers/json_fields" event loss <tuned/metrics.jsonl | sed -n '/^step /{s///p;q;}' >first
awk '{ exit !($1 > 5.5 && $1 < 5.65) }' first || complain "the first loss from stored weights is $(cat first)"
"$llmrun" train --data.train text.txt --run.dir again --model.path base --data.tokenizer bytes --train.global_batch 2 \
    --steps 1 >out 2>err || complain "training the shape of base: $(cat err)"
expect 0 out '*' -- train --data.train text.txt --run.dir tuned --model.path base --model.init weights \
    --data.tokenizer bytes --train.global_batch 2 --steps 4
expect 0 err '*gpt2_fp16 holds no tokenizer: texts are read as bytes*' -- train --data.train text.txt --run.dir plain \
    --model.path "$models/gpt2_fp16" --train.global_batch 2 --steps 1
expect 0 out '*tokenizer: *base*' -- config show --model.path base
sed -i 's/"n_inner"/ "n_inner"/' base/config.json
expect 2 'llmrun: model.path: its config.json is not the one*' -- train --data.train text.txt --run.dir tuned \
    --model.path base --model.init weights --data.tokenizer bytes --train.global_batch 2 --steps 5
rm -r base
expect 0 out '*step 4 on text.txt*' -- eval --model tuned --data text.txt
expect 0 out '*' -- checkpoint export tuned tuned.back
[ -n "$(loss_of tuned.back)" ] || complain 'the export of a trained model has no loss'

# A model with its tokenizer, from a preset: both come along.
cp -r "$tests/golden/tokenizer_tiny" tokens
train pairs --steps 1 --data.tokenizer tokens
wants 0
expect 0 out '*' -- checkpoint export pairs pairs.hf --dtype bf16
cmp -s tokens/vocab.json pairs.hf/vocab.json && cmp -s tokens/merges.txt pairs.hf/merges.txt ||
    complain 'the tokenizer was not exported'
expect 0 out '*pairs.hf at step 0*' -- eval --model pairs.hf --data text.txt
expect 0 out 'The run*' -- generate --model pairs.hf --prompt 'The run' --tokens 3

# Words that do not fit.
mkdir full
touch full/file
expect 2 'llmrun: full is there already and is not empty*' -- checkpoint import "$models/gpt2_bf16" full
expect 2 'llmrun: full is there already and is not empty*' -- checkpoint export gpt2_bf16.ckpt full
expect 2 "llmrun: --dtype is 'fp8'; *" -- checkpoint export gpt2_bf16.ckpt new --dtype fp8
expect 2 "llmrun: --shard-size is 'much'*" -- checkpoint export gpt2_bf16.ckpt new --shard-size much
expect 2 'llmrun: *needs*' -- checkpoint export gpt2_bf16.ckpt
expect 2 '*holds no tokenizer; name one with --tokenizer' -- eval --model "$models/gpt2_bf16" --data text.txt
expect 2 '*model.init is weights and model.path is empty*' -- train --model.init weights
expect 3 'llmrun: nowhere/config.json*' -- checkpoint import nowhere new
expect 3 'llmrun: nowhere/config.json*' -- plan --model.path nowhere
expect 3 '*tensor*asks for*' -- train --data.train text.txt --model.path "$models/gpt2_bf16" --model.init weights \
    --data.tokenizer bytes --model.overrides.n_positions 64

# Dropout is that of config.json where its fields agree, in training alone; whoever sets it wins.
cp -r "$models/gpt2_fp16" drops
pdrop() {
    sed "s/\"attn_pdrop\": 0/\"attn_pdrop\": $1/; s/\"embd_pdrop\": 0/\"embd_pdrop\": $2/
        s/\"resid_pdrop\": 0/\"resid_pdrop\": $3/" "$models/gpt2_fp16/config.json" >drops/config.json
}
pdrop 0.1 0.1 0.1
set -- --data.train text.txt --data.tokenizer bytes --model.path drops --train.global_batch 2
expect 0 out '*dropout: 0.1 *# model.path*' -- config show "$@"
expect 0 out '*dropout: 0.0 *# --model.dropout*' -- config show "$@" --model.dropout 0
expect 0 out '*"embedding.drop"*' -- plan --model.path drops --train.global_batch 2 --dump step
"$llmrun" plan --model.path drops --train.global_batch 2 --model.dropout 0 --dump step | grep -q '"embedding.drop"' && complain 'model.dropout 0 drops'
[ "$(loss_of drops)" = "$(loss_of "$models/gpt2_fp16")" ] || complain 'eval drops'
expect 0 err '*model.dropout is 0.1, as in config.json of drops*' -- train "$@" --run.dir drops.run --steps 1
expect 0 err '*the first weights are random: of model.path drops only the shape is taken*' -- train "$@" \
    --run.dir shape.run --model.dropout 0 --steps 1
grep -q 'model.dropout is' err && complain 'model.dropout is said though it was set'
# A run that began without goes on without; one that began with it goes on with it when the directory is gone.
expect 0 err '*resuming from*' -- train "$@" --run.dir shape.run --steps 2
grep -q 'weights are random' err && complain 'a resumed run says that its first weights are random'
grep -q 'dropout: 0.0' shape.run/config.resolved.yaml || complain 'dropout came in at a resume'
expect 2 '*model.dropout is 0.2, but the run to resume has 0.1*' -- train "$@" --run.dir drops.run --steps 2 \
    --model.dropout 0.2
mv drops elsewhere
expect 0 err '*resuming from*' -- train "$@" --run.dir drops.run --steps 2
grep -q 'dropout: 0.1' drops.run/config.resolved.yaml || complain 'dropout was lost at a resume'
mv elsewhere drops
pdrop 0 0.1 0.1
expect 0 err '*config.json of drops has attn_pdrop 0, embd_pdrop 0.1, resid_pdrop 0.1; model.dropout is one for all*' -- \
    train "$@" --run.dir mixed.run --model.init weights --data.tokenizer bytes --steps 1
grep -q 'weights are random' err && complain 'stored weights are called random'
expect 0 out '*dropout: 0.0 *# default*' -- config show "$@"
pdrop 0.1 '"x"' 0.1
expect 3 'llmrun: drops/config.json: embd_pdrop is not a number from 0 to below 1; *' -- train "$@" --run.dir none \
    --model.init weights --steps 1
[ ! -e none ] || complain 'a refused run left a folder'
expect 0 err '*' -- train "$@" --run.dir set.run --steps 1 --model.dropout 0.3

# A field that is not known is passed over where that is asked for; a checkpoint remembers that it was.
cp -r "$models/llama_fp32" other
sed -i 's/"hidden_act"/"my_note": [1], "hidden_act"/' other/config.json
expect 3 "*the field 'my_note' is not known for LLaMA*model.ignore '\[my_note\]' passes over it" -- eval --model other \
    --data text.txt --tokenizer bytes
[ "$(loss_of other --model.ignore my_note)" = "$(loss_of "$models/llama_fp32")" ] || complain 'my_note is not ignored'
expect 2 "*model.ignore names 'my_nose', and other/config.json has no such field" -- eval --model other \
    --data text.txt --tokenizer bytes --model.ignore '[my_note, my_nose]'
expect 0 out 'other.ckpt: a checkpoint of *' -- checkpoint import other other.ckpt --model.ignore my_note
expect 0 out '*' -- eval --model other.ckpt --data text.txt --tokenizer bytes
expect 2 '*checkpoint import does not use train.steps*' -- checkpoint import other other.ckpt2 --train.steps 3
set -- --data.train text.txt --data.tokenizer bytes --model.path other --train.global_batch 2 --run.dir other.run
expect 0 err '*' -- train "$@" --model.init weights --model.ignore my_note --steps 1
expect 0 out '*at step 1 on text.txt*' -- eval --model other.run --data text.txt
expect 0 out '*' -- checkpoint export other.run other.back
grep -q my_note other.back/config.json || complain 'my_note is lost in an export'

# A shape that is too large says which numbers to change.
claims() {
    mkdir -p large
    sed "s/\"$1\": [0-9]*/\"$1\": $2/" "$models/gpt2_fp16/config.json" >large/config.json
    expect "$3" "$4" -- train --data.train text.txt --data.tokenizer bytes --model.path large --run.dir large.run --steps 1
}
claims n_positions 100000000 8 '*asked for*(n_layer 2, n_embd 16); *train.micro_batch * with parallel.recompute * needs *'
claims n_embd 1048576 8 '*asked for*26388610416640 parameters (n_layer 2, n_embd 1048576)*parallel.recompute full*'
sed 's/"n_positions": [0-9]*/"n_positions": 1073741824/' "$models/gpt2_fp16/config.json" >large/config.json
expect 2 'llmrun: train.micro_batch is 16 and data.seq_len 1073741824 (not set: the n_positions of the model); at most *' -- \
    plan --model.path large
claims n_layer 10000 3 'llmrun: large/config.json: model: n_layer is 10000; at most 1000 layers can be built'
[ ! -e large.run ] || complain 'a run that is too large left a folder'

# What is said beside the result goes by log.level.
{ cat "$models/text.txt" && printf ' \377 \n'; } >odd_byte.txt
expect 0 err '*warning: *odd_byte.txt*' -- eval --model "$models/gpt2_fp16" --tokenizer bytes --data odd_byte.txt
expect 0 err '' -- eval --model "$models/gpt2_fp16" --tokenizer bytes --data odd_byte.txt --log.level error

# An import reads what it copies: nothing broken becomes a file with a checksum.
ruin() {
    rm -rf ruined
    cp -r "$models/gpt2_fp16" ruined
    cp "$tests"/golden/tokenizer_tiny/* ruined
    cat >"ruined/$1"
    expect 3 "$2" -- checkpoint import ruined ruined.ckpt
    ls | grep '^ruined\.' && complain "the import with a broken $1 left something"
    return 0
}
for file in tokenizer.json tokenizer_config.json special_tokens_map.json added_tokens.json generation_config.json \
    vocab.json; do
    printf '{"a": [1, 2' | ruin $file "llmrun: *ruined/$file: *"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 9876\n' 7 |
        ruin $file "llmrun: ruined/$file is a Git LFS pointer*"
done
printf '' | ruin tokenizer_config.json 'llmrun: ruined/tokenizer_config.json is empty'
printf '' | ruin tokenizer.model 'llmrun: ruined/tokenizer.model is empty'
printf 'a\377b\n' | ruin chat_template.jinja 'llmrun: ruined/chat_template.jinja is not UTF-8'
printf '#version: 0.2\na\n' | ruin merges.txt 'llmrun: ruined/merges.txt:2*'
printf '{"eos_token_id": "x"}' | ruin generation_config.json 'llmrun: ruined/generation_config.json*'
head -c 9000 "$models/gpt2_fp16/model.safetensors" | ruin model.safetensors 'llmrun: ruined/model.safetensors*'
for file in tokenizer.json generation_config.json model.safetensors; do
    rm -rf ruined
    cp -r "$models/gpt2_fp16" ruined
    ln -sf nowhere ruined/$file
    expect 3 "llmrun: *ruined/$file: it is a symbolic link to a file that is not there" -- checkpoint import ruined ruined.ckpt
done
# A byte-order mark before JSON, as Notepad writes it, is no part of it.
rm -rf ruined
cp -r "$models/gpt2_fp16" ruined
cp "$tests"/golden/tokenizer_tiny/* ruined
printf '\357\273\277{"model_max_length": 32}\n' >ruined/tokenizer_config.json
expect 0 out 'ruined.ckpt: a checkpoint of *' -- checkpoint import ruined ruined.ckpt
rm -rf ruined ruined.ckpt
cp -r "$models/gpt2_fp16" ruined
echo '{"version": "1.0", "model": {"type": "Unigram", "vocab": []}}' >ruined/tokenizer.json
echo '{"model_max_length": 1000000000000000019884624838656}' >ruined/tokenizer_config.json
expect 0 err "warning: the tokenizer comes along, and eval and generate will need --tokenizer: *Unigram*" -- \
    checkpoint import ruined ruined.ckpt

# Hostile directories: exit 3 and a sentence, in an address space that has no room for what they claim.
ulimit -v 400000
hostile() {
    refusal=$1
    expect 3 "llmrun: $refusal" -- checkpoint import bad new
    expect 3 "llmrun: $refusal" -- eval --model bad --data text.txt --tokenizer bytes
    rm -rf bad
    cp -r "$models/gpt2_fp16" bad
}
cp -r "$models/gpt2_fp16" bad
head -c 9000 "$models/gpt2_fp16/model.safetensors" >bad/model.safetensors
hostile '*the file*'
printf '\377\377\377\377\377\377\377\177' | dd of=bad/model.safetensors conv=notrunc 2>dd
hostile '*the header claims*'
echo >>bad/model.safetensors
hostile '*the file has*'
sed -i 's/"vocab_size": 259/"vocab_size": 1000000000/' bad/config.json
hostile '*asks for *1000000000*'
sed -i 's/"n_layer": 2/"n_layer": 1000/' bad/config.json
hostile '*says 1000 layers*'
sed -i 's/"n_embd": 16/"n_embd": 1000000000/' bad/config.json
hostile '*'
sed -i 's/"n_layer": 2/"n_layer": 2, "n_layer": 2/' bad/config.json
hostile '*not valid JSON*'
sed -i 's/"n_layer": 2/"n_layer": 2, "experts": 8/' bad/config.json
hostile "*the field 'experts' is not known for GPT-2*"
sed -i 's/"n_layer": 2/"n_layer": 1099511627776/' bad/config.json
hostile "*config.json: n_layer is '1099511627776'*"
sed -i 's/"n_layer": 2/"n_layer": "2"/' bad/config.json
hostile "*config.json: n_layer is '2', a string*"
sed -i 's/"n_layer": 2/"n_layer": 2, "a\\n\\u001b[2J": 1/' bad/config.json
hostile "*the field 'a??\[2J' is not known for GPT-2*"
pointer() {
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 9876\n' 7 >"bad/$1"
    hostile "bad/$1 is a Git LFS pointer*9876 bytes*git lfs pull*"
}
pointer model.safetensors
pointer config.json
rm bad/model.safetensors
pointer model.safetensors.index.json
rm bad/config.json
mkfifo bad/config.json
hostile '*config.json: it is a pipe*'
rm bad/model.safetensors
mkfifo bad/model.safetensors
hostile '*model.safetensors: it is a pipe*'
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "{\"a\":" }' >bad/config.json
hostile '*nested deeper than 64*'
rm bad/model.safetensors
echo '{"weight_map":{"transformer.wte.weight":"../gpt2_bf16.back/model.safetensors"}}' >bad/model.safetensors.index.json
hostile '*a plain name*'
[ ! -e new ] || complain 'a refused import left a folder'
finish
