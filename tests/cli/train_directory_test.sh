# A run that began from a Hugging Face directory goes on without it, with the bits of one that never stopped.
. "$(dirname "$0")/training.sh"

# A directory with weights and a tokenizer, and a folder with that tokenizer alone.
cp -r "$tests/golden/tokenizer_tiny" tokens
train maker --steps 2 --data.tokenizer tokens
wants 0
expect 0 out '*maker.hf: * tensors*' -- checkpoint export maker maker.hf
refused() {
    train half "$@"
    wants 2 "llmrun: $wanted"
}

# What a checkpoint would keep is read first: a broken file would be found by generate, after the training.
cp -r maker.hf base
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 150\n' >base/generation_config.json
train broken --steps 1 --model.path base --model.init weights
wants 3 'llmrun: base/generation_config.json is a Git LFS pointer*'
echo '{"eos_token_id": 5' >base/generation_config.json
train broken --steps 1 --model.path base --model.init weights
wants 3 'llmrun: base/generation_config.json: *'
[ ! -d broken/ckpt ] || [ -z "$(ls broken/ckpt)" ] || complain 'a run with a broken file left a checkpoint'
rm -r base broken

# directory_goes NAME FLAG...: a run of 5 steps, and one of 3 that goes on without the directories.
directory_goes() {
    name=$1
    shift
    cp -r maker.hf base
    train whole --steps 5 "$@"
    wants 0
    train half --steps 3 "$@"
    wants 0
    sed 's/"n_embd": 32/"n_embd": 64/' maker.hf/config.json >base/config.json
    wanted='model.path: its config.json is not the one that half/ckpt/step_00000003 was made with*'
    refused --steps 5 "$@"
    echo '{' >base/config.json
    refused --steps 5 "$@"
    mv base aside
    mv tokens tokens.aside
    train half --steps 4 "$@"
    wants 0 '*model.path base is gone; its files are taken from half/ckpt/step_00000003*'
    train half --steps 5 "$@"
    wants 0
    same_run "without the directory, $name" whole half 5
    train other --steps 5 --run.resume half/ckpt/step_00000004 "$@"
    wants 0
    weights whole 5 >weights.a
    weights other 5 >weights.b
    same "an explicit checkpoint without the directory, $name" weights.a weights.b
    expect 0 out '*' -- checkpoint export half half.hf
    cmp -s maker.hf/vocab.json half.hf/vocab.json && cmp -s maker.hf/merges.txt half.hf/merges.txt ||
        complain "$name: the tokenizer did not come along"
    mv tokens.aside tokens
    rm -r aside whole half other half.hf
}
directory_goes 'stored weights' --model.path base --model.init weights
directory_goes 'random weights' --model.path base
directory_goes 'a tokenizer of its own' --model.path base --model.init weights --data.tokenizer tokens

# Without its tokenizer's folder a preset goes on too; what is there and has changed is still refused.
train half --steps 3 --data.tokenizer tokens
wants 0
cp tokens/merges.txt merges.txt
sed -i '$d' tokens/merges.txt
wanted='data.tokenizer: tokenizer holds other contents*'
refused --steps 5 --data.tokenizer tokens
mv merges.txt tokens
mv tokens tokens.aside
train half --steps 5 --data.tokenizer tokens
wants 0 '*data.tokenizer tokens is gone; its files are taken from half/ckpt/step_00000003*'
mv tokens.aside tokens
train whole --steps 5 --data.tokenizer tokens
wants 0
same_run 'without the tokenizer' whole half 5

# All of it moved elsewhere: contents count, not names.
mkdir moved
cp -r maker.hf moved/base
cp -r tokens moved/tokens
cp text.txt moved/words.txt
cp -r maker.hf base
train whole2 --steps 5 --model.path base --data.tokenizer tokens
wants 0
train half2 --steps 3 --model.path base --data.tokenizer tokens
wants 0
mv base base.aside
train half2 --steps 4 --model.path moved/base --data.tokenizer moved/tokens --data.train moved/words.txt
wants 0 'resuming from half2*'
train half2 --steps 5 --model.path moved/base/ --data.tokenizer moved/tokens --data.train '[moved/words.txt]'
wants 0 'resuming from half2*'
same_run 'moved' whole2 half2 5
tail -n +2 text.txt >moved/words.txt
train half2 --steps 6 --model.path moved/base --data.tokenizer moved/tokens --data.train moved/words.txt
wants 2 'llmrun: data.train: data holds other contents than when half2/ckpt/step_00000005 was saved; use the same, or start a new run with another run.dir'
sed -i '$d' moved/tokens/merges.txt
train half2 --steps 6 --model.path moved/base --data.tokenizer moved/tokens
wants 2 'llmrun: data.tokenizer: tokenizer holds other contents*'
sed -i 's/"n_embd": 32/"n_embd": 64/' moved/base/config.json
train half2 --steps 6 --model.path moved/base --data.tokenizer tokens
wants 2 'llmrun: model.path: its config.json is not the one that half2/ckpt/step_00000005 was made with*'
train half2 --steps 6 --model.path moved/base --data.tokenizer nowhere
wants 2 'llmrun: data.tokenizer is nowhere, but the run to resume has moved/tokens, and the first holds no tokenizer to compare*'

# In bf16 too the first step computes with the weights of the directory: it loses what a trained model loses.
loss_of() { # RUN STEP
    sed -n "s/.*\"step\":$2,.*\"loss\":\([0-9.]*\).*/\1/p" "$1/metrics.jsonl"
}
train taught --steps 60 --optim.lr 0.01
wants 0
expect 0 out '*' -- checkpoint export taught taught.hf
train again --steps 1 --model.path taught.hf --model.init weights --precision.compute bf16
wants 0
echo "$(loss_of taught 1) $(loss_of taught 60) $(loss_of again 1)" | awk '{ exit !($2 < 0.8 * $1 && $3 < 0.9 * $1) }' ||
    complain "bf16 from a directory: $(loss_of taught 1), $(loss_of taught 60) trained, then $(loss_of again 1)"

# Other names are other models, whatever a checkpoint holds; a fresh start needs the directory.
cp -r maker.hf base
train based --steps 2 --model.path base
wants 0
rm -r base
train based --steps 4 --model.path nowhere
wants 2 'llmrun: model.path is nowhere, but the run to resume has base*'
train based --steps 4 --model.path base --data.tokenizer bytes
wants 2 'llmrun: data.tokenizer is bytes, but the run to resume has base*'
train fresh --steps 4 --model.path base
wants 3 '*llmrun: base/config.json: *'
finish
