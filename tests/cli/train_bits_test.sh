# The bits of a run depend on its config alone: not on when, on how many threads or with which instructions it computes.
. "$(dirname "$0")/training.sh"

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

# bits_of NAME FLAG...: every way to compute the same run; its first one is kept as NAME.
bits_of() {
    name=$1
    shift
    train "$name" "$@"
    wants 0
    train "$name.twice" "$@"
    wants 0
    same_run "two runs of $name" "$name" "$name.twice" 6
    for isa in $isas; do
        for threads in 1 2; do
            train "$name.$isa.$threads" "$@" --run.cpu_isa "$isa" --run.threads $threads
            wants 0
            same_run "cpu and $isa with $threads threads, $name" "$name" "$name.$isa.$threads" 6
        done
    done
    train "$name.reference" "$@" --backend cpu-ref
    wants 0
    same_run "cpu and cpu-ref, $name" "$name" "$name.reference" 6
    for recompute in selective full; do
        train "$name.$recompute" "$@" --parallel.recompute $recompute
        wants 0
        same_run "recompute none and $recompute, $name" "$name" "$name.$recompute" 6
    done
}

llama='{num_hidden_layers: 2, hidden_size: 32, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 48}'
for precision in fp32 bf16; do
    set -- --steps 6 --model.dropout 0.1 --precision.compute $precision
    bits_of gpt2.$precision "$@"
    bits_of llama.$precision "$@" --model.preset llama-tiny --model.overrides "$llama" --data.seq_len 32
done

# The size of a microbatch leaves no trace: less than a lane, a lane, several lanes; also where a sequence has odd parts.
for model in gpt2 llama; do
    for precision in fp32 bf16; do
        set -- --steps 6 --train.global_batch 8 --precision.compute $precision --data.seq_len 28
        [ $model = llama ] && set -- "$@" --model.preset llama-tiny --model.overrides "$llama"
        for lanes in 8 2; do
            name=$model.$precision.lanes$lanes
            train "$name" "$@" --model.dropout 0.1 --numerics.lanes $lanes --train.micro_batch 8
            wants 0
            for size in 4 2 1; do
                train "$name.$size" "$@" --model.dropout 0.1 --numerics.lanes $lanes --train.micro_batch $size
                wants 0
                same_run "microbatches of 8 and $size, $name" "$name" "$name.$size" 6
            done
        done
    done
done
train uneven --train.global_batch 6 --train.micro_batch 2
wants 2 '*neither a part nor a multiple of a lane*'

# A check of the check: another seed gives other bits.
train other --steps 6 --model.dropout 0.1 --run.seed 7
wants 0
bits other >bits.a
bits gpt2.fp32 >bits.b
cmp -s bits.a bits.b && complain 'two seeds gave the same losses'
finish
