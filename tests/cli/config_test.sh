# llmrun config: levels, sources, and mistakes in files, variables and flags.
. "$(dirname "$0")/harness.sh"

cat >run.yaml <<'END'
train:
  steps: 7
  global_batch: 12
model:
  preset: gpt2
  overrides: {n_layer: 4}
END

expect 0 out '*preset: demo *# default*' -- config show
expect 0 out '*steps: 7 *# run.yaml:2*' -- config show run.yaml
expect 0 out '*steps: 8 *# --train.steps*' -- config show run.yaml --steps 8
expect 0 out '*backend: cpu-ref *# --run.backend*' -- config show --backend=cpu-ref
expect 0 out '*overrides: {n_layer: 4, n_embd: 64, n_head: 2} *' -- \
    config show run.yaml --model.overrides.n_embd 64 --model.overrides '{n_head: 2}'
expect 0 out '*overrides: {}*' -- config show run.yaml --model.preset demo
expect 0 out 'run.dir: ""*log.level: info*' -- config keys

LLMRUN_TRAIN_STEPS=9
export LLMRUN_TRAIN_STEPS
expect 0 out '*steps: 9 *# LLMRUN_TRAIN_STEPS*' -- config show run.yaml
expect 0 out '*steps: 8 *# --train.steps*' -- config show run.yaml --steps 8
unset LLMRUN_TRAIN_STEPS
LLMRUN_TRAIN_STPES=9
export LLMRUN_TRAIN_STPES
expect 2 'llmrun: LLMRUN_TRAIN_STPES in the environment names no key, did you mean LLMRUN_TRAIN_STEPS?' -- config show
unset LLMRUN_TRAIN_STPES

# What is shown is a config file again, with the same values.
"$llmrun" config show run.yaml --run.dir 'a "b" #c' | sed 's/  *# [a-z-].*//' >first.txt
"$llmrun" config show run.yaml --run.dir 'a "b" #c' >shown.yaml
"$llmrun" config show shown.yaml | sed 's/  *# [a-z-].*//' >second.txt
cmp -s first.txt second.txt || {
    echo 'config show: what it printed did not load to the same values'
    failures=1
}

expect 2 'llmrun: the config file could not be read: none.yaml: No such file or directory' -- config show none.yaml
printf 'train:\n  stpes: 3\n' >bad.yaml
expect 2 'llmrun: bad.yaml:2:3: no key is called train.stpes, did you mean train.steps?' -- config show bad.yaml
printf 'train:\n\tsteps: 3\n' >bad.yaml
expect 2 'llmrun: bad.yaml:2:1: a tab indents this line; YAML takes spaces' -- config show bad.yaml
expect 2 'llmrun: --parallel.cp: parallel.cp is 2, but context parallelism is not built yet; leave it at 1' -- \
    config show --parallel.cp 2
head -c 1100000 /dev/zero | tr '\0' '#' >big.yaml
expect 2 'llmrun: the config file could not be read: big.yaml has 1100000 bytes; at most 1048576 are read' -- \
    config show big.yaml
finish
