# What goes wrong is one sentence on stderr, the exit code that docs/architecture.md lists, and nothing is lost.
. "$(dirname "$0")/training.sh"

# One line that begins with the program's name.
sentence() {
    [ "$(grep -c '' err)" -eq 1 ] || complain "$command: not one sentence: $(cat err)"
}
refuses() {
    wanted=$1 pattern=$2
    shift 2
    train refused "$@"
    wants "$wanted" "$pattern"
    sentence
    [ ! -e refused ] || complain "$command: made a run folder"
    rm -rf refused
}

# Config and data.
refuses 2 'llmrun: *no key is called train.stesp, did you mean train.steps?' --train.stesp 3
refuses 3 "llmrun: *outside the model's vocabulary of 100" --model.overrides.vocab_size 100
refuses 2 'llmrun: *n_head*' --model.overrides.n_head 3
refuses 2 'llmrun: *gpt3*' --model.preset gpt3
refuses 3 'llmrun: *none.txt*' --data.train none.txt
: >empty.txt
refuses 3 'llmrun: *empty.txt*' --data.train empty.txt
refuses 3 'llmrun: *empty.txt*' --data.valid empty.txt
refuses 3 'llmrun: *nowhere*' --data.tokenizer nowhere
sentencepiece='is a SentencePiece model, which this version does not read; *bytes*tokenizer.json*vocab.json*'
cp -r "$tests/golden/huggingface/llama_fp32" pieces
echo 'of pieces' >pieces/tokenizer.model
refuses 2 "llmrun: tokenizer pieces: its tokenizer.model $sentencepiece" --data.tokenizer pieces
refuses 2 "llmrun: tokenizer pieces: its tokenizer.model $sentencepiece" --model.path pieces
refuses 2 "llmrun: tokenizer pieces: its tokenizer.model $sentencepiece" --model.path pieces --model.init weights
refuses 2 "llmrun: tokenizer pieces/tokenizer.model $sentencepiece" --data.tokenizer pieces/tokenizer.model
expect 2 "llmrun: tokenizer pieces: its tokenizer.model $sentencepiece" -- eval --model pieces --data text.txt
expect 2 "llmrun: tokenizer pieces: its tokenizer.model $sentencepiece" -- generate --model pieces --prompt x
expect 0 out '*' -- checkpoint import pieces pieces.ckpt
for model in pieces pieces.ckpt; do
    expect 0 out '*' -- eval --model $model --data text.txt --tokenizer bytes
