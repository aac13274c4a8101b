# `llmrun train` itself against PyTorch, step by step: the samples that it takes from a file over two epochs and more,
# microbatches, schedule, clipping, weight decay, evaluations, and a run that goes on from a checkpoint in its middle.
# tests/golden/make_train.py made what is wanted.
. "$(dirname "$0")/training.sh"
golden=$tests/golden/train

# held NAME RUN FIRST: the steps of a run from FIRST on are PyTorch's.
held() {
    "$helpers/train_check" "$golden/$1/expected.jsonl" "$2/metrics.jsonl" "$3" >check 2>&1 ||
        complain "$1, $2: $(cat check)"
    sed "s/^/$2: /" check
}

# run NAME RUN FLAG...: 20 steps in the folder RUN.
run() {
    name=$1
    folder=$2
    shift 2
    # shellcheck disable=SC2046 # a word a line
    (cd "$golden" && "$llmrun" train --run.dir "$scratch/$folder" --run.backend cpu --model.path "$name" \
        --train.steps 20 --checkpoint.keep 0 $(cat "$name/flags") "$@") >out 2>err ||
        complain "$name, $folder: ended with $?: $(cat err)"
}

for name in gpt2_packed llama_prompts gpt2_documents; do
    run $name $name.whole --checkpoint.every 9
    held $name $name.whole 1
    run $name $name.rest --run.resume "$scratch/$name.whole/ckpt/step_00000009"
    held $name $name.rest 10
    [ "$(grep -c '"event":"step"' $name.rest/metrics.jsonl)" -eq 11 ] || complain "$name: not 11 steps after step 9"
    weights $name.whole 20 >weights.a
    weights $name.rest 20 >weights.b
    same "$name: weights after going on" weights.a weights.b
done

# A check of the check: another seed takes other samples.
run gpt2_packed seed --run.seed 1
"$helpers/train_check" "$golden/gpt2_packed/expected.jsonl" seed/metrics.jsonl 1 >check && complain 'another seed passed'

finish
