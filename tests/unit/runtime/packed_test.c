/* Packed documents: what the model says of one does not depend on those beside it. */
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DOCUMENT 6 /* tokens of the document that is looked at */

/* The loss of the document's predictions when it begins at `place` of a row, behind a document of tokens that are
 * multiples of `before`. What follows it is padding. */
static double loss_of_document_at(struct tiny *tiny, int place, int before)
{
    int32_t *targets, *tokens, *positions, *starts;
    float *weights;

    tiny_ok(tiny, executor_begin(tiny->executor, &tiny->error));
    targets = tiny_input(tiny, "eval.targets");
    weights = tiny_input(tiny, "eval.weights");
    tokens = tiny_input(tiny, "eval.tokens");
    positions = tiny_input(tiny, "eval.positions");
    starts = tiny_input(tiny, "eval.segment_starts");
    for (int i = 0; i < TINY_EVAL_BATCH * TINY_SEQUENCE; i++) {
        int at = i % TINY_SEQUENCE - place; /* in the document, where it is 0 to DOCUMENT - 1 */
        bool inside = i < TINY_SEQUENCE && at >= 0 && at < DOCUMENT;

        starts[i] = at < 0 ? 0 : at < DOCUMENT ? place : place + DOCUMENT;
        positions[i] = i % TINY_SEQUENCE - starts[i];
        tokens[i] = at < 0 ? (at + TINY_SEQUENCE) * before % TINY_VOCABULARY : inside ? 11 + 5 * at : 0;
        targets[i] = inside ? 11 + 5 * at + 5 : 0;
        weights[i] = inside ? 1.0f : 0.0f;
    }
    *(float *)tiny_input(tiny, "inverse_tokens") = 1;
    tiny_ok(tiny, executor_submit(tiny->executor, JOB_EVALUATE, &tiny->error));
    tiny_ok(tiny, executor_collect(tiny->executor, &tiny->error));
    return *(const double *)executor_result(tiny->executor, tiny_value(tiny, "eval.losses"));
}

static void a_document_is_predicted_alike_alone_and_behind_any_other(void **state)
{
    struct compile_request request = tiny_request();
    struct tiny tiny;
    double alone, behind;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    alone = loss_of_document_at(&tiny, 0, 1);
    behind = loss_of_document_at(&tiny, 7, 3);
    assert_true(alone > 1);
    assert_true(fabs(alone - behind) < 1e-5);
    assert_true(loss_of_document_at(&tiny, 7, 13) == behind);
    tiny_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_predicted_alike_alone_and_behind_any_other),
    };

    return cmocka_run_group_tests_name("runtime packed", tests, NULL, NULL);
}
