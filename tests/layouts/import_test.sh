# A Hugging Face directory whose head is tied to the embedding is evaluated, continued in text, and trained on in any layout with one
# rank's bits. `import_test.sh BINARY PLUGINS HELPERS`
. "$(dirname "$0")/layouts.sh"
steps=4

for family in gpt2-8 qwen3-8; do
    shape $family 4 >shape
    set --
    while IFS= read -r line; do
        set -- "$@" "$line"
    done <shape
    train first "$@" --steps 60 --data.seq_len 32
    wants 0
    "$llmrun" checkpoint export first tied >out 2>err || complain "export: $(cat err)"
    grep -q '"tie_word_embeddings": *true' tied/config.json || [ $family = gpt2-8 ] || complain "the exported head is not tied"

    "$llmrun" eval --model tied --tokenizer bytes --data text.txt --json >eval.one 2>err
    "$llmrun" generate --model tied --tokenizer bytes --prompt 'the ' --tokens 20 --temperature 0 >text.one 2>err
    set -- --model.path tied --data.seq_len 32 --train.global_batch 8 --steps $steps
    reference one "$@"
    while read -r ranks flags; do
        # shellcheck disable=SC2086
        "$llmrun" launch -n "$ranks" -- eval --model tied --tokenizer bytes --data text.txt --json $flags >eval.other 2>err
        same "$family: evaluation on $ranks ranks, $flags" eval.one eval.other
        # shellcheck disable=SC2086
        "$llmrun" launch -n "$ranks" -- generate --model tied --tokenizer bytes --prompt 'the ' --tokens 20 --temperature 0 $flags >text.other 2>err
        same "$family: text of $ranks ranks, $flags" text.one text.other
        # shellcheck disable=SC2086
        layout one "$ranks" "$@" --train.micro_batch 2 ${flags:---parallel.zero 1}
    done <<'END'
2 --parallel.pp 2
4 --parallel.pp 4
4 --parallel.pp 2 --parallel.tp 2
4
END
    rm -rf first tied one
done
finish
