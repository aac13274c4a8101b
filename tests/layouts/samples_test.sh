# A run that goes on three times within an epoch, in its warm-up and in its decay, with another number of data parallel ranks each time,
# takes the samples of a run that never stopped, each once, and ends with its bits. Extents are uneven, so shards differ in size.
#   `samples_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=20

shape uneven 3 >shape
set --
while IFS= read -r line; do
    set -- "$@" "$line"
done <shape
set -- "$@" --data.train text.txt --data.seq_len 32 --train.global_batch 8 --log.level debug \
    --optim.warmup 6 --optim.decay cosine --optim.decay_steps $steps

# taken COPIES FILE...: "STEP SAMPLE TOKEN" of each sample; each was told COPIES times, by the ranks that share its sequence.
taken() {
    copies=$1
    shift
    cat "$@" 2>/dev/null | sed -n 's/^.*step \([0-9]*\): sample \([0-9]*\) begins at token \([0-9]*\)$/\1 \2 \3/p' | sort -k2n | uniq -c |
        awk -v copies="$copies" '$1 != copies { print "sample " $3 " was taken by " $1 " ranks, not " copies } { print $2, $3, $4 }'
}

reference whole "$@" --steps $steps
taken 1 err >whole.samples
[ "$(wc -l <whole.samples)" -eq $((8 * steps)) ] || complain "one rank tells of $(wc -l <whole.samples) samples"
[ "$(cut -d ' ' -f 3 whole.samples | sort -u | wc -l)" -eq $((8 * steps)) ] || complain "one rank takes samples twice"

# go STEP RANKS COPIES FLAG...: on to that step.
go() {
    last=$1 ranks=$2 copies=$3
    shift 3
    rm -rf pieces/logs
    launch pieces "$ranks" "$@" --steps "$last"
    wants 0
    taken "$copies" err pieces/logs/*.log >>pieces.samples
}
go 4 4 1 "$@" --train.micro_batch 2
go 9 4 2 "$@" --train.micro_batch 1 --parallel.tp 2 --parallel.zero 1
go 12 2 2 "$@" --train.micro_batch 4 --parallel.pp 2
go 20 8 1 "$@" --train.micro_batch 1 --parallel.zero 1
same "samples of a run in pieces" whole.samples pieces.samples
results pieces >pieces.results
same "losses of a run in pieces" whole.results pieces.results
contents pieces $steps >pieces.contents
same "weights and moments of a run in pieces" whole.contents pieces.contents

launch refused 4 "$@" --steps 1 --parallel.tp 4
wants 2 '*parallel.tp is 4: * has 2 heads, which 4 ranks cannot share equally; use parallel.tp 2*'
finish
