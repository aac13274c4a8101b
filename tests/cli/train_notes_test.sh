# What is not wrong but hardly meant is said, once, on standard error; the bits of the run stay what they are.
. "$(dirname "$0")/training.sh"

# says TIMES TEXT: in err.
says() {
    [ "$(grep -cF "$2" err)" -eq "$1" ] || complain "$command: wanted $1 times: $2
$(cat err)"
}
# rates RUN: step and learning rate.
rates() {
    "$helpers/json_fields" event step lr <"$1/metrics.jsonl" | sed -n 's/^step //p'
}

# A warm-up beyond the last step: 1e-3 x 4 / 40 is all that is reached.
train warm --steps 4 --optim.lr 1e-3 --optim.warmup 40
wants 0
says 1 'warning: optim.warmup is 40 and train.steps 4: the learning rate never reaches optim.lr 0.001, only 0.0001;'
[ "$(grep -c '' err)" -eq 1 ] || complain "$command: $(cat err)"

# A last step at 0, as the cosine has it without a min_lr; several of them where the decay ends early.
train zero --steps 8 --optim.decay cosine --optim.warmup 2
wants 0
says 1 'the learning rate of step 8, the last one, is 0: it changes no weight; optim.decay cosine ends there'
rates zero | tail -n 1 | grep -q '^8 0\(\.0\)*$' || complain "the rate of step 8: $(rates zero | tail -n 1)"
train before --steps 7 --optim.decay cosine --optim.warmup 2 --optim.decay_steps 8
wants 0
[ ! -s err ] || complain "$command: a schedule without a step at 0 said $(cat err)"
train early --steps 8 --optim.decay linear --optim.warmup 2 --optim.decay_steps 6
wants 0
says 1 'warning: the learning rate is 0 from step 6 to 8: these steps change no weight; optim.decay linear ends'
train late --steps 8 --optim.decay wsd --optim.warmup 2 --optim.min_lr 1e-5
wants 0
[ ! -s err ] || complain "$command: $(cat err)"

# More steps than the run began with: a decay up to the last step ends elsewhere.
train longer --steps 4 --optim.decay linear --optim.lr 1e-3 --optim.warmup 0 --optim.min_lr 1e-4
wants 0
train longer --steps 10 --optim.decay linear --optim.lr 1e-3 --optim.warmup 0 --optim.min_lr 1e-4
wants 0
says 1 'warning: train.steps was 4 when the checkpoint was saved and is 10 now: optim.decay linear ends at another step'
says 1 'the learning rate of step 5 is 0.00055 instead of 0.0001'
train longer --steps 11 --optim.decay linear --optim.lr 1e-3 --optim.warmup 0 --optim.min_lr 1e-4
says 1 'train.steps was 10 '
train steady --steps 4
train steady --steps 6
says 0 train.steps

# Steps without a token to learn from: prompts longer than a sequence, answers of one letter.
for line in 1 2 3 4 5 6 7 8; do
    printf '{"prompt": "%070d", "answer": "%s"}\n' $line $line
done >masked.jsonl
train masked --steps 20 --data.train masked.jsonl --data.mask prompt --train.global_batch 1
wants 0
says 1 'warning: step'
says 1 'has no token to learn from: every target of its 1 sequences is masked or padding'
"$helpers/json_fields" event step trained_tokens step_tokens tokens <masked/metrics.jsonl | sed -n 's/^step //p' |
    awk '{ sum += $2; none += $2 == 0; if ($3 != 32 || $4 != sum) exit 1 } END { exit !(none > 0 && none < NR) }' ||
    complain "$command: tokens of the steps: $("$helpers/json_fields" event step trained_tokens tokens <masked/metrics.jsonl)"

# An evaluation of prompts alone: no number, said once.
printf '{"prompt": "%070d", "answer": "x"}\n' 1 2 >none.jsonl
train blind --steps 4 --data.valid none.jsonl --data.mask prompt --train.eval_tokens 32 --train.eval_every 2
wants 0
says 1 'the evaluation has no token to predict: every target of the validation data is masked; its loss is unknown'
"$helpers/json_fields" event loss perplexity tokens <blind/metrics.jsonl | sed -n 's/^eval //p' >evals
[ "$(sort -u evals)" = 'null null 0' ] && [ "$(wc -l <evals)" -eq 2 ] || complain "$command: evaluations: $(cat evals)"
finish
