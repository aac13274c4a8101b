# A few steps of two ranks with all that runs beside them: an evaluation, saves on a thread of their own, shared memory
# and TCP, and a rank that is killed. For the builds with sanitizers, which say what they find on stderr and end the
# process with a code of their own.   `step_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
export LLMRUN_BACKEND_PATH="$plugins:${plugins%-test}"
export TSAN_OPTIONS="exitcode=66 $TSAN_OPTIONS" ASAN_OPTIONS="exitcode=67 $ASAN_OPTIONS"
# ThreadSanitizer knows no threads in a child of a process with threads: there plugins are loaded untried.
untried=
! ldd "$llmrun" | grep -q libtsan || untried="LD_PRELOAD=$helpers/kill_at.so FULL_AT=fork:1+"
fault=
port=$((26000 + $$ * 8 % 6000))

# Two ranks of a run, by hand.
launch() {
    folder=$1
    shift
    command="two ranks, train --run.dir $folder $*"
    port=$((port + 1))
    mkdir -p "$folder/logs"
    for number in 1 0; do
        order=
        [ $number = 0 ] || order=$fault
        # shellcheck disable=SC2086
        env $untried $order RANK=$number WORLD_SIZE=2 LOCAL_RANK=$number LOCAL_WORLD_SIZE=2 LLMRUN_RENDEZVOUS=127.0.0.1:$port \
            LLMRUN_SECRET=0123456789abcdef0123456789abcdef "$llmrun" train tiny.yaml --run.dir "$folder" --run.threads 1 \
            --parallel.timeout 30 --checkpoint.every 2 "$@" >"out.$number" 2>"$folder/logs/rank_$number.log" &
        eval "process_$number=\$!"
    done
    wait $process_0
    code=$?
    cp "$folder/logs/rank_0.log" err
    wait $process_1
}

clean() {
    for said in "$folder"/logs/rank_*.log; do
        ! grep -Eq 'Sanitizer|runtime error' "$said" || complain "$command: $said has $(head -n 60 "$said")"
    done
}

# two RUN FLAG...
two() {
    launch "$@" --steps 4 --data.valid text.txt --train.eval_tokens 256 --train.eval_every 2 --checkpoint.async true
    wants 0
    clean
}

two tp --parallel.tp 2
two zero --parallel.zero 1 --parallel.collective_options '{transport: tcp}'
two pp --parallel.pp 2 --train.micro_batch 1 --parallel.schedule zero-bubble
fault=HOST_FAULT=kill:40:all_gather # of rank 1
launch killed --steps 8 --parallel.tp 2 --parallel.collective host-faulty
wants 5
clean
finish
