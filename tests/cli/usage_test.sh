# What the command says when it is asked for help, or asked wrongly.
. "$(dirname "$0")/harness.sh"

expect 0 out 'llmrun [0-9]*.[0-9]*.[0-9]*' -- --version
expect 0 out 'usage: llmrun*config*' -- --help
expect 0 out 'usage: llmrun*config*' -- -h
expect 0 out 'usage: llmrun config show*--section.key*' -- config show --help

# Mistyped words: exit code 2 and the nearest name.
expect 2 'llmrun: no command is called trian, did you mean train?' -- trian
expect 2 'llmrun: no command is called frobnicate; *' -- frobnicate
expect 2 'llmrun: config has no part shwo*' -- config shwo
expect 2 'llmrun: config needs show | keys; *' -- config
expect 2 'llmrun: config show has no flag --stpes, did you mean --steps?' -- config show --stpes 3
expect 2 'llmrun: config show has no flag --seed, did you mean --run.seed?' -- config show --seed 3
expect 2 'llmrun: config keys has no flag --train.steps; *' -- config keys --train.steps 3
expect 2 'llmrun: config show: the word b.yaml is one too many; *' -- config show a.yaml b.yaml

# Values of flags.
expect 2 'llmrun: --train.steps needs a value' -- config show --train.steps
expect 2 'llmrun: --run.dir needs a value; one that begins with -- is written --run.dir=VALUE' -- \
    config show --run.dir --train.steps 3
expect 0 out '*dir: "--odd"*' -- config show --run.dir=--odd

# After a lone -- a word is a word.
expect 2 'llmrun: the config file could not be read: --steps: *' -- config show -- --steps

# A full disk is no success.
if [ -w /dev/full ]; then
    "$llmrun" config keys >/dev/full 2>err
    [ $? -eq 7 ] && grep -q '^llmrun: the output could not be written: ' err || {
        echo 'config keys on a full disk: wanted exit code 7 and a sentence'
        failures=1
    }
fi
finish
