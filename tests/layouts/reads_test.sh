# A rank that resumes reads what it has and at most a tenth more, of columns whole rows: shapes are counted here by hand.
#   `reads_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"

layers=4 h=128 positions=64 vocabulary=256
sed "s|^model:.*|model: {preset: demo, overrides: {n_layer: $layers, n_embd: $h, n_head: 4, n_positions: $positions}}|" \
    tiny.yaml >shape.yaml
mv shape.yaml tiny.yaml
train whole --steps 1
wants 0

# reads RANKS FLAG...: leaves what rank R said in said.R, "READ HAS".
reads() {
    ranks=$1
    shift
    rm -rf run
    cp -r whole run
    launch run "$ranks" --steps 2 --log.level debug "$@"
    wants 0
    number=0
    while [ $number -lt "$ranks" ]; do
        log=run/logs/rank_$number.log
        [ $number != 0 ] || log=err
        sed -n 's/.*: \([0-9]*\) bytes of tensors were read, of which this rank has \([0-9]*\)$/\1 \2/p' $log >said.$number
        number=$((number + 1))
    done
    read_0=$(sed 's/ .*//' said.0)
    grep -q "\"event\":\"start\".*\"bytes_read\":$read_0}" run/metrics.jsonl || complain "$command: $(grep start run/metrics.jsonl)"
}

# has RANK ELEMENTS [FURTHER]: the rank has so many, and reads further ones for the rows of its columns. Four bytes each.
has() {
    awk -v has=$((4 * $2)) -v further=$((4 * ${3:-0})) '
        { good = NF == 2 && $2 == has && $1 >= has + further && $1 <= 1.1 * (has + further) }
        END { exit !(NR == 1 && good) }' said.$1 ||
        complain "$command: rank $1 read and has $(cat said.$1); by hand it has $((4 * $2)), and $((4 * ${3:-0})) beside these"
}

table=$((vocabulary * h)) place=$((positions * h)) norm=$((2 * h))
rows=$((7 * h * h + 7 * h))                    # of q, k, v, and the first product of the mlp, which tp cuts by rows, with biases
columns=$((5 * h * h))                         # of the other two products, which tp cuts by columns
layer=$((rows + columns + 2 * h + 2 * norm)) # biases of these, and two norms
all=$((table + place + layers * layer + norm))

# Each with two moments.
for ranks in 2 4; do
    reads $ranks --parallel.tp $ranks
    number=0
    while [ $number -lt $ranks ]; do
        own=$((all - (table + layers * (rows + columns)) * (ranks - 1) / ranks))
        has $number $((3 * own)) $((3 * layers * columns * (ranks - 1) / ranks))
        number=$((number + 1))
    done
done
reads 2 --parallel.pp 2
has 0 $((3 * (table + place + layers / 2 * layer)))
has 1 $((3 * (table + layers / 2 * layer + norm)))
reads 2 --parallel.zero 1
has 0 $((all + 2 * all / 2))
has 1 $((all + 2 * all / 2))
finish
