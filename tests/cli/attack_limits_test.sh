# Limits of a process, and allocations that fail.
. "$(dirname "$0")/attacks.sh"

# limited COMMAND...: a run of 4 steps, with $flags, that the command starts.
limited() {
    rm -rf limited
    timeout 30 "$@" "$llmrun" tiny.yaml --run.dir limited --steps 4 $flags >out 2>err
    code=$?
}
flags=

# A run that gets nowhere is given up after seconds: meanwhile the others go on.
(
    mkdir beside && cp tiny.yaml text.txt beside && cd beside && ulimit -v 100000
    timeout 30 "$llmrun" tiny.yaml --steps 4 >out 2>err
    echo $? >code
) &
beside=$!

# Address space: the system's loader needs some, a library's constructor more.
with_limit() {
    option=$1
    shift
    limited sh -c "ulimit $option $1 && shift && exec \"\$@\"" limit "$@"
}
for kilobytes in ${long:+200000 12000 20000 30000 40000 50000 60000 70000 80000 90000 150000 300000 330000 350000 370000 400000}; do
    with_limit -v $kilobytes
    ends "$kilobytes KB of address space" '0 8'
    right "$kilobytes KB of address space" limited
done
for files in 16 ${long:+5 6 7 8 9 10 11 12 13 14 15 20}; do
    with_limit -n $files
    ends "$files open files" '0 3 4 7'
    right "$files open files" limited
    grep -q 'ended its process' err && complain "$files open files are told as a fault of a plugin: $(cat err)"
done
for kilobytes in 64 256 ${long:+96 128 512 1024 4096}; do
    with_limit -s $kilobytes
    ends "a stack of $kilobytes KB" 0
    right "a stack of $kilobytes KB" limited
done

# Processes and threads. The limit binds nobody who may do everything.
chmod 777 .
nobody='setpriv --reuid 54321 --clear-groups --inh-caps=-all'
[ "$(id -u)" -eq 0 ] || nobody=
# Through prlimit, as below: the first program that setpriv starts may still be found by who was root.
if ! $nobody prlimit --nproc=1000 "$llmrun" --version >/dev/null 2>&1 ||
    $nobody prlimit --nproc=1 sh -c 'sh -c "exit 0" & wait' 2>/dev/null; then
    echo 'skipped: limits of processes; they bind no user here, or the binary cannot be run as one'
else
    for processes in 1 3 5 ${long:+2 4 6 7 8}; do
        for async in false true; do
            # shellcheck disable=SC2086
            flags="--run.threads 2 --checkpoint.async $async"
            limited $nobody prlimit --nproc=$processes
            ends "$processes processes, checkpoint.async $async" '0 8'
            right "$processes processes" limited
        done
    done
    flags=
fi

# The n-th allocation fails, once or from there on.
if preload fail_alloc 'allocations that fail'; then
    LD_PRELOAD=$preload COUNT_ALLOC=$scratch/count "$llmrun" tiny.yaml --run.dir counted --steps 4 >out 2>err
    count=$(cat count)
    [ "$count" -gt 1000 ] || complain "a run has $count allocations"
    step=$((count / 9))
    [ -z "$long" ] || step=$((count / 300))
    call=3
    while [ $call -le "$count" ]; do
        for further in '' +; do
            limited env LD_PRELOAD="$preload" FAIL_ALLOC=$call$further
            # A library of another project may abort while it is loaded: the plugin is named, and that is code 4.
            ends "allocation $call$further fails" '0 4 7 8'
            right "allocation $call fails" limited
        done
        call=$((call + step))
    done
    LD_PRELOAD=$preload COUNT_ALLOC=$scratch/count "$llmrun" checkpoint verify straight >out 2>err
    count=$(cat count) call=1
    step=$((count / 5 + 1))
    [ -z "$long" ] || step=$((count / 100 + 1))
    while [ $call -le "$count" ]; do
        LD_PRELOAD=$preload FAIL_ALLOC=$call "$llmrun" checkpoint verify straight >out 2>err
        code=$?
        ends "verify, allocation $call fails" '0 8'
        call=$((call + step))
    done
fi
wait $beside
cp beside/err err
code=$(cat beside/code)
ends '100000 KB of address space' 8
survived 'limits and allocations'
