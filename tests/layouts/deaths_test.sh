# A rank that is killed or stopped at a chosen moment: every survivor says which, with operation and step, all end in
# time, nothing stays behind, and the last complete checkpoint goes on with the bits of a run that was never disturbed.
#   `deaths_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
export LLMRUN_BACKEND_PATH="$plugins"
steps=8
timeout=5
binary=$(readlink -f "$llmrun")

# Ranks of this test that still run.
left() {
    find /proc -maxdepth 2 -name exe -lname "$binary" 2>/dev/null | while read -r exe; do
        [ "$(readlink "${exe%exe}cwd")" != "$scratch" ] || echo "${exe%exe}"
    done
}

# job NAME RANKS FLAG... with the order of the fault in the environment.
job() {
    name=$1 ranks=$2
    shift 2
    begin=$(date +%s%N)
    "$llmrun" launch -n "$ranks" -- train tiny.yaml --run.dir "$name" --run.threads 1 --steps $steps --run.backend faulty \
        --parallel.collective host-faulty --parallel.timeout $timeout --checkpoint.every 2 "$@" >"$name.out" 2>"$name.err"
    echo $? >"$name.code"
    echo $((($(date +%s%N) - begin) / 1000000)) >"$name.ms"
}

# told NAME RANKS LOST PATTERN: what every survivor said.
told() {
    for rank in $(seq 0 $(($2 - 1))); do
        said=$1/logs/rank_$rank.log
        [ "$rank" != 0 ] || said=$1.err
        [ "$rank" = "$3" ] || grep -Eq "^llmrun: rank $3 on host [^ ]* \(process [0-9]*\) $4" "$said" ||
            complain "$1: rank $rank said: $(cat "$said")"
        [ "$rank" = "$3" ] || [ -s "$1/logs/rank_$rank.collectives.txt" ] || complain "$1: rank $rank left no record"
    done
    [ "$(cat "$1.code")" = 5 ] || complain "$1: ended with $(cat "$1.code"): $(cat "$1.err")"
    [ "$(cat "$1.ms")" -lt 10000 ] || complain "$1: took $(cat "$1.ms") ms"
}

# The run goes on, on one rank, as if nothing had been.
goes_on() {
    [ -d "$1/ckpt/step_00000002" ] || complain "$1: nothing was saved before"
    [ ! -d "$1/ckpt/step_0000000$steps" ] || complain "$1: the run was over"
    train "$1" --steps $steps --checkpoint.every 2
    wants 0
    contents "$1" $steps >"$1.contents"
    same "$1: weights and moments" reference.contents "$1.contents"
    bits "$1" >"$1.bits"
    same "$1: losses" reference.results "$1.bits"
}

gone='is gone: its connection was closed without a word'
silent="has not been heard for [0-9.]* s \(parallel.timeout is $timeout s\): it is stopped or cut off"
note='(; it was at step [0-9]+ in [a-z_ ]+)?'
called='; ranks? [0-9, to]* called collective [0-9]* of [td]p \([a-z_]* of [0-9]* bytes, step [3-8]\) with it'
at='; rank [0-9] is at step [3-8] in [a-z_ ]+'
own='; this rank is at step [3-8] in [a-z_]+'

reference reference --steps $steps --checkpoint.every 2

# moments NAME RANKS LOST WORDS FLAG... -- KILL STOP: the faults of the two are variables.
moments() {
    name=$1 ranks=$2 lost=$3 words=$4
    shift 4
    flags=
    while [ "$1" != -- ]; do
        flags="$flags $1"
        shift
    done
    # shellcheck disable=SC2086
    (export "FAULT_RANK=$lost" "$3" && job "$name.stopped" "$ranks" $flags) &
    # shellcheck disable=SC2086
    (export "FAULT_RANK=$lost" "$2" && job "$name.killed" "$ranks" $flags)
    # At once others may still be on their way to what they will wait for.
    told "$name.killed" "$ranks" "$lost" "$gone$note($words|$at)\$"
    jobs="$jobs $name:$ranks:$lost"
    eval "words_$name=\$words"
}
jobs=

moments forward 2 1 "$called" --parallel.tp 2 -- FAULTY=kill_forward=7 FAULTY=stop_forward=7
moments exchange 4 2 "$called" --parallel.tp 2 -- HOST_FAULT=kill:80:all_gather HOST_FAULT=stop:80:all_gather
moments reduction 2 1 "$called" -- HOST_FAULT=kill:3:all_reduce HOST_FAULT=stop:3:all_reduce
moments pipeline 2 1 "$at" --parallel.pp 2 --train.micro_batch 1 -- HOST_FAULT=kill:11:send HOST_FAULT=stop:11:send
moments optimizer 2 1 "$called" --parallel.zero 1 -- FAULTY=kill_update=100 FAULTY=stop_update=100
moments first 2 0 "$own" --parallel.tp 2 -- FAULTY=kill_forward=7 FAULTY=stop_forward=7
export LD_PRELOAD="$helpers/kill_at.so"
moments save 4 3 '; rank 0 is at step 4 in a save' --parallel.tp 2 --parallel.zero 1 -- KILL_AT=fsync:2 STOP_AT=fsync:2
unset LD_PRELOAD
wait
for job in $jobs; do
    name=${job%%:*} lost=${job##*:} ranks=${job#*:}
    eval "words=\$words_$name"
    told "$name.stopped" "${ranks%:*}" "$lost" "$silent$note$words\$"
    goes_on "$name.killed"
    goes_on "$name.stopped"
done
[ -z "$(left)" ] || complain "processes are left: $(left)"
[ -z "$(find /dev/shm -name 'llmrun*' ! -name 'llmrun-test-*')" ] || complain "files are left: $(ls /dev/shm)"
finish
