/* Zero-bubble schedules (Qi et al., arXiv 2401.10241): B sends its gradient on before W runs, and W fills what would be
 * idle. Derived here for F, B and W of one unit of time each, p ranks.
 *
 * ZB-H1, one chunk: 1F1B, with W of microbatch i - r after B of microbatch i on rank r. Rank r has p - r microbatches
 * between F and B and r between B and W: p on each rank, which is 1F1B's most. While rank r owes its r W, F and B
 * alternate without W, so gradients come back to rank 0 that much earlier: bubble (p - 1) (tF + tB - tW).
 *
 * ZB-V, two chunks, the model going down the ranks and up again, so that rank 0 has the first and the last stage and
 * each rank may hold 2p chunks' activations (p microbatches' worth). On rank r:
 *  - F of chunk 0 begins at time r, that of chunk 1 at 2p - 1 - r: 2 (p - r) - 1 F of chunk 0 fit between;
 *  - B of chunk 1 begins at 2p + r: r pairs of F of both chunks and one more F fit, and 2p activations are held. From
 *    here, each F needs a W before it;
 *  - chunk 1 alone has work until gradients come back up to chunk 0: F, B, W of chunk 1, until each rank has run p F of
 *    chunk 1 and holds 2p - 1 activations;
 *  - a cycle of six: F, B, W of chunk 0, F, B, W of chunk 1;
 *  - the mirror of the beginning: r pairs of B, whose W wait; then p - r B of chunk 0, each with a W of its chunk; then
 *    the W that wait.
 * With 2p - 1 microbatches and more, rank r is never idle from its first F at time r to its last W. With fewer, runs
 * of microbatches that do not exist are left out. */
#include "schedule/build.h"

static void h1(struct pipeline_builder *builder, int32_t rank)
{
    for (int32_t i = 0; i < builder->shape->ranks - 1 - rank; i++)
        pipeline_add(builder, PIPELINE_F, 0);
    for (int32_t i = 0; i < builder->shape->microbatches; i++) {
        pipeline_add(builder, PIPELINE_F, 0);
        pipeline_add(builder, PIPELINE_B, 0);
        if (i >= rank)
            pipeline_add(builder, PIPELINE_W, 0);
    }
    for (int32_t i = 0; i < rank; i++)
        pipeline_add(builder, PIPELINE_W, 0);
}

/* `count` times the actions of `text`, such as "F0 B0 W1". */
static void repeat(struct pipeline_builder *builder, int32_t count, const char *text)
{
    for (int32_t i = 0; i < count; i++)
        for (const char *at = text; *at != '\0'; at += at[2] == ' ' ? 3 : 2)
            pipeline_add(builder, at[0] == 'F' ? PIPELINE_F : at[0] == 'B' ? PIPELINE_B : PIPELINE_W, at[1] - '0');
}

static void v(struct pipeline_builder *builder, int32_t rank)
{
    int32_t ranks = builder->shape->ranks;

    repeat(builder, 2 * (ranks - rank) - 1, "F0");
    repeat(builder, rank, "F1 F0");
    repeat(builder, ranks - rank, "F1 B1 W1");
    repeat(builder, builder->shape->microbatches - ranks, "F0 B0 W0 F1 B1 W1");
    repeat(builder, rank, "B0 B1");
    repeat(builder, ranks - rank, "B0 W0");
    repeat(builder, rank, "W1");
    repeat(builder, rank, "W0");
}

int pipeline_zero_bubble(const struct pipeline_shape *shape, struct pipeline *pipeline, struct error *error)
{
    int status = pipeline_begin(shape, "zero-bubble", 1, 2, true, pipeline, error);

    pipeline->placement = shape->chunks == 2 ? PIPELINE_V : PIPELINE_LOOP; /* as pipeline_placement_of says */
    for (int32_t rank = 0; status == STATUS_OK && rank < shape->ranks; rank++) {
        struct pipeline_builder builder;

        pipeline_builder_init(&builder, pipeline, rank);
        if (shape->chunks == 1)
            h1(&builder, rank);
        else
            v(&builder, rank);
    }
    return status;
}
