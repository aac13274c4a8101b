# The committed table of layouts is what its generator makes, and a pairwise cover; one row less is none.
#   `cover_test.sh`
folder=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() {
    echo "$*"
    failures=1
}

awk -v make=pairs -f "$folder/cover.awk" | cmp - "$folder/cover.txt" || fail "cover.txt is not what cover.awk makes"
awk -v make=check -f "$folder/cover.awk" "$folder/cover.txt" || fail "cover.txt is no pairwise cover"
sed 2d "$folder/cover.txt" >"$scratch/less.txt"
! awk -v make=check -f "$folder/cover.awk" "$scratch/less.txt" >/dev/null || fail "a table without its first row counts as a cover"
sed '2s/pp2/pp5/' "$folder/cover.txt" >"$scratch/wrong.txt"
! awk -v make=check -f "$folder/cover.awk" "$scratch/wrong.txt" >/dev/null || fail "a table with pp5 counts as a cover"
exit $failures
