# No two files of the core, the command or a plugin call each other, directly or around: who reads one of them must read all. Calls
# come from the symbols of the objects in the build folder, includes from the headers.
# `loops_test.sh SOURCE_FOLDER BUILD_FOLDER NM`
source=$1
build=$2
nm=$3
edges=$(mktemp)
trap 'rm -f "$edges"' EXIT

# loops: of edges "A B", those whose B leads back to A.
loops() {
    awk '
        $1 != $2 && !seen[$0]++ { from[++n] = $1; to[n] = $2; after[$1] = after[$1] " " n }
        function leads(start, goal, queue, first, last, reached, list, count, i) {
            queue[last = 1] = start; reached[start] = 1
            for (first = 1; first <= last; first++) {
                if (queue[first] == goal) return 1
                count = split(after[queue[first]], list)
                for (i = 1; i <= count; i++)
                    if (!(to[list[i]] in reached)) { reached[to[list[i]]] = 1; queue[++last] = to[list[i]] }
            }
            return 0
        }
        END { for (e = 1; e <= n; e++) if (leads(to[e], from[e])) print "  " from[e] " -> " to[e] }' "$1"
}

calls() {
    find "$build/core" "$build/bench" "$build/cli" "$build/backends" "$build/collectives" -name '*.c.o' | while read -r object; do
        file=$(echo "${object#"$build/"}" | sed 's|CMakeFiles/[^/]*/||; s|\.o$||')
        [ ! -f "$source/$file" ] || echo "$object" # a file that moved away may have left one
    done | tr '\n' '\0' | xargs -0 "$nm" -A -P |
        awk -v build="$build/" '
            {
                file = $1; sub(/:$/, "", file); sub(build, "", file); sub(/CMakeFiles\/[^\/]*\//, "", file); sub(/\.o$/, "", file)
                match(file, /^(backends\/|collectives\/)?[a-z_]*/) # the core, the command and each plugin share no symbols
                unit = substr(file, RSTART, RLENGTH)
                if (unit == "bench") unit = "cli"
                if ($3 ~ /^[TDBRVW]$/) place[unit, $2] = file
                else if ($3 == "U") { user[++n] = file; symbol[n] = unit SUBSEP $2 }
            }
            END { for (i = 1; i <= n; i++) if (symbol[i] in place) print user[i], place[symbol[i]] }'
}

includes() {
    (cd "$source" && find core bench cli backends collectives include -name '*.h' -exec grep -H '^#include ["<]' {} +) |
        awk -F '[:"<>]' '
            { file = $1; sub(/^(core|include)\//, "", file); sub(/^(backends|collectives)\/[a-z_]*\//, "", file); print file, $3 }'
}

failures=0
for kind in calls includes; do
    $kind >"$edges"
    [ "$(wc -l <"$edges")" -gt 100 ] || { echo "only $(wc -l <"$edges") $kind were found"; failures=1; }
    found=$(loops "$edges")
    [ -z "$found" ] || { printf 'in a loop of %s:\n%s\n' "$kind" "$found"; failures=1; }
done

# The test itself: a loop of three with a tail at each end is found, a chain is not.
printf 'a b\nb c\nc a\nx a\nc y\n' >"$edges"
[ "$(loops "$edges" | wc -l)" -eq 3 ] || { echo 'a loop of three is not seen'; failures=1; }
printf 'a b\nb c\na c\n' >"$edges"
[ -z "$(loops "$edges")" ] || { echo 'a chain is taken for a loop'; failures=1; }
exit $failures
