# Plugins that break the contract: each ends with one sentence that names what happened, and with exit code 4, within
# seconds. The orders are those of tests/plugins/hostile; docs/testing.md counts them.
. "$(dirname "$0")/training.sh"
hostile=$plugins/libllmrun-hostile.so
cases=0

# breaks PATTERN ORDER...: a run with each of these orders ends with 4 and says PATTERN.
breaks() {
    pattern=$1
    shift
    for order in "$@"; do
        HOSTILE=$order
        export HOSTILE
        train hostile --steps 2 --log.level error --backend hostile="$hostile"
        wants 4 "$pattern"
        [ "$(grep -c '' err)" -eq 1 ] || complain "$order: not one sentence: $(cat err)"
        LC_ALL=C grep -q "[$(printf '\001')-$(printf '\037')]" err && complain "$order: control characters: $(cat -v err)"
        rm -rf hostile
        cases=$((cases + 1))
    done
    unset HOSTILE
}
# bears ORDER...: is of no harm, but for what the log says.
bears() {
    for order in "$@"; do
        HOSTILE=$order
        export HOSTILE
        train hostile --steps 2 --backend hostile="$hostile"
        wants 0
        LC_ALL=C grep -q "[$(printf '\001')-$(printf '\037')]" out err && complain "$order: control characters"
        rm -rf hostile
        cases=$((cases + 1))
    done
    unset HOSTILE
}
# What hangs takes its time, so these run beside the others, each in a folder of its own: apart PATTERN ORDER AT.
apart() (
    mkdir "apart.$2" && cp tiny.yaml text.txt "apart.$2" && cd "apart.$2" || exit 1
    HOSTILE=$2 HOSTILE_AT=$3
    export HOSTILE HOSTILE_AT
    train run --steps 9 --log.level error --parallel.timeout 2 --backend hostile="$hostile"
    unset HOSTILE HOSTILE_AT
    wants 4 "$1"
    [ "$(grep -c '' err)" -eq 1 ] || complain "$2: not one sentence: $(cat err)"
    [ "$2" != event-never ] || tail -n 1 run/metrics.jsonl | grep -q '"exit_code":4' ||
        complain "$2: metrics.jsonl does not say so"
    finish
    touch done
)
# 200 MB of address space: a library of the CPU backend tries for ever to start its threads there.
small() (
    mkdir apart.small && cp tiny.yaml text.txt apart.small && cd apart.small && ulimit -v 200000 || exit 1
    "$llmrun" tiny.yaml --run.dir small --steps 1 >out 2>err
    code=$? command='train in 200 MB of address space'
    wants 8 'llmrun: *; the address space is limited to 20[0-9] MB, *'
    finish
    touch done
)
# A run that is stopped for longer than parallel.timeout, and goes on, is not one whose device hangs.
stopped() (
    mkdir apart.stopped && cp tiny.yaml text.txt apart.stopped && cd apart.stopped || exit 1
    begin run --steps 3000 --parallel.timeout 2
    await run 2
    kill -STOP "$process"
    sleep 5
    kill -CONT "$process"
    reap
    wants 0
    finish
    touch done
)
unanswered='llmrun: *so did not answer within 2.0 s: it hung'
apart "$unanswered when it was loaded" constructor-hang 1 &
apart "$unanswered in llmrun_backend_entry" entry-hang 1 &
apart "$unanswered in open" open-hang 1 &
apart "$unanswered in close" close-hang 1 &
apart 'llmrun: device 0 of hostile did not finish section init within 2 s (parallel.timeout)' event-impatient 1 &
apart 'llmrun: device 0 of hostile did not finish section * of step [0-9] within 2 s (parallel.timeout)' event-never 30 &
apart 'llmrun: device 0 of hostile did not finish section * of step [0-9] within [23] s (parallel.timeout): it hangs in event_wait' \
    event_wait-hang 30 &
apart 'llmrun: the backend hostile did not return within * s (parallel.timeout): it hangs in launch' launch-hang 70 &
small &
stopped &
cases=$((cases + 10))

# Found in a child process, before the plugin is loaded here.
for where in count info open close synchronize memory_alloc memory_free host_alloc host_free stream_create stream_destroy \
    event_create event_destroy event_query; do
    breaks "llmrun: the plugin *libllmrun-hostile.so crashed in $where (signal 11, Segmentation fault)" $where-crash
