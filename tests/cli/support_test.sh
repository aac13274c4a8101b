# The tables of docs/support.md and README.md are what the backends answer.
tree=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/harness.sh"

if ! "$llmrun" backends --support cpu,cpu-ref,null >support.md || ! diff "$tree/docs/support.md" support.md; then
    echo 'docs/support.md is not what the backends say: cmake --build --preset release --target generate_support'
    failures=1
fi
sed -n '/^## By family/,/^## Op by op/p' support.md | grep '^|' >families
while read -r row; do
    grep -qxF -e "$row" "$tree/README.md" || {
        echo "README.md lacks this row of the support table: $row"
        failures=1
    }
done <families
[ -s families ] || failures=1

expect 2 'llmrun: --support: no backend is called *frobnicate*' -- backends --support cpu,frobnicate
finish
