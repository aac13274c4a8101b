# For tests of the command: `. harness.sh` with $1 the binary. A check prints what differs; `finish` then ends with 1.
#
#   expect CODE [out|err] PATTERN -- ARGUMENT...
#
# runs the command and wants that exit code and that text on the stream (err when not said). PATTERN is one of the
# shell's, as in a case label.
llmrun=$1
failures=0
tests=$(cd "$(dirname "$0")/.." && pwd)
: "$tests"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
for variable in $(env | sed -n 's/^\(LLMRUN_[A-Z_]*\)=.*/\1/p'); do
    unset "$variable"
done

expect() {
    wanted_code=$1
    shift
    stream=err
    case $1 in out | err)
        stream=$1
        shift
        ;;
    esac
    pattern=$1
    shift 2
    "$llmrun" "$@" >out 2>err
    code=$?
    text=$(cat "$stream")
    if [ "$code" -ne "$wanted_code" ]; then
        failures=$((failures + 1))
        printf 'llmrun %s\n  ended with %s, wanted %s: %s\n' "$*" "$code" "$wanted_code" "$(cat err)"
    fi
    case $text in
    $pattern) ;;
    *)
        failures=$((failures + 1))
        printf 'llmrun %s\n  said:   %s\n  wanted: %s\n' "$*" "$text" "$pattern"
        ;;
    esac
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
}
