# What ranks must have alike and one has not is named before the first step, on each of them.
#   `agreement_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"

# rank NUMBER PORT FLAG...: one of two, started by hand.
rank() {
    number=$1 port=$2
    shift 2
    env RANK="$number" WORLD_SIZE=2 LOCAL_RANK="$number" LOCAL_WORLD_SIZE=2 LLMRUN_RENDEZVOUS="127.0.0.1:$port" \
        LLMRUN_SECRET=0123456789abcdef0123456789abcdef "$llmrun" train tiny.yaml --steps 2 --run.threads 1 --log.level error \
        --parallel.timeout 20 --run.dir run "$@" >"out.$number" 2>"err.$number"
    echo $? >"code.$number"
}

# differ KEY FLAGS OF BOTH -- FLAGS OF RANK 1: ends with 2 on both, and each says the key.
port=$((20000 + $$ % 20000))
differ() {
    key=$1
    shift
    both=
    while [ "$1" != -- ]; do
        both="$both $1"
        shift
    done
    shift
    port=$((port + 1))
    rm -rf run
    # shellcheck disable=SC2086
    rank 0 $port $both &
    # shellcheck disable=SC2086
    rank 1 $port $both "$@"
    wait
    for number in 0 1; do
        [ "$(cat code.$number)" = 2 ] || complain "$key: rank $number ended with $(cat code.$number): $(cat err.$number)"
        grep -q "$key" err.$number || complain "$key: rank $number said: $(cat err.$number)"
    done
    [ ! -d run/ckpt ] || complain "$key: something was saved"
}

head -c 3000 text.txt >other.txt
differ 'run.seed' -- --run.seed 7
differ 'parallel.pp' --train.micro_batch 1 -- --parallel.pp 2
differ 'parallel.sp' --parallel.tp 2 -- --parallel.sp false
differ 'schedule tables' --parallel.pp 2 --train.micro_batch 1 -- --parallel.schedule gpipe
differ 'parallel.recompute' -- --parallel.recompute full
differ 'parallel.zero' -- --parallel.zero 1
differ 'numerics.exact' -- --numerics.exact false
differ 'model.overrides' -- --model.overrides.n_embd 64
differ 'training data' -- --data.train other.txt
differ 'validation data' --data.valid text.txt -- --data.valid other.txt
differ 'optim.lr' -- --optim.lr 1e-5
differ 'train.steps' -- --train.steps 3

# Ranks that agree train; with exact numerics another instruction set is no difference.
port=$((port + 1))
rm -rf run
rank 0 $port --run.cpu_isa plain &
rank 1 $port --run.cpu_isa auto
wait
[ "$(cat code.0 code.1 | tr '\n' ' ')" = '0 0 ' ] || complain "ranks that agree ended with $(cat code.0 code.1): $(cat err.0 err.1)"
finish
