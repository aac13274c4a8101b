# A device that runs its queues in a random order, and one that only launches whole programs, give the losses of cpu.
. "$(dirname "$0")/training.sh"
LLMRUN_BACKEND_PATH=$plugins
export LLMRUN_BACKEND_PATH

# devices PRESET SEEDS
devices() {
    seeds=$2
    set -- --model.preset "$1" --data.seq_len 32 --train.global_batch 4 --train.micro_batch 2 --steps 5 \
        --model.dropout 0.1 --numerics.exact true
    rm -rf cpu fakegraph bf16 fakegpu.* fakegraph.*
    train cpu "$@"
    wants 0
    FAKEGPU_SEED=1
    export FAKEGPU_SEED
    while [ $FAKEGPU_SEED -le "$seeds" ]; do
        train fakegpu.$FAKEGPU_SEED "$@" --backend fakegpu
        wants 0
        same_run "cpu and fakegpu with seed $FAKEGPU_SEED" cpu fakegpu.$FAKEGPU_SEED 5
        rm -rf fakegpu.$FAKEGPU_SEED
        FAKEGPU_SEED=$((FAKEGPU_SEED + 1))
    done
    train fakegraph "$@" --backend fakegraph
    wants 0
    same_run 'cpu and fakegraph' cpu fakegraph 5
    train bf16 "$@" --precision.compute bf16
    wants 0
    for backend in fakegpu fakegraph; do
        train $backend.bf16 "$@" --precision.compute bf16 --backend $backend
        wants 0
        same_run "cpu and $backend in bf16" bf16 $backend.bf16 5
    done
}

devices gpt2-tiny 20
devices llama-tiny 6
finish
