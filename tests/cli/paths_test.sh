# Paths with what YAML, a shell or a terminal would take for something else: a run, its resumption, eval and generate.
. "$(dirname "$0")/training.sh"

tab=$(printf '\t')
newline='
'
number=0
# Whole folders move: each odd name is that of the data, of the tokenizer and of the run at once.
for name in 'a #b: c' '-d ' '[e]' '[f, g' "'h'" "i\n%s${tab}j${newline}k" 'é😀'; do
    number=$((number + 1))
    mkdir "$number" && cd "$number" || exit 1
    cp ../tiny.yaml .
    head -c 2000 ../text.txt >"$name"
    cp -r "$tests/golden/tokenizer_tiny" "./$name.tokens"
    train "$name.run" --steps 2 --data.train "$name" --data.tokenizer "$name.tokens" --data.valid "$name"
    wants 0
    train "$name.run" --steps 3 --data.train "$name" --data.tokenizer "$name.tokens" --data.valid "$name"
    wants 0 '*resuming from *'
    # What the run wrote of its config reads back: eval and generate take it from there.
    [ "$number" -gt 6 ] || expect 0 out '*at step 3 *' -- eval --model "$name.run" --data "$name"
    expect 0 out 'The run*' -- generate --model "$name.run" --prompt 'The run' --tokens 2
    cd ..
done

# What is not UTF-8 cannot be written into the config of a run; a model and a text to evaluate may be called so.
latin=$(printf 'caf\351')
expect 2 'llmrun: --run.dir: the value of run.dir is not UTF-8, *' -- tiny.yaml --steps 1 --run.dir "$latin"
cp -r "$tests/golden/huggingface/llama_fp32" "$latin" && cp text.txt "$latin.txt"
expect 0 out '*' -- eval --model "$latin" --data "$latin.txt" --tokenizer bytes

# Two files in one list; the environment is read the same way.
head -c 500 text.txt >'one #1'
head -c 500 text.txt >two
train both --steps 1 --data.train '["one #1", two]'
wants 0
LLMRUN_DATA_TRAIN='one #1' LLMRUN_RUN_DIR='by variable #2' "$llmrun" tiny.yaml --steps 1 >out 2>err ||
    complain "variables: $(cat err)"
[ -d 'by variable #2' ] || complain 'LLMRUN_RUN_DIR was not taken as it is'
expect 3 'llmrun: *no such file #1*' -- tiny.yaml --data.train 'no such file #1'
finish
