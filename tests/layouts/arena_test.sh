# The bytes that `llmrun plan` tells of each rank are those that its device counts, and no rank of a stage has more than
# the one that the table of stages tells. `arena_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
LLMRUN_BACKEND_PATH=$plugins
export LLMRUN_BACKEND_PATH
for i in 1 2 3 4 5 6 7 8 9 10; do
    cat text.txt
done >long.txt # as much as an evaluation takes at once

# arena RANKS FLAG...
arena() {
    ranks=$1
    shift
    set -- --backend counting --run.threads 1 --data.seq_len 32 --train.global_batch 8 --train.micro_batch 1 --data.valid long.txt "$@"
    rm -rf run counted planned
    COUNTING_FILE=$PWD/counted
    export COUNTING_FILE
    launch run "$ranks" --steps 2 --train.eval_every 2 --train.eval_tokens 1024 "$@"
    wants 0
    unset COUNTING_FILE
    number=0
    while [ $number -lt "$ranks" ]; do
        "$llmrun" plan tiny.yaml --world "$ranks" --rank $number "$@" >plan.$number || complain "plan: $*"
        sed -n "s/^  arena  *\([0-9]*\) .*/$number \1/p" plan.$number >>planned
        number=$((number + 1))
    done
    sort -n counted | awk '{ if ($2 > most[$1]) most[$1] = $2 } END { for (rank in most) print rank, most[rank] }' |
        sort -n >counted.sorted
    same "$command: bytes that are planned and that devices count" planned counted.sorted
    # Of a stage all ranks; pp counts slowest.
    stages=$(sed -n 's/^ranks .*tp [0-9]*, pp \([0-9]*\), dp [0-9]*;.*/\1/p' plan.0)
    awk -v each=$((ranks / stages)) '
        { stage = int($1 / each) }
        $2 > most[stage] { most[stage] = $2 }
        END { for (stage in most) print stage, stage * each, most[stage] }' planned | sort -n >most
    for plan in plan.*; do
        sed -n '/^ranks of each stage/,/^bubble/p' "$plan" | awk 'NF == 8 && $1 + 0 == $1 { print $1, $2, $6 }' >table
        same "$command: the most of each stage, and its line in $plan" most table
    done
    rm plan.*
}

sed "s/^model:.*/model: {preset: qwen3-8, overrides: {hidden_size: 40, num_attention_heads: 4, num_key_value_heads: 2, \
head_dim: 10, intermediate_size: 44, max_position_embeddings: 64, num_hidden_layers: 5}}/" tiny.yaml >uneven.yaml
cp tiny.yaml gpt2.yaml
arena 2
arena 2 --parallel.zero 1 --precision.compute bf16
arena 8 --parallel.tp 2 --parallel.pp 2 --parallel.zero 1
arena 4 --parallel.tp 2 --parallel.pp 2 --parallel.schedule zero-bubble --parallel.recompute selective --precision.compute bf16
arena 4 --parallel.zero 1 --parallel.zero_group 2
cp uneven.yaml tiny.yaml
arena 2 --parallel.tp 2 --model.dropout 0.1
arena 3 --parallel.pp 3
arena 4 --parallel.tp 2 --parallel.zero 1 --precision.compute bf16 --parallel.sp false
arena 8 --parallel.tp 2 --parallel.pp 2 --parallel.recompute full --parallel.schedule interleaved --parallel.chunks 2
finish
