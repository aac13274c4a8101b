# The bits of a run do not depend on its pipeline schedule, on the chunks that one rank cuts the model into, on its
# microbatches, or on what is recomputed. `train_schedules_test.sh BINARY PLUGINS HELPERS gpt2|llama fp32|bf16`
. "$(dirname "$0")/training.sh"
model=$4
precision=$5
steps=3

# Eight layers, so that one rank has eight chunks; dropout, tied weights with GPT-2, untied ones with LLaMA.
if [ "$model" = llama ]; then
    set -- --model.preset llama-tiny --model.overrides '{num_hidden_layers: 8, hidden_size: 16, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 24}'
else
    set -- --model.overrides '{n_layer: 8, n_embd: 16, n_head: 2, n_positions: 32}'
fi
set -- "$@" --steps $steps --precision.compute "$precision" --data.seq_len 16 --model.dropout 0.1 \
    --train.global_batch 8 --run.threads 1

# schedules NAME MICRO_BATCH FLAG...: every schedule and number of chunks, held to the run NAME.
schedules() {
    name=$1 size=$2
    shift 2
    for way in gpipe.1 zero-bubble.1 interleaved.2 zero-bubble.2 interleaved.4 interleaved.8; do
        train other "$@" --train.micro_batch "$size" --parallel.schedule "${way%.*}" --parallel.chunks "${way#*.}"
        wants 0
        same_run "$name and $way in microbatches of $size, $*" "$name" other $steps
        rm -r other
    done
}

# Four and eight microbatches: batch parts are as many, fewer and more, so that groups are one microbatch, several, or a
# part of one.
for parts in 8 2 1; do
    train plain "$@" --numerics.batch_parts $parts --train.micro_batch 8
    wants 0
    for recompute in none selective full; do
        schedules plain 2 "$@" --numerics.batch_parts $parts --parallel.recompute $recompute
    done
    schedules plain 1 "$@" --numerics.batch_parts $parts
    rm -r plain
done

# A check of the check: another order of sums has other bits.
for parts in 8 1; do
    train parts.$parts "$@" --numerics.batch_parts $parts --train.micro_batch 8
    wants 0
    weights parts.$parts $steps >parts.$parts.weights
done
cmp -s parts.8.weights parts.1.weights && complain 'batch parts change no weight'

train odd "$@" --train.micro_batch 2 --parallel.schedule zero-bubble --parallel.chunks 4
wants 2 '*schedule zero-bubble: 4 chunks a rank, wanted 1 to 2*'
train odd "$@" --train.micro_batch 2 --parallel.schedule interleaved
wants 2 '*schedule interleaved: 1 chunks a rank, wanted 2 to*'
train odd "$@" --train.micro_batch 2 --parallel.schedule interleaved --parallel.chunks 9
wants 2 '*parallel.chunks is 9; a model of 8 layers has 1 to 8*'
finish
