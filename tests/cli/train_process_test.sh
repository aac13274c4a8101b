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

# A file size limit is a full disk: a sentence, and the checkpoint before stays.
cp -r straight limited
for blocks in 1 8 100; do
    (ulimit -f $blocks && exec "$llmrun" tiny.yaml --run.dir limited --steps 6) >out 2>err
    code=$? command="train with files of at most $blocks blocks"
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