done
breaks 'llmrun: *so crashed when it was loaded (signal 11, *' constructor-crash
breaks 'llmrun: *so crashed when it was loaded (signal 6, Aborted)' constructor-abort
breaks 'llmrun: *so ended its process with code 0 when it was loaded' constructor-exit0 constructor-_exit
breaks 'llmrun: *so ended its process with code 7 when it was loaded' constructor-exit7
breaks 'llmrun: *so crashed in llmrun_backend_entry (signal 11, *' entry-crash
breaks 'llmrun: *so crashed in llmrun_backend_entry (signal 6, *' entry-abort
breaks 'llmrun: *so ended its process with code 0 in llmrun_backend_entry' entry-exit0 entry-_exit
breaks 'llmrun: *so ended its process with code 7 in llmrun_backend_entry' entry-exit7
breaks 'llmrun: *so ended its process with code 7 in count' count-exit7
breaks 'llmrun: *so ended its process with code 0 in open' open-exit0 open-_exit
breaks 'llmrun: *so refused to start: entry fails, ?\[31mas ordered?' entry-fail
breaks 'llmrun: *so cannot be used: hostile: * fails, ?\[31mas ordered? (code 5, vendor code 999)' count-fail info-fail
breaks 'llmrun: hostile: * fails, ?\[31mas ordered? (code 5, vendor code 999)' open-fail stream_create-fail \
    event_create-fail synchronize-fail
breaks 'llmrun: *so crashed when its tables were read *' table-wild table-wild-device table-wild-name
breaks 'llmrun: *so has a backend table that gives its size as *' table-garbage table-size0 table-huge
breaks 'llmrun: *so lacks the entry *' table-null-device table-null-entries table-null-name
breaks 'llmrun: *so contradicts itself: it is named *xxx* in its table, *hostile* in its note' table-long-name
breaks 'llmrun: *it says it has * devices, expected 0 to 65536' count-negative count-huge
breaks 'llmrun: *device 0 gives * as its *, expected 0 or more' info-nan info-infinite info-negative
breaks 'llmrun: *device 0 says its memory is aligned to *, expected a power of two *' info-alignment info-huge-alignment
breaks 'llmrun: *device 0 gives 77 as its exact, expected 0 or 1' info-exact
breaks 'llmrun: hostile: * on device 0 succeeded and gave NULL' open-null stream-null event-null
breaks 'llmrun: *so crashed in memory_alloc *' open-wild
breaks 'llmrun: *so crashed in the host memory that it gave *' host-wild
breaks 'llmrun: hostile: *_alloc gave the address 0, *' memory-zero host-null
breaks 'llmrun: hostile: memory_alloc gave the address *, expected a multiple of 64 *' memory-odd
breaks 'llmrun: hostile: *_alloc gave the address *, in the midst of *' memory-same host-same
breaks 'llmrun: hostile: memory_alloc gave the address *, which ends beyond 2^64' memory-last
breaks 'llmrun: hostile: event_query gave the state 7, *' event-state

# Found in the run.
for where in query prepare launch destroy copy fill event_record stream_wait event_wait; do
    breaks "llmrun: the backend hostile crashed in $where (signal 11, Segmentation fault)" $where-crash
done
breaks 'llmrun: the backend hostile crashed in launch (signal 6, Aborted)' launch-abort
breaks 'llmrun: the backend hostile called exit(7) in *' launch-exit7 query-exit7 event_wait-exit7
breaks 'llmrun: the backend hostile called exit(0) in launch' launch-exit0
breaks 'llmrun: the backend hostile called _exit(0) in *' launch-_exit query-_exit
breaks 'llmrun: *hostile: * fails, ?\[31mas ordered? (code 5, vendor code 999)' query-fail prepare-fail launch-fail \
    copy-fail fill-fail event_record-fail event_wait-fail
breaks 'llmrun: *hostile: a failure with a code that llmrun does not know' event-code
breaks 'llmrun: section init: hostile: prepare on device 0 succeeded and gave NULL' kernel-null
breaks 'llmrun: backend hostile cannot do op init: *' workspace-huge workspace-negative support-unknown reason-escape
for way in thread-crash thread-recursion; do
    HOSTILE=$way "$llmrun" tiny.yaml --run.dir "$way" --steps 5000 --log.level error --backend hostile="$hostile" \
        >out 2>err
    code=$? command="train, $way of the plugin"
    wants 4 'llmrun: the backend hostile crashed in a thread of its own (signal 11, Segmentation fault)'
    cases=$((cases + 1))
done
FAULTY=event=40 "$llmrun" tiny.yaml --run.dir late --steps 9 --log.level error \
    --backend faulty="$plugins/libllmrun-faulty.so" >out 2>err
code=$? command='train, a failure of enqueued work'
wants 4 'llmrun: step *: faulty: the work before event record 4* failed, as ordered (code 5, vendor code 999)'
tail -n 1 late/metrics.jsonl | grep -q '"exit_code":4' || complain "$command: $(tail -n 1 late/metrics.jsonl)"
cases=$((cases + 1))
HOSTILE_AT=70
export HOSTILE_AT
breaks 'llmrun: *hostile: * fails, ?\[31mas ordered?*' launch-fail
breaks 'llmrun: the backend hostile crashed in launch *' launch-crash
HOSTILE_AT=5
breaks 'llmrun: hostile: event_create fails, *' event_create-fail
HOSTILE_AT=2
breaks 'llmrun: hostile: stream_create fails, *' stream_create-fail
unset HOSTILE_AT
bears table-escape info-unterminated info-escape name-escape log-escape log-level elapsed-negative

