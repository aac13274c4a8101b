# What ranks must have alike and one has not is named before the first step, on each of them.
#   `agreement_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"

# rank NUMBER PORT FLAG...: one of two, started by hand. Rank 1 runs $other in the folder $there.
other=$llmrun there=.
rank() {
    number=$1 port=$2
    shift 2
    binary=$llmrun folder=.
    [ "$number" = 0 ] || binary=$other folder=$there
    (cd "$folder" && env RANK="$number" WORLD_SIZE=2 LOCAL_RANK="$number" LOCAL_WORLD_SIZE=2 LLMRUN_RENDEZVOUS="127.0.0.1:$port" \
        LLMRUN_SECRET=0123456789abcdef0123456789abcdef "$binary" train tiny.yaml --steps 2 --run.threads 1 --log.level error \
        --parallel.timeout 20 --run.dir run "$@") >"out.$number" 2>"err.$number"
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
differ 'parallel.loss_chunk' --parallel.tp 2 -- --parallel.loss_chunk 16
differ 'checkpoint.every' -- --checkpoint.every 1
differ 'train.steps' -- --train.steps 3

# Another program: of another version, of the same version.
export LLMRUN_BACKEND_PATH="$plugins:${plugins%-test}"
version=$("$llmrun" --version | grep -o '[0-9]*\.[0-9]*\.[0-9]*' | head -n 1)
later=$(echo "$version" | sed 's/.$/9/')
LC_ALL=C sed "s/$(echo "$version" | sed 's/\./\\./g')/$later/g" "$llmrun" >later
cp "$llmrun" rebuilt
echo >>rebuilt
chmod +x later rebuilt
other=./later
differ 'version: rank 0 has [0-9.]*, rank 1 has' --
other=./rebuilt
differ 'binary' --
other=$llmrun

# Plugins and, where bits are not promised, what the device computes with.
differ 'parallel.collective: rank 0 has host [0-9.]*, rank 1 has host-faulty' -- --parallel.collective host-faulty
differ 'parallel.collective_options' -- --parallel.collective_options '{transport: tcp}'
differ 'run.cpu_isa' --numerics.exact false --run.cpu_isa auto -- --run.cpu_isa plain
differ 'backend: rank 0 has cpu, rank 1 has faulty' --numerics.exact false -- --run.backend faulty

# Files that have one name and not the same contents: of the model, its weights, the tokenizer.
mkdir else
cp -r tiny.yaml text.txt "$tests/golden/huggingface/llama_fp32" else
cp -r "$tests/golden/huggingface/llama_fp32" .
there=else
of_model='--model.preset= --model.overrides {} --model.path llama_fp32 --data.tokenizer bytes'
sed -i 's/"rms_norm_eps": 1e-06/"rms_norm_eps": 1e-05/' else/llama_fp32/config.json
# shellcheck disable=SC2086
differ 'logical program' $of_model --
cp llama_fp32/config.json else/llama_fp32
sed -i 's/"intermediate_size": 24/"intermediate_size": 32/' else/llama_fp32/config.json
# shellcheck disable=SC2086
differ 'model parameters' $of_model --
cp llama_fp32/config.json else/llama_fp32
head -c -1 llama_fp32/model.safetensors >else/llama_fp32/model.safetensors
printf '\377' >>else/llama_fp32/model.safetensors
# shellcheck disable=SC2086
differ 'weights read' $of_model --model.init weights --
cp -r "$tests/golden/tokenizers/llama3" mine
cp -r mine else
printf '{"eos_token": "<left>"}' >else/mine/tokenizer_config.json
differ 'tokenizer' --data.tokenizer mine --data.seq_len 16 --
there=.

# Ranks that agree train; with exact numerics another instruction set is no difference.
port=$((port + 1))
rm -rf run
rank 0 $port --run.cpu_isa plain &
rank 1 $port --run.cpu_isa auto
wait
[ "$(cat code.0 code.1 | tr '\n' ' ')" = '0 0 ' ] || complain "ranks that agree ended with $(cat code.0 code.1): $(cat err.0 err.1)"
finish
