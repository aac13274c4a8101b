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

for precision in fp32 bf16; do
    set -- --steps 6 --model.dropout 0.1 --precision.compute $precision
    train once.$precision "$@"
    wants 0
    train twice.$precision "$@"
    wants 0
    same_run "two runs in $precision" once.$precision twice.$precision 6
    for isa in $isas; do
        for threads in 1 2; do
            train $precision.$isa.$threads "$@" --run.cpu_isa $isa --run.threads $threads
            wants 0
            same_run "cpu and $isa with $threads threads in $precision" once.$precision $precision.$isa.$threads 6
        done
    done
    train $precision.reference "$@" --backend cpu-ref
    wants 0
    same_run "cpu and cpu-ref in $precision" once.$precision $precision.reference 6
    for recompute in selective full; do
        train $precision.$recompute "$@" --parallel.recompute $recompute
        wants 0
        same_run "recompute none and $recompute in $precision" once.$precision $precision.$recompute 6
    done
done

# A check of the check: another seed gives other bits.
train other --steps 6 --model.dropout 0.1 --run.seed 7
wants 0
bits other >bits.a
bits once.fp32 >bits.b
cmp -s bits.a bits.b && complain 'two seeds gave the same losses'
finish
