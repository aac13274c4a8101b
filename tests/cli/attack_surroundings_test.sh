# What surrounds a process: the clock, the locale, the environment, its folder, and the names of paths.
. "$(dirname "$0")/attacks.sh"

# around WHAT COMMAND...: a run of 4 steps that the command starts, with the bits of `straight`.
around() {
    what=$1
    shift
    rm -rf around
    "$@" "$llmrun" tiny.yaml --run.dir around --steps 4 >out 2>err
    code=$?
    ends "$what" 0
    right "$what" around
    # Numbers are written with a point, whatever the locale.
    "$helpers/json_fields" event loss lr <around/metrics.jsonl >fields || complain "$what: metrics.jsonl is no JSON"
}

# The time of day jumps by years: it names files, and measures nothing.
if preload jump_clock 'a clock that jumps'; then
    around 'a clock that jumps' env LD_PRELOAD="$preload"
    "$helpers/json_fields" event step_ms <around/metrics.jsonl |
        awk '$1 == "step" && ($2 <= 0 || $2 > 60000) { exit 1 }' || complain 'a clock that jumps: step_ms jumps too'
    LD_PRELOAD=$preload "$llmrun" tiny.yaml --run.dir hour --steps 4 --train.time_limit 1h >out 2>err
    code=$?
    ends 'a clock that jumps, with a time limit' 0
    LD_PRELOAD=$preload "$llmrun" tiny.yaml --steps 1 >out 2>err
    code=$?
    ends 'a clock that jumps, and a folder named by it' 0
fi

# Decimal commas, and an i without a dot.
made=
for locale in de_DE tr_TR; do
    mkdir -p locales
    localedef -i $locale -f UTF-8 --no-archive "locales/$locale.UTF-8" >/dev/null 2>&1
    [ -d "locales/$locale.UTF-8" ] || continue
    made="$made $locale"
    around "the locale $locale" env LOCPATH="$scratch/locales" LC_ALL=$locale.UTF-8 LANG=$locale.UTF-8
    LOCPATH=$scratch/locales LC_ALL=$locale.UTF-8 "$llmrun" tiny.yaml --run.dir flags --steps 1 --optim.lr 2.5e-1 \
        --train.ON_SAVE_ERROR stop >out 2>err
    code=$?
    ends "a flag in the locale $locale" 2
done
[ -n "$made" ] || echo 'skipped: locales of Germany and Turkey; localedef makes none here'
around 'a locale that is not there' env LC_ALL=xx_XX.nowhere

# Time zones, and an environment without anything, or with too much.
set -- ../../etc/passwd "$(printf '%05000d' 7)"
[ -z "$long" ] || set -- "$@" '' : Nowhere/Else 'X-99:99:99' 'EST5EDT,M3.2.0,M11.1.0'
for zone in "$@"; do
    around "TZ=$(printf %.20s "$zone")" env TZ="$zone"
done
around 'HOME unset' env -u HOME
around 'an empty environment' env -i
around 'HOME that is not there' env HOME=/nowhere XDG_CACHE_HOME=/nowhere
around 'a long variable' env "LONG=$(printf '%0100000d' 7)"
around 'no threads of OpenMP' env OMP_NUM_THREADS=0
around 'a TMPDIR that is not there' env TMPDIR=/nowhere

# The folder that it runs in is deleted.
gone() {
    mkdir gone
    (cd gone && rmdir ../gone && exec "$llmrun" "$scratch/tiny.yaml" --data.train "$scratch/text.txt" --steps 4 "$@") \
        >out 2>err
    code=$?
}
gone --run.dir "$scratch/around"
ends 'a deleted folder, and a run elsewhere' 0
right 'a deleted folder' around
rm -rf around
gone
ends 'a deleted folder, and a run in it' 7
gone --run.dir here
ends 'a deleted folder, and a run.dir in it' 7

# Names. The folder of the run, its data and its config are called so.
tab=$(printf '\t') newline='
'
set -- ' outer blanks ' "with${newline}a newline" 'ünïcödé 日本語' 'a #b'
[ -z "$long" ] || set -- "$@" 'null' '$(touch pwned)' 'with blanks' ' #c' 'a#b' "it's" 'a"b' 'a\b' "tab${tab}tab" '*' '[x]' '{a: b}' '~' '-x' '1e3' \
    'a:b' "$(printf '%0200d' 1)"
for name in "$@"; do
    mkdir -p paths/"$name"
    cp text.txt "paths/$name/text $name"
    cp tiny.yaml "paths/$name/$name.yaml"
    "$llmrun" train "paths/$name/$name.yaml" --run.dir "paths/$name/run" --data.train "paths/$name/text $name" --steps 2 \
        >out 2>err
    code=$?
    ends "a path called $name" 0
    "$llmrun" train "paths/$name/$name.yaml" --run.dir "paths/$name/run" --data.train "paths/$name/text $name" --steps 4 \
        >out 2>err
    code=$?
    ends "going on in a path called $name" 0
    same_run "a path called $name" straight "paths/$name/run" 4
    "$llmrun" checkpoint verify "paths/$name/run" >out 2>err
    code=$?
    ends "verify of a path called $name" 0
    rm -rf "paths/$name"
done
train "$(printf 'paths/\377')" --steps 1
ends 'a path that is not UTF-8' 2 'llmrun: --run.dir: the value of run.dir is not UTF-8*'
[ ! -e pwned ] || complain 'the name of a path was carried out'

# Full devices for either stream.
if [ -w /dev/full ]; then
    rm -rf around
    "$llmrun" tiny.yaml --run.dir around --steps 4 >out 2>/dev/full
    code=$?
    : >err
    ends 'standard error on a full device' 0
    right 'standard error on a full device' around
    for command in 'config keys' 'config show' backends '--help' 'checkpoint list straight' 'plan tiny.yaml'; do
        # shellcheck disable=SC2086
        "$llmrun" $command >/dev/full 2>err
        code=$?
        ends "$command on a full device" 7 '*the output could not be written*'
    done
fi
survived 'surroundings'
