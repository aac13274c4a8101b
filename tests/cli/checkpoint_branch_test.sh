# Going on from an older step of the same folder: what was written last is the newest, and nothing that lies ahead goes.
. "$(dirname "$0")/training.sh"

go_on() {
    train run --model.overrides.n_layer 1 --checkpoint.keep 3 "$@"
}
names() {
    ls run/ckpt | sed 's/step_000000//' | tr '\n' ' '
}
holds() {
    [ "$(names)" = "$1" ] || complain "after $command: $(names), wanted $1"
}
starts_at() {
    [ "$("$helpers/json_fields" event step <run/metrics.jsonl | sed -n 's/^start //p' | tail -n 1)" = "$1" ] ||
        complain "$command: did not start at step $1"
}

go_on --steps 20 --checkpoint.every 5 --checkpoint.keep 4
wants 0
[ "$(grep -c 'newer checkpoints' err)" = 0 ] || complain 'a plain run speaks of newer checkpoints'
go_on --steps 8 --checkpoint.every 1 --run.resume run/ckpt/step_00000005
wants 0 '*goes on from step 5, and run/ckpt holds newer checkpoints (the newest: step_00000020)*'
[ "$(grep -c 'newer checkpoints' err)" = 1 ] || complain 'newer checkpoints are not spoken of once'
holds '05 06 07 08 10 15 20 '
expect 0 out 'run/ckpt/step_00000008 at step 8 *' -- eval --model run --data text.txt
go_on --steps 9
wants 0
starts_at 8
holds '05 07 08 09 10 15 20 '
# A name that is taken: the old one stays, and can still be named.
weights run 10 >weights.old
go_on --steps 10 --train.eval_every 0 --run.resume auto
wants 0
holds '05 08 09 10 10.branch-0 15 20 '
sed -n '/"tensors"/,$p' run/ckpt/step_00000010.branch-0/manifest.json >weights.a
same 'a checkpoint that was moved aside' weights.old weights.a
expect 0 out '*/step_00000010.branch-0: every byte*' -- checkpoint verify run/ckpt/step_00000010.branch-0
expect 0 out '*step_00000010 (branch 1)' -- checkpoint list run
# One hash over all tensors, as JSON.
contents() {
    "$llmrun" checkpoint verify "$1" --json | sed 's/.*"step":10,"contents":"\(xxh3:[0-9a-f]*\)","tensors":{"wte.weight":{"dtype":"f32","shape":.*/\1/'
}
[ "$(contents run/ckpt/step_00000010 | wc -c)" = 22 ] || complain "verify --json: $(contents run/ckpt/step_00000010)"
expect 0 out 'run/ckpt/step_00000010 at step 10 *' -- eval --model run --data text.txt
# Back to the first line: a branch of its own again.
go_on --steps 22 --checkpoint.every 1 --run.resume run/ckpt/step_00000020
wants 0 '*goes on from step 20, and run/ckpt holds newer checkpoints (the newest: step_00000010)*'
holds '05 08 09 10 10.branch-0 15 20 21 22 '
go_on --steps 23
wants 0
starts_at 22
# The same steps from the same step give the same bits, on whatever branch.
go_on --steps 20 --run.resume run/ckpt/step_00000015
wants 0
weights run 20 >weights.a
sed -n '/"tensors"/,$p' run/ckpt/step_00000020.branch-0/manifest.json >weights.b
same 'step 20 on two branches' weights.a weights.b
# In a folder of its own nothing is said.
train other --model.overrides.n_layer 1 --steps 7 --run.resume run/ckpt/step_00000005
wants 0
grep -q 'newer checkpoints' err && complain 'a new folder has newer checkpoints'
finish
