# Layouts against one rank: `. layouts.sh` with $1 the binary, $2 the folder of the test plugins, $3 that of helper
# programs. Each layout is a run of `llmrun launch`, whose losses, gradient norms, evaluations and checkpoint must have
# the bits of one rank's.
#
#   shape FAMILY LAYERS               the flags of a small model, one a line; `set -- $(flags FILE)` would cut them
#   reference NAME FLAG...            trains on one rank in the folder NAME
#   launch RUN RANKS FLAG...          trains on that many ranks of one thread; the exit code is in $code
#   layout NAME RANKS FLAG...         the same on RANKS ranks, held to NAME; says where they differ
#   results RUN                       the bits of a run: a line a step, a line an evaluation
#   contents RUN STEP                 one hash over all tensors of a checkpoint, whoever wrote it
. "$(dirname "$0")/../cli/training.sh"

# Documents of one to seven words, so that a window holds several, a part of one, or an end.
tr -cs 'a-z' '\n' <text.txt | awk '{
    text = text " " $0
    words++
    if (words > documents % 7) {
        print "{\"text\": \"" text "\"}"
        text = ""
        words = 0
        documents++
    }
}' >documents.jsonl

shape() {
    case $1 in
    gpt2-8) overrides="n_embd: 64, n_head: 8, n_positions: 64" layers=n_layer ;;
    llama-8) overrides="hidden_size: 64, num_attention_heads: 8, num_key_value_heads: 8, intermediate_size: 96,
        max_position_embeddings: 64" layers=num_hidden_layers ;;
    qwen3-8) overrides="hidden_size: 64, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 8,
        intermediate_size: 96, max_position_embeddings: 64" layers=num_hidden_layers ;;
    # Extents that 8 and 16 do not divide, tensors of 10 to 10,240 elements.
    uneven) overrides="hidden_size: 40, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 10,
        intermediate_size: 44, max_position_embeddings: 64" layers=num_hidden_layers ;;
    esac
    printf -- '--model.preset\n%s\n--model.overrides\n{%s: %s, %s}\n' "$(echo "$1" | sed 's/uneven/qwen3-8/')" \
        "$layers" "$2" "$(echo $overrides)"
}

results() {
    bits "$1"
    sed -n 's/.*"event":"eval","step":\([0-9]*\),.*"loss_bits":"\([^"]*\)".*"tokens":\([0-9]*\),.*/evaluation \1 \2 \3/p' \
        "$1/metrics.jsonl"
}

contents() {
    "$llmrun" checkpoint verify --json "$1/ckpt/$(printf 'step_%08d' "$2")" | sed -n 's/.*"contents":"\([^"]*\)".*/\1/p'
}

reference() {
    name=$1
    shift
    train "$name" "$@"
    wants 0
    results "$name" >"$name.results"
    [ "$(grep -vc evaluation "$name.results")" = "$steps" ] || complain "$name: not $steps lines of steps"
    contents "$name" "$steps" >"$name.contents"
    [ -s "$name.contents" ] || complain "$name: no contents of the checkpoint"
}

launch() {
    folder=$1 ranks=$2
    shift 2
    command="launch -n $ranks train --run.dir $folder $*"
    "$llmrun" launch -n "$ranks" -- train tiny.yaml --run.dir "$folder" --run.threads 1 "$@" >out 2>err
    code=$?
}

layout() {
    name=$1 ranks=$2
    shift 2
    launch "$name.other" "$ranks" "$@"
    wants 0
    results "$name.other" >"$name.other.results"
    same "$command: losses" "$name.results" "$name.other.results"
    contents "$name.other" "$steps" >"$name.other.contents"
    same "$command: weights and moments" "$name.contents" "$name.other.contents"
    rm -rf "$name.other"
    runs=$((runs + 1))
}
runs=0
