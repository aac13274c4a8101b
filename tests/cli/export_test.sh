# What an export writes of weights that were trained here: large tensors, numbers that a type cannot hold.
. "$(dirname "$0")/training.sh"

loss_of() {
    "$llmrun" eval --model "$1" --tokenizer bytes --data text.txt --json >out 2>err || complain "eval $1: $(cat err)"
    "$helpers/json_fields" loss <out
}

# 8,200 x 32 numbers are more than the 2^18 that are converted at once. fp32 comes back with its bits; so does bf16 once
# it is bf16.
train large --steps 1 --model.overrides.vocab_size 8200
wants 0
for dtype in fp32 bf16; do
    expect 0 out "large.$dtype: *" -- checkpoint export large large.$dtype --dtype $dtype
    expect 0 out '*' -- checkpoint import large.$dtype large.$dtype.ckpt
    expect 0 out '*' -- checkpoint export large.$dtype.ckpt large.$dtype.again
    same "a second export of $dtype" large.$dtype/model.safetensors large.$dtype.again/model.safetensors
done
loss=$(loss_of large)
[ -n "$loss" ] && [ "$(loss_of large.fp32)" = "$loss" ] || complain "the loss $loss is $(loss_of large.fp32) after an export"
awk -v a="$loss" -v b="$(loss_of large.bf16)" 'BEGIN { exit !(a != b && a / b < 1.01 && b / a < 1.01) }' ||
    complain "the loss $loss is $(loss_of large.bf16) in bf16"

# A step of AdamW is as large as the learning rate: 10^6 is beyond 65,504, the largest number of f16.
train huge --steps 1 --optim.lr 1e6 --optim.warmup 0
wants 0
expect 2 'llmrun: tensor * holds *, which f16 cannot hold; choose another --dtype' -- \
    checkpoint export huge huge.fp16 --dtype fp16
[ ! -e huge.fp16 ] || complain 'an export that was refused left a folder'
expect 0 out '*' -- checkpoint export huge huge.bf16 --dtype bf16

# One number is enough, also the first of a tensor: 10^6 in the place of the first number of the file.
cp -r large.fp32 first
begins=$(($(od -An -t u8 -N 8 first/model.safetensors) + 8))
printf '\000\044\164\111' | dd of=first/model.safetensors bs=1 seek="$begins" conv=notrunc 2>dd.err || complain "$(cat dd.err)"
expect 0 out '*' -- checkpoint import first first.ckpt
expect 2 'llmrun: tensor * holds 1e+06, which f16 cannot hold; choose another --dtype' -- \
    checkpoint export first.ckpt first.fp16 --dtype fp16
finish
