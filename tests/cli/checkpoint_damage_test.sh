# Every kind of damage to every file of a checkpoint, through every command that reads one: refused with the name of the
# file, or, where a command does not need what is damaged, the same result as without. Never another one. Bits are flipped
# at LLMRUN_TEST_POSITIONS places of each file (default 3), spread from its first byte to its last.
positions=${LLMRUN_TEST_POSITIONS:-3}
. "$(dirname "$0")/stored_run.sh"
commands='eval generate export verify resume'
cases=0

cp -r clean other
for each in $commands; do
    ask $each other
    wants 0
    mv said right.$each
done
rm -r other

# spoil FILE PATH...: the file is damaged by now, in a copy of the run called spoilt; the commands get each path.
folder=spoilt/ckpt/$newest
spoil() {
    file=$1
    shift
    for each in $commands; do
        [ $each != resume ] || cp -r spoilt/ckpt ckpt.before
        for path; do
            [ $each:$path:$# != resume:spoilt:2 ] || continue
            [ $each != resume ] || path=spoilt
            ask $each $path
            cases=$((cases + 1))
            case $code:$(cat err) in
            3:*"$file"*) ;;
            3:*'the manifest is of'*) [ "$how" = swapped ] || complain "$command, $file $how: $(cat err)" ;;
            0:*'is ignored: '*"$newest"*) [ $path = spoilt ] || complain "$command, $file $how: another was taken" ;;
            0:*) cmp -s said right.$each || complain "$command, $file $how: another result" ;;
            *) complain "$command, $file $how: ended with $code: $(cat err)" ;;
            esac
            [ $code -eq 0 ] || [ ! -e exported ] || complain "$command, $file $how: left a folder"
        done
        [ $each != resume ] || [ $code -eq 0 ] || diff -r ckpt.before spoilt/ckpt >/dev/null ||
            complain "$command, $file $how: changed what is stored"
        rm -rf ckpt.before
    done
    ls -d exported* 2>/dev/null | grep partial && complain "$command, $file $how: left a partial folder"
    rm -rf spoilt
}

flip() {
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\$(printf %o $((byte ^ (1 << $2 % 8))))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>dd
}

files=$(ls clean/ckpt/$newest)
for file in $files; do
    bytes=$(wc -c <"clean/ckpt/$newest/$file")
    place=0
    while [ $place -lt "$positions" ]; do
        cp -r clean spoilt
        offset=$((place * (bytes - 1) / (positions - 1)))
        flip "$folder/$file" $offset
        how="with a bit flipped at $offset"
        spoil "$file" $folder
        place=$((place + 1))
    done
    for how in missing empty shorter longer 'a folder' 'a pipe' swapped; do
        cp -r clean spoilt
        case $how in
        missing) rm "$folder/$file" ;;
        empty) : >"$folder/$file" ;;
        shorter) head -c $((bytes - 1)) "clean/ckpt/$newest/$file" >"$folder/$file" ;;
        longer) echo >>"$folder/$file" ;;
        'a folder') rm "$folder/$file" && mkdir "$folder/$file" ;;
        'a pipe') rm "$folder/$file" && mkfifo "$folder/$file" ;;
        swapped)
            cmp -s "clean/ckpt/step_00000001/$file" "$folder/$file" && rm -r spoilt && continue
            cp "clean/ckpt/step_00000001/$file" "$folder/$file"
            ;;
        esac
        # What is missing or of another step is looked for as a part of a run too.
        case $how:$positions in
        missing:* | swapped:* | *:???*) spoil "$file" $folder spoilt ;;
        *) spoil "$file" $folder ;;
        esac
    done
done

# Files that the manifest does not list change nothing: those of a tokenizer, a model, the ends of texts.
for file in added_tokens.json special_tokens_map.json vocab.json merges.txt tokenizer.model chat_template.jinja; do
    cp -r clean spoilt
    echo '{"eos_token": "e", "x": 5}' >"$folder/$file"
    how='that is not listed'
    spoil "$file" $folder
done
# A checkpoint that is named as a tokenizer or as the directory of a model.
cp -r clean spoilt
flip $folder/tokenizer.json 900
damaged="llmrun: *$folder/tokenizer.json: it is damaged*"
expect 3 "$damaged" -- tiny.yaml --run.dir new --steps 1 --data.tokenizer $folder
expect 3 "$damaged" -- base.yaml --run.dir new --steps 1 --model.path $folder --model.init random
expect 3 "$damaged" -- eval --model clean --data text.txt --tokenizer $folder
flip $folder/config.json 30
expect 3 "llmrun: *$folder/config.json: it is damaged*" -- plan base.yaml --model.path $folder
cases=$((cases + 4))
echo "$cases commands on damaged checkpoints"
[ $cases -ge 350 ] || complain "only $cases cases"
finish
