# For tests of stored runs: `. stored_run.sh` after training.sh, with the same arguments. There is a run `clean` of two
# steps, with a checkpoint each and keeping all, that began from a Hugging Face directory which is gone: its checkpoints
# hold a file of every kind (the run's config, a tokenizer and its config, the model's, where texts end, tensors).
#
#   start RUN STEPS FLAG...   trains in the folder RUN from there on; $code, out and err as of train
#   ask COMMAND PATH          eval, generate, export, verify or list of PATH, or resume (PATH is a run, up to step 3):
#                             $code, what it gives in the file said (without times and paths), err
. "$(dirname "$0")/training.sh"

train maker --model.overrides.n_layer 1 --steps 1 --data.tokenizer "$tests/golden/tokenizers/gpt2"
wants 0
expect 0 out '*' -- checkpoint export maker base
echo '{"eos_token_id": 5}' >base/generation_config.json
echo '{"eos_token": "<|endoftext|>"}' >base/tokenizer_config.json
sed 's/^model: .*/model: {path: base, init: weights}/' tiny.yaml >base.yaml
newest=step_00000002
: "$newest"

start() {
    into=$1 steps=$2
    shift 2
    command="train --run.dir $into --steps $steps $*"
    "$llmrun" base.yaml --run.dir "$into" --steps "$steps" --checkpoint.every 1 --checkpoint.keep 0 "$@" >out 2>err
    code=$?
}

ask() {
    asked=$1
    command="$1 of $2"
    rm -rf exported said
    case $1 in
    eval) "$llmrun" eval --model "$2" --data text.txt --json >out 2>err ;;
    generate) "$llmrun" generate --model "$2" --prompt 'The run' --tokens 8 --temperature 0 >out 2>err ;;
    export) "$llmrun" checkpoint export "$2" exported >out 2>err ;;
    verify | list) "$llmrun" checkpoint "$1" "$2" >out 2>err ;;
    resume) start "$2" 3; (exit $code) ;;
    esac
    code=$?
    case $1 in
    eval) sed 's/"model":"[^"]*"//' out >said ;;
    export) cat exported/* >said 2>/dev/null ;;
    resume) weights "$2" 3 >said 2>/dev/null ;;
    *) sed "s|^$2[^:]*||" out >said ;;
    esac
}

start clean 2
wants 0
rm -r base maker