done
train bytes --steps 1 --model.path pieces --data.tokenizer bytes
wants 0
cp "$tests"/golden/tokenizer_tiny/* pieces
train pairs --steps 1 --model.path pieces
wants 0
printf '{"text": "good"}\n{"text": 3}\n' >bad.jsonl
refuses 3 'llmrun: *bad.jsonl:2*' --data.train bad.jsonl
train nowhere --run.resume nothing
wants 3 'llmrun: nothing: *'
printf 'train: [steps\n' >broken.yaml
expect 2 'llmrun: broken.yaml:2:1: *' -- train broken.yaml
expect 2 'llmrun: the config file could not be read: none.yaml: *' -- train none.yaml
expect 2 'llmrun: the config file could not be read: none.yaml: *' -- none.yaml

# Plugins.
refuses 4 'llmrun: *nosuch*' --backend nosuch
refuses 4 'llmrun: *fake.so*' --backend fake=fake.so
echo 'no library' >libllmrun-fake.so
refuses 4 'llmrun: *libllmrun-fake.so*ELF*' --backend fake=./libllmrun-fake.so
refuses 4 'llmrun: *plugin contract 1.2*' --backend faulty-abi-major="$plugins/faulty/libllmrun-faulty-abi-major.so"
refuses 4 'llmrun: *faulty-isa*' --backend faulty-isa="$plugins/faulty/libllmrun-faulty-isa.so"
refuses 4 'llmrun: numerics.exact is true, and backend faulty-plain has no exact kernels' --numerics.exact true \
    --log.level error --backend faulty-plain="$plugins/faulty/libllmrun-faulty-plain.so"
refuses 4 'llmrun: faulty-plain: not supported' --log.level error \
    --backend faulty-plain="$plugins/faulty/libllmrun-faulty-plain.so"
refuses 4 'llmrun: *neither a kernel nor a program*' \
    --backend faulty-no-ops="$plugins/faulty/libllmrun-faulty-no-ops.so"

# What is captured and replayed: the second step is.
for case in 'end=1|step 2: section forward could not be captured: faulty: capture 1 did not end in a graph, as ordered *' \
    'replay=1|step 2: faulty: replay 1 was refused, as ordered *' \
    'replayed=2|step 2: faulty: the work before event record * failed, as ordered *' \
    'replay_hang=1|device 0 of faulty did not finish section * of step 2 within 1 s (parallel.timeout)'; do
    FAULTY=${case%%|*} train captured --steps 5 --parallel.timeout 1 --log.level error \
        --backend faulty="$plugins/libllmrun-faulty.so"
    wants 4 "llmrun: ${case#*|}"
    sentence
    rm -rf captured
done

# Out of memory: what would fit, with the bytes that `plan` says of it.
refuses 8 'llmrun: device 0 of cpu has * bytes free, * were asked for: *; train.micro_batch * with parallel.recompute *' \
    --model.overrides '{n_layer: 24, n_embd: 256, n_positions: 32}' --train.global_batch 524288
advice='s/.*train.micro_batch \([0-9]*\) with parallel.recompute \([a-z]*\) needs \([0-9]*\) bytes (now 524288 with none)$/\1 \2 \3/p'
sed -n "$advice" err >advised
read -r micro recompute bytes <advised
expect 0 out "* $bytes *" -- plan tiny.yaml --model.overrides '{n_layer: 24, n_embd: 256, n_positions: 32}' --train.global_batch 524288 --train.micro_batch "$micro" \
    --parallel.recompute "$recompute"

# Numbers that are not finite never reach a checkpoint; the weights before them do, whatever checkpoint.every says.
train wild --steps 50 --optim.lr 1e30 --optim.clip 0 --checkpoint.every 1 --checkpoint.keep 2
wants 6 'llmrun: step *: loss *, gradient norm * not finite; the weights are those of step *, saved in wild/ckpt/step_*'
sentence
train hasty --steps 50 --optim.lr 1e30 --optim.clip 0
wants 6 'llmrun: step *: loss *, gradient norm * not finite; the weights are those of step *, saved in hasty/ckpt/step_*'
last=$(sed -n 's/^llmrun: step \([0-9]*\):.*/\1/p' err)
weights wild $((last - 1)) >weights.a
weights hasty $((last - 1)) >weights.b
same 'weights before numbers that are not finite' weights.a weights.b
# The run goes on from them, to the same end.
train hasty --steps 50 --optim.lr 1e30 --optim.clip 0
wants 6 "*llmrun: step $last: *the weights are those that the run began with"
train wild --steps 50 --optim.lr 1e30 --optim.clip 0 --checkpoint.every 1 --checkpoint.keep 2
step=$(sed -n 's/^llmrun: step \([0-9]*\):.*/\1/p' err)
"$helpers/json_fields" event step loss exit_code <wild/metrics.jsonl >events ||
    complain 'metrics.jsonl of a wild run is no JSON'
tail -n 1 events | grep -q '^stop .* 6$' || complain "the last event of a wild run: $(tail -n 1 events)"
[ -f "wild/ckpt/$(printf 'step_%08d' $((step - 1)))/manifest.json" ] || complain "no checkpoint of step $((step - 1))"
[ ! -e "wild/ckpt/$(printf 'step_%08d' "$step")" ] || complain "a checkpoint of the step that was not finite"
expect 0 out '*' -- checkpoint verify wild
train wild --steps 50
wants 2 'llmrun: *optim.lr*'

# A damaged checkpoint is named; the one before it serves when it is asked for.
train hurt --steps 4 --checkpoint.every 2
wants 0
cp -r hurt straight
train straight --steps 6
wants 0
shard=hurt/ckpt/step_00000004/tensors-00001.safetensors
size=$(wc -c <$shard)
printf '\377\377\377' | dd of=$shard bs=1 seek=20000 conv=notrunc 2>/dev/null
train hurt --steps 6
wants 3 'llmrun: *tensors-00001.safetensors*tensor*'
sentence
expect 3 'llmrun: *' -- checkpoint verify hurt
expect 3 'llmrun: *tensors-00001.safetensors*tensor*' -- eval --model hurt --data text.txt
truncate -s $((size - 1)) $shard
train hurt --steps 6
wants 0 '*step_00000004*step_00000002*'
same_run 'after a torn checkpoint' straight hurt 6

