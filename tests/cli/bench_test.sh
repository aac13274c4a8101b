# The benchmarks run, count and compare; how fast they are is no test.
. "$(dirname "$0")/harness.sh"

tiny='--model.preset gpt2-tiny --data.seq_len 16 --train.global_batch 2 --run.backend cpu --repeat 2'

expect 2 'llmrun: bench needs step | generate | gemm; *' -- bench
expect 2 'llmrun: bench has no part stpe*' -- bench stpe
expect 2 'llmrun: --repeat is 0; *' -- bench step --repeat 0

# shellcheck disable=SC2086 # words
expect 0 out 'gpt2-tiny: 2 sequences of 16 tokens, fp32, exact, on *median of *tokens/s *GFLOP/s *peak RSS *' -- bench step $tiny
# shellcheck disable=SC2086
expect 0 out '*adamw *sum *' -- bench step $tiny --profile
# shellcheck disable=SC2086
expect 0 out '*matmul 32x64 256x64 *' -- bench step $tiny --profile --shapes
# shellcheck disable=SC2086
expect 0 out '{*}' -- bench step $tiny --precision.compute bf16 --profile --json
described=$("$3/json_fields" bench compute exact global_batch seq_len <out)
[ "$described" = 'step bf16 true 2 16' ] || {
    echo "bench step --json describes itself as $described"
    failures=1
}

# Text: the tokens are the same on the reference, one by one and with a profile.
expect 2 'llmrun: --tokens is 1; *' -- bench generate --tokens 1
of_text='--model.preset gpt2-tiny --tokens 5 --prompt 70'
# shellcheck disable=SC2086
expect 0 out 'gpt2-tiny: 5 tokens after 70, fp32, exact, on *median of *tokens/s *GB/s *attention_cached *' -- \
    bench generate $of_text --run.backend cpu --profile
# shellcheck disable=SC2086
expect 0 out '{*}' -- bench generate $of_text --run.backend cpu --json
"$3/json_fields" bench tokens prompt hash <out >of.cpu
# shellcheck disable=SC2086
expect 0 out '{*}' -- bench generate $of_text --run.backend cpu-ref --json
"$3/json_fields" bench tokens prompt hash <out >of.reference
cmp of.cpu of.reference || {
    echo "bench generate on cpu: $(cat of.cpu), on cpu-ref: $(cat of.reference)"
    failures=1
}

# Every exact product has the reference's bits.
expect 0 out '*fp32, 8 rows*equal*bf16, 8 rows*equal*' -- bench gemm --model gpt2-tiny --rows 8 --repeat 1 --run.backend cpu
! grep -q -e differ -e 'not compared' out || {
    echo 'bench gemm: exact products differ from the reference'
    cat out
    failures=1
}
expect 0 out '{"bench":"gemm",*"unequal":0,*"ratio_bf16":*}' -- \
    bench gemm --model gpt2-tiny --rows 8 --repeat 1 --run.backend cpu --json
"$3/json_fields" bench <out >/dev/null || failures=1
expect 0 out '*fp32, 8 rows*self_attn.q_proj.weight *self_attn.k_proj.weight *mlp.gate_proj.weight *mlp.down_proj.weight *head *' -- \
    bench gemm --model llama-tiny --rows 8 --repeat 1 --run.backend cpu
finish
