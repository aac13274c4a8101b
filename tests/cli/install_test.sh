# What `cmake --install` puts somewhere works from there: the command finds the plugins beside it and trains.
build=$(dirname "$(dirname "$1")")
. "$(dirname "$0")/harness.sh"

fail() {
    echo "$1"
    failures=$((failures + 1))
}

prefix="$scratch/a prefix"
cmake --install "$build" --prefix "$prefix" >log 2>&1 || fail "cmake --install failed: $(cat log)"
llmrun="$prefix/bin/llmrun"
here=$(cd "$prefix" && pwd -P)

"$llmrun" backends --no-probe >list
for name in cpu cpu-ref host null; do
    grep -q "^$name .*usable .* $here/lib.*/llmrun/libllmrun-$name.so\$" list || fail "$name was not found: $(cat list)"
done
[ "$(wc -l <list)" -eq 4 ] || fail "more was installed than three backends and a collective: $(cat list)"
expect 0 out '*step 2/2  loss *' -- --backend cpu --model.preset gpt2-tiny --steps 2 --log.every 1 --run.dir run

for header in types backend collective ops random; do
    [ -f "$prefix/include/llmrun/$header.h" ] || fail "include/llmrun/$header.h was not installed"
done
find "$prefix" -name llmrun-plugin.pc | grep -q . || fail 'llmrun-plugin.pc was not installed'
finish