# Standard output on a full disk: the run itself is complete.
if [ -w /dev/full ]; then
    "$llmrun" tiny.yaml --run.dir full --steps 5 >/dev/full 2>err
    code=$? command='train on a full standard output'
    wants 7 'llmrun: the output could not be written: *'
    sentence
    tail -n 1 full/metrics.jsonl | grep -q '"exit_code":7}' || complain "$command: $(tail -n 1 full/metrics.jsonl)"
    expect 0 out '*' -- checkpoint verify full
fi

# A full disk: the older checkpoint stays, and the run goes on from it once there is room. Run within
# a mount of its own.
cat >full_disk.sh <<'END'
llmrun=$1
# A long name makes long sentences.
run=disk/$(printf '%0200d' 1)
mount -t tmpfs -o size=1600k none disk || exit 77
fill() { dd if=/dev/zero of=disk/filler bs=1k count=$1 2>/dev/null; }
"$llmrun" tiny.yaml --run.dir $run --steps 2 >out 2>err || exit 1
# Too little room for all that is kept is said at the start; too little for one ends the run before it trains.
"$llmrun" tiny.yaml --run.dir disk/many --steps 50 --checkpoint.every 1 --checkpoint.keep 0 >out 2>err
[ $? -eq 7 ] || { echo "little room: $(cat err)"; exit 1; }
grep -q '^warning: disk/many/ckpt: 50 more checkpoints of .*make room or keep fewer$' err ||
    { echo "little room: $(cat err)"; exit 1; }
rm -r disk/many
fill 1600
"$llmrun" tiny.yaml --run.dir $run --steps 4 --checkpoint.every 1 >out 2>err
[ $? -eq 7 ] || { echo "a full disk: $(cat err)"; exit 1; }
grep -q "^llmrun: $run/ckpt.* free; make room" err || { echo "a full disk said: $(cat err)"; exit 1; }
grep '^step' out && { echo "a full disk: the run trained"; exit 1; }
"$llmrun" tiny.yaml --run.dir disk/new --steps 4 >out 2>err
[ $? -eq 7 ] && [ ! -e disk/new ] || { echo "a new run on a full disk: $(cat err)"; exit 1; }
"$llmrun" checkpoint verify $run >out 2>err || { echo "after a full disk: $(cat err)"; exit 1; }
grep -q step_00000002 out || { echo "after a full disk the newest is: $(cat out)"; exit 1; }
# Going on without saving: the losses are all there, and the exit code says that the last save failed.
"$llmrun" tiny.yaml --run.dir $run --steps 6 --checkpoint.every 1 --train.on_save_error continue >out 2>err
[ $? -eq 7 ] || { echo "on_save_error: continue on a full disk: $(cat err)"; exit 1; }
grep -q 'step 6/6' out || { echo "on_save_error: continue did not reach its end: $(cat out err)"; exit 1; }
# There is room again while it runs: the next save succeeds, and so does the run. Its standard error is a pipe that is
# read no further than the first failed save until there is room: behind 64 KiB of such sentences it waits for a reader,
# so it cannot end before.
mkfifo pipe
"$llmrun" tiny.yaml --run.dir $run --steps 400 --checkpoint.every 1 --checkpoint.keep 1 \
    --train.on_save_error continue >out 2>pipe &
process=$!
exec 3<pipe
while read -r line <&3; do
    case $line in *'could not be saved, training goes on'*) break ;; esac
done
rm disk/filler
cat <&3 >err
wait $process || { echo "with room again: $(cat err)"; exit 1; }
cp -r $run roomy
END
mkdir disk
unshare=unshare
[ "$(id -u)" -eq 0 ] || unshare='unshare -r'
if ! $unshare -m true 2>/dev/null; then
    echo 'skipped: a full disk; this user may make no mount namespace'
else
    $unshare -m sh full_disk.sh "$llmrun" >said
    case $? in
    0)
        train empty --steps 400
        wants 0
        same_run 'after a full disk' empty roomy 400
        ;;
    77) echo 'skipped: a full disk; this user may mount no tmpfs' ;;
    *) complain "$(cat said)" ;;
    esac
fi
finish
