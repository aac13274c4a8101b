# A pipe, a folder, a device or a link in the place of each file of a run: the command ends at once, with a sentence, and
# nothing goes into the pipe or through the link. And a reader of a run that keeps one checkpoint and saves all the time.
. "$(dirname "$0")/training.sh"

train plain --model.overrides.n_layer 1 --steps 2 --checkpoint.every 1
wants 0

# in_place KIND PATH
in_place() {
    rm -rf "$2"
    case $1 in
    pipe) mkfifo "$2" ;;
    folder) mkdir "$2" && echo keep >"$2/file" ;;
    link) ln -s "$PWD/outside" "$2" ;;
    dangling) ln -s "$PWD/nowhere" "$2" ;;
    device) cp -a /dev/null "$2" 2>/dev/null || mknod "$2" c 1 3 ;;
    loop) ln -s loop "$2" ;;
    esac
}
# The time limit ends a command that waits for a pipe.
train_in() {
    command="train --run.dir $1, $kind in the place of $file"
    timeout 20 "$llmrun" tiny.yaml --run.dir "$1" --model.overrides.n_layer 1 --steps 3 >out 2>err
    code=$?
}
mknod device c 1 3 2>/dev/null && kinds='pipe folder link dangling device loop' || kinds='pipe folder link dangling loop'
echo 'not ours' >outside
for kind in $kinds; do
    for file in config.yaml config.resolved.yaml metrics.jsonl .lock ckpt ckpt/step_00000002 ckpt/step_00000003; do
        cp -r plain odd
        in_place "$kind" "odd/$file"
        train_in odd
        case $kind:$file:$code in
        # Found damaged, an older one is gone on from, and what was there stays under another name.
        *:ckpt/*2:0) [ -e odd/$file ] || [ -L odd/$file ] || complain "$command: is gone" ;;
        *:ckpt/*3:0) [ -e odd/$file.damaged ] || [ -L odd/$file.damaged ] || complain "$command: is gone" ;;
        folder:ckpt:0) ;;
        *:0 | *:124 | *:1??) complain "$command: ended with $code: $(cat err)" ;;
        esac
        [ $code -eq 0 ] || grep -q '^llmrun: .*odd' err || complain "$command: said $(cat err)"
        [ "$(cat outside)" = 'not ours' ] && [ ! -e nowhere ] || complain "$command: wrote through the link"
        [ "$kind" != folder ] || [ -e "odd/$file/file" ] || [ -e "odd/$file.damaged/file" ] || complain "$command: removed what is not ours"
        rm -rf odd
    done
done

# Reading while a run saves every step and keeps the newest only.
train kept --model.overrides.n_layer 1 --steps 1 --checkpoint.keep 1
wants 0
# With streams of its own: out and err are those of the commands that read.
"$llmrun" tiny.yaml --run.dir kept --model.overrides.n_layer 1 --steps 1500 --checkpoint.every 1 --checkpoint.keep 1 \
    >kept.out 2>kept.err &
process=$!
reads=0
while kill -0 "$process" 2>/dev/null && [ $reads -lt 10 ]; do
    rm -rf exported
    expect 0 out 'kept/ckpt/step_* at step *: loss *' -- eval --model kept --data text.txt
    expect 0 out 'The run*' -- generate --model kept --prompt 'The run' --tokens 2
    expect 0 out 'exported: *' -- checkpoint export kept exported
    expect 0 out '*every byte of *' -- checkpoint verify kept
    expect 0 out '*' -- checkpoint list kept
    reads=$((reads + 1))
done
kill "$process" 2>/dev/null
reap
command='train kept' && cp kept.err err
wants 75
[ $reads -ge 3 ] || complain "a run that saves was read $reads times"
finish
