# What a process is given: descriptors, limits, signals, clock, locale, environment, folders. Whatever they are, a run
# ends with its exit code and a sentence, within seconds, and loses nothing.
. "$(dirname "$0")/training.sh"
train straight --steps 4
wants 0

# as_straight NAME: a run of 4 steps, with the losses and weights of the one above.
as_straight() {
    same_run "$1" straight "$2" 4
    rm -rf "$2"
}

# Standard descriptors that are closed take no file's number. What would be printed goes nowhere.
closed() {
    rm -rf closed
    command="train with descriptors $1 closed"
    sh -c "exec \"\$0\" tiny.yaml --run.dir closed --steps 4 $2" "$llmrun" >out 2>err
    code=$?
    wants 0
    [ "$(head -c 16 closed/metrics.jsonl)" = '{"event":"start"' ] ||
        complain "$command: metrics.jsonl begins with $(head -c 60 closed/metrics.jsonl)"
    [ "$(grep -c '' closed/.lock)" -eq 1 ] || complain "$command: .lock holds $(cat closed/.lock)"
    as_straight "$command" closed
}
closed 0 '<&-'
closed 1 '>&-'
closed 2 '2>&-'
closed '0 and 1' '<&- >&-'
closed '0 and 2' '<&- 2>&-'
closed '1 and 2' '>&- 2>&-'
closed '0, 1 and 2' '<&- >&- 2>&-'
sh -c 'exec "$0" checkpoint verify straight >&- 2>&-' "$llmrun"
code=$? command='verify with descriptors 1 and 2 closed'
wants 0

# A file size limit is a full disk, told before training, or, where the run is to go on, when it is met. The checkpoint
# before stays.
cp -r straight limited
# of_blocks BLOCKS FLAG...: its standard error is a pipe, which has no size.
of_blocks() {
    blocks=$1 command="train with files of at most $*"
    shift
    {
        (ulimit -f "$blocks" && exec "$llmrun" tiny.yaml --run.dir limited --steps 6 "$@" 2>&1 >/dev/null)
        echo $? >code
    } | cat >err
    code=$(cat code)
}
for blocks in 0 1 8 100; do
    of_blocks $blocks
    wants 7 "*llmrun: limited/ckpt: a checkpoint needs files of * bytes, and this process may make none over *"
    of_blocks $blocks --train.on_save_error continue
    wants 7 '*llmrun: limited/*: could not write: File too large'
    expect 0 out '*step_00000004*every byte*' -- checkpoint verify limited
done
train straight --steps 6
wants 0
train limited --steps 6
wants 0
same_run 'after a file size limit' straight limited 6
rm -rf limited straight
train straight --steps 4
finish
