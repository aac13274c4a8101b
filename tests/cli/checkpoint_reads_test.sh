# Storage that fails while a checkpoint is read: each open, read, question for a size and list of a folder below ckpt, once
# and from then on, through every command. It ends with exit code 7 and a sentence, or as if nothing had failed; never
# with an older checkpoint, never with another result, and what is stored stays as it was. LLMRUN_TEST_STRIDE=1 fails
# every call (default: every 41st).
stride=${LLMRUN_TEST_STRIDE:-41}
. "$(dirname "$0")/stored_run.sh"
preload=$scratch/fail_read.so
if ! cp "$helpers/fail_read.so" "$preload" || ! LD_PRELOAD=$preload "$llmrun" --version >/dev/null 2>&1; then
    echo "skipped: $helpers/fail_read.so cannot be preloaded into this build"
    exit 0
fi
cases=0

# fail COMMAND CALL MOMENT ERRNO ON: whether the moment was reached; the result is looked at.
fail() {
    cp -r clean shaken
    rm -f log
    LD_PRELOAD=$preload FAIL_PATH=shaken/ckpt FAIL_CALL=$2 FAIL_AT=$3 FAIL_WITH=$4 FAIL_ON=$5 FAIL_LOG=$PWD/log
    export LD_PRELOAD FAIL_PATH FAIL_CALL FAIL_AT FAIL_WITH FAIL_ON FAIL_LOG
    ask "$1" shaken
    unset LD_PRELOAD FAIL_PATH FAIL_CALL FAIL_AT FAIL_WITH FAIL_ON FAIL_LOG
    reached=$([ -s log ] && echo yes)
    case $code:$(cat err) in
    0:*'is ignored'*) complain "$command, $2 $3 fails with $4 ($5): an older checkpoint was taken" ;;
    0:*) cmp -s said "right.$1" || complain "$command, $2 $3 fails with $4 ($5): another result" ;;
    7:*llmrun:*shaken/ckpt*) ;;
    *) complain "$command, $2 $3 fails with $4 ($5): ended with $code: $(cat err)" ;;
    esac
    if [ $code -ne 0 ]; then
        diff -r -x '*.partial-*' clean/ckpt shaken/ckpt >diff || complain "$command, $2 $3 fails with $4 ($5): changed $(cat diff)"
        ls -d exported* 2>/dev/null && complain "$command, $2 $3 fails with $4 ($5): left a folder"
    fi
    rm -rf shaken
}

for each in eval generate export verify list resume; do
    cp -r clean shaken
    ask $each shaken
    wants 0
    mv said right.$each
    rm -rf shaken
    for call in open read stat list; do
        moment=1 reached=yes
        # EIO, ESTALE, EACCES, EMFILE, ENOMEM (of open and read: opendir allocates)
        set -- 5 116 13 24
        while [ -n "$reached" ]; do
            fail $each $call $moment "$1" 0
            [ -z "$reached" ] || cases=$((cases + 1))
            fail $each $call $moment "$1" 1
            [ -z "$reached" ] || cases=$((cases + 1))
            set -- "$2" "$3" "$4" "$1"
            moment=$((moment + stride))
        done
    done
done
echo "$cases commands on storage that fails"
[ $cases -ge 40 ] || complain "only $cases cases"
finish
