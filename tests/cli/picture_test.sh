# `llmrun plan --picture` draws what the commands of the ranks say, and the picture of docs/parallel.md is what its
# command draws.
tree=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/harness.sh"

# picture FLAG...: draws into step.svg, which an XML parser takes where there is one.
picture() {
    expect 0 out '*memory of one rank, bytes*' -- plan --model.preset gpt2-tiny --train.global_batch 16 \
        --train.micro_batch 1 --picture step.svg "$@"
    ! command -v xmllint >found || xmllint --noout step.svg || complain "plan $*: no XML"
}

# complain SENTENCE
complain() {
    failures=$((failures + 1))
    echo "$1"
}

# rows NUMBER...: the ranks of the picture, from the top.
rows() {
    drawn=$(sed -n 's/^<g class="rank"><title>rank \([0-9]*\)<.*/\1/p' step.svg | tr '\n' ' ')
    [ "$drawn" = "$* " ] || complain "rows of ranks $drawn, wanted $*"
}

# Of a few ranks all, each pipeline together.
picture --parallel.tp 2 --parallel.pp 2 --world 8
rows 0 4 1 5 2 6 3 7
# What a rank launches, and what it sends over an axis.
for rank in 0 6; do
    "$llmrun" plan --model.preset gpt2-tiny --train.global_batch 16 --train.micro_batch 1 --parallel.tp 2 \
        --parallel.pp 2 --world 8 --rank $rank --dump commands >commands
    wanted=$(sed -n '/^job step/,/^job evaluate/p' commands | grep -c ' launch ')
    launches=$(sed -n "s/.*<title>rank $rank: .*; launches \([0-9]*\).*/\1/p" step.svg | awk '{ n += $1 } END { print n }')
    [ "$launches" = "$wanted" ] || complain "rank $rank: $launches launches in the picture, $wanted in its commands"
    "$llmrun" plan --model.preset gpt2-tiny --train.global_batch 16 --train.micro_batch 1 --parallel.tp 2 \
        --parallel.pp 2 --world 8 --rank $rank >plan
    wanted=$(sed -n 's/^  tp  all_gather *\([0-9]*\) .*/\1/p' plan)
    bytes=$(sed -n "s/.*<title>rank $rank: .*; tp all_gather \([0-9]*\) bytes.*/\1/p" step.svg | awk '{ n += $1 } END { print n }')
    [ "$bytes" = "$wanted" ] || complain "rank $rank: all_gather of $bytes bytes in the picture, $wanted in the plan"
done

# Of more the first dp replica, and of a large one the first rank of each stage.
picture --parallel.tp 2 --parallel.pp 2 --world 16
rows 0 8 1 9
grep -q 'Rows: 4 of the 16 ranks' step.svg || complain 'the picture does not say that it has 4 ranks of 16'
picture --parallel.tp 8 --parallel.pp 4 --world 32
rows 0 8 16 24
# One rank has no other to send to.
picture
rows 0
! grep -q 'class="output"' step.svg || complain 'a rank alone sends'

expect 2 '*parallel.tp 2 x parallel.pp 1 are 2 ranks, and there are 3*' -- plan --model.preset gpt2-tiny \
    --parallel.tp 2 --world 3 --picture other.svg
expect 7 'llmrun: no/step.svg: cannot be written: *' -- plan --model.preset gpt2-tiny --picture no/step.svg
[ ! -e other.svg ] || complain 'a world that cannot be has a picture'

# The command of the documentation.
command=$(sed -n 's/^    llmrun \(plan .*\) --picture docs\/step-tp2-pp2-dp2.svg$/\1/p' "$tree/docs/parallel.md")
# shellcheck disable=SC2086
if [ -z "$command" ] || ! "$llmrun" $command --picture step.svg >out || ! cmp "$tree/docs/step-tp2-pp2-dp2.svg" step.svg; then
    complain 'docs/step-tp2-pp2-dp2.svg is not what the command in docs/parallel.md draws'
fi
finish
