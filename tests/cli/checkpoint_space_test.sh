# A disk that fills at LLMRUN_TEST_SIZES places (default 5) of a save, and a folder that can only be read: exit code 7,
# the newest checkpoint is whole, and once there is room the run ends with the losses and weights of one that had it.
sizes=${LLMRUN_TEST_SIZES:-5}
. "$(dirname "$0")/training.sh"

cat >disk.sh <<'END'
llmrun=$1 sizes=$2
mount -t tmpfs -o size=4m none disk || exit 77
train() {
    "$llmrun" tiny.yaml --run.dir disk/run --model.overrides.n_layer 1 --checkpoint.every 1 --checkpoint.keep 1 "$@" >out 2>err
    code=$?
}
number=0
while [ $number -lt $sizes ]; do
    rm -rf disk/run disk/filler
    train --steps 2
    [ $code -eq 0 ] || { echo "with room: $(cat err)"; exit 1; }
    one=$(du -sk disk/run/ckpt | cut -f 1)
    free=$(df -k --output=avail disk | tail -n 1)
    # From no room at all to a little more than a save takes.
    dd if=/dev/zero of=disk/filler bs=1k count=$((free - number * (one + 80) / (sizes - 1))) 2>dd
    train --steps 4
    case $code in
    0) ;;
    7) grep -q '^llmrun: .*disk/run' err || { echo "size $number: said $(cat err)"; exit 1; } ;;
    *) echo "size $number: ended with $code: $(cat err)"; exit 1 ;;
    esac
    echo "$code" >>codes
    "$llmrun" checkpoint verify disk/run >out 2>err || { echo "size $number: $(cat err)"; exit 1; }
    rm disk/filler
    train --steps 5
    [ $code -eq 0 ] || { echo "size $number, room again: $(cat err)"; exit 1; }
    cp -r disk/run full.$number
    number=$((number + 1))
done
mount -o remount,ro disk || exit 77
"$llmrun" tiny.yaml --run.dir disk/run --model.overrides.n_layer 1 --steps 7 >out 2>err
[ $? -eq 7 ] && grep -q '^llmrun: .*disk/run.*: Read-only file system' err || { echo "read-only: $(cat err)"; exit 1; }
"$llmrun" tiny.yaml --run.dir disk/new --model.overrides.n_layer 1 --steps 1 >out 2>err
[ $? -eq 7 ] && grep -q '^llmrun: .*disk/new.*: Read-only file system' err || { echo "read-only, new: $(cat err)"; exit 1; }
for each in "eval --data text.txt --model" "generate --prompt The --tokens 2 --model" 'checkpoint verify' 'checkpoint list'; do
    "$llmrun" $each disk/run >out 2>err || { echo "read-only, $each: $(cat err)"; exit 1; }
done
"$llmrun" checkpoint export disk/run disk/hf >out 2>err
[ $? -eq 7 ] || { echo "read-only, export: $(cat err)"; exit 1; }
END
mkdir disk
unshare=unshare
[ "$(id -u)" -eq 0 ] || unshare='unshare -r'
if ! $unshare -m true 2>/dev/null; then
    echo 'skipped: a full disk; this user may make no mount namespace'
    exit 0
fi
$unshare -m sh disk.sh "$llmrun" "$sizes" >said
case $? in
0)
    train calm --model.overrides.n_layer 1 --steps 5 --checkpoint.every 1 --checkpoint.keep 1
    wants 0
    for each in full.*; do
        same_run "left alone, and on a disk that was full ($each)" calm "$each" 5
    done
    { grep -q 7 codes && grep -q 0 codes; } || complain "the sizes are no sweep: $(tr '\n' ' ' <codes)"
    ;;
77) echo 'skipped: a full disk; this user may mount no tmpfs' ;;
*) complain "$(cat said)" ;;
esac
finish
