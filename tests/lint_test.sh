# scripts/lint ends with 1 and names the file for each rule that is broken, and with 0 where none is.
# `lint_test.sh LINT`
lint=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# finds RULE FILE TEXT: a tree with that file breaks the rule.
finds() {
    rm -rf "$scratch/tree"
    mkdir "$scratch/tree"
    printf '%s\n' "$3" >"$scratch/tree/$2"
    said=$("$lint" "$scratch/tree") && {
        failures=$((failures + 1))
        echo "$1 in $2: lint ended with 0"
    }
    case $said in
    *"$1"*) ;;
    *)
        failures=$((failures + 1))
        printf '%s in %s: lint said\n%s\n' "$1" "$2" "$said"
        ;;
    esac
}

finds 'a note to self' note.c "/* TO""DO: later */"
finds 'a path of one machine' path.md "see /ho""me/someone/file"
finds 'blanks at the end' blank.c 'int blank; '
finds 'more than 120 characters' wide.c "int $(awk 'BEGIN { while (i++ < 120) printf "x" }');"
finds 'more than 800 lines' tall.c "$(awk 'BEGIN { while (i++ < 801) print "int a" i ";" }')"
finds 'source files are too long' median.c "$(awk 'BEGIN { while (i++ < 460) print "int a" i ";" }')"
if command -v clang-format-14 >/dev/null; then
    finds 'clang-format-14' spaced.c 'int   spaced;'
else
    echo 'skipped: clang-format-14 is missing'
fi

mkdir "$scratch/good"
echo 'int good;' >"$scratch/good/good.c"
"$lint" "$scratch/good" || {
    failures=$((failures + 1))
    echo 'lint did not end with 0 on a good tree'
}
[ "$failures" -eq 0 ]
