# What data.train and --data make of files: kinds, compression, what does not fit into memory.
. "$(dirname "$0")/training.sh"

printf 'one two three four five six seven\n' >words.txt
# reads CODE NAME [PATTERN]: training on the file for a step ends so, with this on stderr.
reads() {
    train "run.$2" --data.train "$2" --train.steps 1 --optim.warmup 0 --checkpoint.every 0
    wants "$1" "${3-}"
}
# tokens NAME COUNT: what was read.
tokens() {
    reads 0 "$1" ''
    grep -q "^data  *$2 training tokens" out || complain "$1: wanted $2 tokens: $(grep '^data' out)"
}
tokens words.txt 34
gzip -c words.txt >packed.txt
tokens packed.txt 34
cat packed.txt packed.txt >words.txt.gz
tokens words.txt.gz 68
printf '\357\273\277{"text": "abcdefgh", "id": 18446744073709551616}\r\n{"text": "i", "x": NaN}\n' >LINES.NDJSON
tokens LINES.NDJSON 11
gzip -c LINES.NDJSON >lines.jsonl.gz
tokens lines.jsonl.gz 11
cp LINES.NDJSON lines.txt
reads 0 lines.txt 'warning: lines.txt: its first line is an object of JSONL*'
printf 'Stra\337e\n' >latin.txt
reads 0 latin.txt 'warning: latin.txt: 1 of 7 bytes are not UTF-8, the first at byte 4*'

echo '{"text": ""}' >hollow.jsonl
reads 3 hollow.jsonl 'llmrun: hollow.jsonl holds no text*'
echo '[{"text": "a"}]' >array.json
reads 2 array.json "llmrun: array.json: *JSON*jq -c '.[]'*"
cp array.json array.jsonl
reads 3 array.jsonl 'llmrun: array.jsonl:1: the line is not an object but an array*'
printf 'a,b\n1,2\n' >table.CSV
reads 2 table.CSV 'llmrun: table.CSV: *a table*'
printf 'h\0e\0l\0l\0o\0\n\0' >wide.txt
reads 3 wide.txt 'llmrun: wide.txt: *UTF-16LE; expected UTF-8: iconv -f UTF-16LE -t UTF-8'
head -c 30 packed.txt >cut.gz
reads 3 cut.gz 'llmrun: cut.gz: gzip at byte 30 of 30: the file ends too early*'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5000\n' >pointer.txt
reads 3 pointer.txt "llmrun: pointer.txt is a Git LFS pointer*5000 bytes*'git lfs pull'*"
mkfifo pipe.txt
reads 3 pipe.txt 'llmrun: pipe.txt: *pipe*'
: >empty.txt
reads 3 empty.txt 'llmrun: empty.txt is empty'
expect 3 'llmrun: wide.txt: *' -- eval --model run.words.txt --data wide.txt

# A small file that becomes a text without room.
head -c 250000000 /dev/zero | tr '\0' a | gzip -1 >large.gz
(
    ulimit -v 300000
    reads 8 large.gz 'llmrun: large.gz: *no memory*'
    exit "$failures"
) || failures=$((failures + 1))
finish
