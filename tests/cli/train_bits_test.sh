# The bits of a run depend on its config alone: not on when, in what microbatches, on how many threads, with what
# recomputed or with which instructions it computes. `train_bits_test.sh BINARY PLUGINS HELPERS gpt2|llama|qwen3 fp32|bf16`
. "$(dirname "$0")/training.sh"
model=$4
precision=$5
steps=20

isas=plain
for isa in avx2 avx512; do
    flag=$isa
    [ $isa = avx512 ] && flag=avx512f
    if grep -qw $flag /proc/cpuinfo; then
        isas="$isas $isa"
    else
        echo "skipped: this machine has no $isa"
    fi
done

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

llama='{num_hidden_layers: 2, hidden_size: 32, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 48}'
[ "$model" = llama ] && set -- --model.preset llama-tiny --model.overrides "$llama" || set --
qwen3='{hidden_size: 32, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 8, intermediate_size: 48}'
[ "$model" = qwen3 ] && set -- --model.preset qwen3-8 --model.overrides "$qwen3"
set -- "$@" --steps $steps --precision.compute "$precision"

# other WAY FLAG...: the run once more in another way, held to the run $name.
other() {
    way=$1
    shift
    train "$name.other" "$@"
    wants 0
    same_run "$name and $way" "$name" "$name.other" $steps
    rm -r "$name.other"
}

# bits_of NAME FLAG...: a run in microbatches of 8, and every other way to compute it.
bits_of() {
    name=$1
    shift
    train "$name" "$@" --train.micro_batch 8
    wants 0
    other 'twice' "$@" --train.micro_batch 8
    for size in 4 2 1; do
        other "microbatches of $size" "$@" --train.micro_batch $size
    done
    for isa in $isas; do
        for threads in 1 2; do
            other "$isa with $threads threads" "$@" --train.micro_batch 2 --run.cpu_isa "$isa" --run.threads $threads
        done
    done
    other 'cpu-ref' "$@" --train.micro_batch 8 --backend cpu-ref
    for recompute in selective full; do
        other "recompute $recompute" "$@" --train.micro_batch 4 --parallel.recompute $recompute
    done
}

# Dropout and packing; with batch parts of one sequence and of four, and sequences whose position parts are whole and odd.
set -- "$@" --train.global_batch 8 --data.train documents.jsonl
bits_of plain "$@" --data.seq_len 16 --model.dropout 0 --data.pack true
bits_of dropout "$@" --data.seq_len 14 --model.dropout 0.1 --data.pack true --numerics.batch_parts 2
bits_of rows "$@" --data.seq_len 14 --model.dropout 0 --data.pack false --numerics.batch_parts 2
bits_of dropout_rows "$@" --data.seq_len 16 --model.dropout 0.1 --data.pack false

# A check of the check: what is compared does change with the run.
train seed "$@" --data.seq_len 16 --model.dropout 0 --data.pack true --run.seed 7 --train.micro_batch 8
wants 0
for run in plain dropout rows dropout_rows seed; do
    bits $run
done | cut -d ' ' -f 2 | sort -u | wc -l >different
[ "$(cat different)" -gt $((5 * steps - 5)) ] || complain "5 unlike runs have only $(cat different) losses"

train uneven "$@" --data.seq_len 16 --train.global_batch 6 --train.micro_batch 2
wants 2 '*neither a part nor a multiple of a batch part*'
finish