# Other commands that open a device.
train model --steps 1
wants 0
HOSTILE=event-never HOSTILE_AT=3
export HOSTILE HOSTILE_AT
hangs='llmrun: device 0 of hostile did not finish copying * within 2 s (parallel.timeout)'
expect 4 "$hangs" -- eval --model model --data text.txt --backend hostile="$hostile" --parallel.timeout 2
expect 4 "$hangs" -- generate --model model --prompt x --backend hostile="$hostile" --parallel.timeout 2
HOSTILE=launch-crash HOSTILE_AT=1
for command in "eval --model model --data text.txt" "generate --model model --prompt x" "bench step --model.preset gpt2-tiny"; do
    expect 4 'llmrun: the backend hostile crashed in launch *' -- $command --backend hostile="$hostile"
done
unset HOSTILE HOSTILE_AT
cases=$((cases + 5))

# A device that hangs can be left at once: the second signal ends the process.
HOSTILE=event-never HOSTILE_AT=60
export HOSTILE HOSTILE_AT
begin stuck --steps 100 --backend hostile="$hostile"
unset HOSTILE HOSTILE_AT
await stuck 2
sleep 0.3
kill -TERM "$process"
sleep 0.3
kill -0 "$process" 2>/dev/null || complain 'a run whose device hangs ended with the first signal'
grep -q '^SIGTERM: ' err || complain "a run whose device hangs does not acknowledge the signal: $(cat err)"
kill -TERM "$process"
reap
wants 143
cases=$((cases + 1))

# auto passes over a bad one, and says so; `backends` lists it.
HOSTILE_PRIORITY=1000
export HOSTILE_PRIORITY
passes() {
    pattern=$1
    shift
    for order in "$@"; do
        HOSTILE=$order LLMRUN_BACKEND_PATH=$hostile "$llmrun" tiny.yaml --run.dir auto --steps 1 --run.backend auto \
            >out 2>err
        code=$? command="train by auto, $order"
        wants 0 "*warning: backend auto passes over hostile: $pattern*"
        grep -q '^device *cpu,' out || complain "$command: $(cat out)"
        rm -rf auto
        cases=$((cases + 1))
    done
}
passes '*so crashed *' entry-crash count-crash open-crash table-wild
passes '*so ended its process with code 7 *' entry-exit7 open-exit7
passes 'hostile: open *' open-fail open-null
LLMRUN_BACKEND_PATH=$hostile
HOSTILE=count-crash
export LLMRUN_BACKEND_PATH HOSTILE
expect 0 out '*hostile*refused*crashed in count (signal 11, *device 0: *' -- backends
HOSTILE=info-escape
expect 0 out '*hostile*usable*device 0: red ?\[31m device*' -- backends
LC_ALL=C grep -q "$(printf '\033')" out && complain 'backends: escape sequences'
LLMRUN_BACKEND_PATH=$plugins/libllmrun-loopback.so:$plugins/faulty/libllmrun-faulty-collective.so
expect 0 out '*loopback *usable *collective*host-driven, reaches memory of host*' -- backends
expect 0 out '*faulty-collective *refused *collective*does not export the symbol llmrun_collective_entry*' -- backends
unset LLMRUN_BACKEND_PATH HOSTILE HOSTILE_PRIORITY
cases=$((cases + 2))

# Files that are none.
file() {
    command="--backend hostile=$(printf %.60s "$2")"
    "$llmrun" tiny.yaml --run.dir file --steps 1 --backend hostile="$2" >out 2>err
    code=$?
    wants 4 "llmrun: the backend 'hostile' cannot be used: $1"
    [ "$(grep -c '' err)" -eq 1 ] || complain "$command: not one sentence: $(cat err)"
    cases=$((cases + 1))
}
mkfifo fifo
ln -s loop loop
ln -s nowhere dangling
mkdir folder
file '*is neither a file nor a folder' fifo
file '*cannot be opened: Too many levels of symbolic links' loop
file '*cannot be opened: No such file or directory' dangling
file '*cannot be opened: Is a directory' folder
file '*is neither a file nor a folder' /dev/zero
file '*cannot be opened: File name too long' "$(printf '%04096d' 1)"
ln -s "$hostile" link
train linked --steps 1 --backend hostile=link
wants 0
mkdir many
i=0
while [ $i -lt 300 ]; do
    i=$((i + 1))
    ln "$hostile" many/libllmrun-$i.so 2>/dev/null || cp "$hostile" many/libllmrun-$i.so
done
LLMRUN_BACKEND_PATH=many "$llmrun" backends >out 2>err || complain "300 files of a name: $(cat err)"
[ "$(grep -c '^hostile  *shadowed' out)" -eq 299 ] || complain "300 files of a name: $(grep -c shadowed out)"
cases=$((cases + 2))

wait
for folder in apart.*; do
    [ -e "$folder/done" ] || complain "$folder: see above"
done
echo "$cases cases"
finish
