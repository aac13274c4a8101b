# A run that changes its layout at every start is the run that never stopped; what it saved is evaluated and continued in any layout with
# one rank's loss and text. `resume_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=24

shape qwen3-8 4 >shape
set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <shape
set -- "$@" --data.train documents.jsonl --data.pack true --data.seq_len 32 --train.global_batch 8 --model.dropout 0.1 \
    --checkpoint.every 4

reference whole "$@" --steps $steps
# go STEP RANKS FLAG...: on to that step.
go() {
    last=$1 ranks=$2
    shift 2
    launch pieces "$ranks" "$@" --steps "$last"
    wants 0
}
go 4 4 "$@" --train.micro_batch 2
go 8 2 "$@" --train.micro_batch 4 --parallel.tp 2
go 12 4 "$@" --train.micro_batch 2 --parallel.zero 1
go 16 4 "$@" --train.micro_batch 2 --parallel.tp 2 --parallel.pp 2
train pieces "$@" --steps 20 --backend cpu-ref
wants 0
go 24 8 "$@" --train.micro_batch 1 --parallel.tp 2 --parallel.pp 2 --parallel.schedule zero-bubble --parallel.zero 1
results pieces >pieces.results
same "losses of a run in pieces" whole.results pieces.results
contents pieces 24 >pieces.contents
same "weights and moments of a run in pieces" whole.contents pieces.contents

# An odd number of samples, which the ranks of dp do not divide.
"$llmrun" eval --model whole --data text.txt --json >eval.one
sed 's/"model":"[^"]*",//' eval.one >eval.wanted
"$llmrun" generate --model whole --prompt 'the ' --tokens 40 --temperature 0 >text.one 2>err
while read -r ranks flags; do
    # shellcheck disable=SC2086
    "$llmrun" launch -n "$ranks" -- eval --model pieces --data text.txt --json $flags 2>err | sed 's/"model":"[^"]*",//' >eval.other
    same "evaluation on $ranks ranks, $flags" eval.wanted eval.other
    # shellcheck disable=SC2086
    "$llmrun" launch -n "$ranks" -- generate --model pieces --prompt 'the ' --tokens 40 --temperature 0 $flags >text.other 2>err
    same "text of $ranks ranks, $flags" text.one text.other
done <<'END'
2 --parallel.tp 2
2 --parallel.pp 2
2
4 --parallel.tp 2 --parallel.pp 2
3
END

# A Hugging Face directory of it is that of one rank's.
"$llmrun" checkpoint export whole exported.one >out 2>err || complain "export: $(cat err)"
"$llmrun" checkpoint export pieces exported.pieces >out 2>err || complain "export: $(cat err)"
cmp exported.one/model.safetensors exported.pieces/model.safetensors || complain "the exported weights differ"
finish
