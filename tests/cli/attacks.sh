# For tests that attack a run from outside: `. attacks.sh` with the arguments of training.sh. Whatever is done to it, a
# run ends within seconds with an exit code of docs/architecture.md and a sentence, and with the right bits where the
# code is 0. ATTACKS=long tries many more.
#
#   ends WHAT CODES [PATTERN]   counts an attack: $code is one of the codes, err says the pattern; a crash never is
#   right WHAT RUN              the run, where its code is 0, has the losses and weights of `straight`
#   preload LIBRARY             LD_PRELOAD for it in $preload; false where this build takes none
. "$(dirname "$0")/training.sh"
attacks=0
long=${ATTACKS:-}
train straight --steps 4
wants 0

ends() {
    attacks=$((attacks + 1))
    case " $2 " in
    *" $code "*) ;;
    *) complain "$1: ended with $code, wanted $2: $(cat err)" ;;
    esac
    if [ "$code" -ne 0 ] && [ "$code" -lt 128 ] && ! grep -q '^llmrun: ' err; then
        complain "$1: ended with $code without a sentence: $(cat err)"
    fi
    case $(cat err) in
    ${3:-*}) ;;
    *) complain "$1: said $(cat err), wanted $3" ;;
    esac
}

right() {
    [ "$code" -ne 0 ] || same_run "$1" straight "$2" 4
}

preload() {
    preload=$scratch/$1.so
    if cp "$helpers/$1.so" "$preload" && LD_PRELOAD=$preload "$llmrun" --version >/dev/null 2>&1; then
        return 0
    fi
    echo "skipped: $2; $helpers/$1.so cannot be preloaded into this build"
    return 1
}

# survived WHAT: the count, for docs/testing.md.
survived() {
    echo "$attacks attacks: $1"
    finish
}
