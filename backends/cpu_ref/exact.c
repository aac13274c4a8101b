#include "cpu_ref/exact.h"

#include <math.h>

float exact_exp(float x)
{
    const float magic = 0x1.8p+23f;
    float n, r, p;

    if (x > 89.0f)
        return INFINITY;
    if (x < -104.0f)
        return 0.0f;
    if (x != x)
        return x;
    n = fmaf(x, 0x1.715476p+0f, magic) - magic;
    r = fmaf(-n, 0x1.62e4p-1f, x);
    r = fmaf(-n, 0x1.7f7d1cp-20f, r);
    p = 0x1.6db4cap-10f;
    p = fmaf(p, r, 0x1.123bdep-7f);
    p = fmaf(p, r, 0x1.55545ep-5f);
    p = fmaf(p, r, 0x1.55548ep-3f);
    p = fmaf(p, r, 0.5f);
    return ldexpf(fmaf(r * r, p, r) + 1.0f, (int)n);
}

float exact_log(float x)
{
    int exponent;
    float m, e, f, p;

    if (x == 0.0f)
        return -INFINITY;
    if (x != x || x < 0.0f)
        return NAN;
    if (isinf(x))
        return x;
    m = frexpf(x, &exponent);
    if (m < 0x1.6a09e6p-1f) {
        m *= 2.0f;
        exponent--;
    }
    e = (float)exponent;
    f = m - 1.0f;
    p = -0x1.41f00ep-4f;
    p = fmaf(p, f, 0x1.07d144p-3f);
    p = fmaf(p, f, -0x1.0ce04cp-3f);
    p = fmaf(p, f, 0x1.226e4p-3f);
    p = fmaf(p, f, -0x1.54788ep-3f);
    p = fmaf(p, f, 0x1.99a596p-3f);
    p = fmaf(p, f, -0x1.00022p-2f);
    p = fmaf(p, f, 0x1.55554ap-2f);
    p = fmaf(p, f, -0.5f);
    p = fmaf(e, 0x1.7f7d1cp-20f, f * f * p);
    return fmaf(e, 0x1.62e4p-1f, f + p);
}

static float gelu_argument(float x)
{
    return x * fmaf(x * x, 0x1.2444f2p-4f, 0x1.988454p+0f);
}

float exact_gelu(float x)
{
    float u = gelu_argument(x);
    float e = exact_exp(-fabsf(u));

    return x * ((u < 0.0f ? e : 1.0f) / (1.0f + e));
}

float exact_gelu_slope(float x)
{
    float u, e, r, s, du;

    if (x < -12.0f)
        x = -12.0f;
    if (x > 12.0f)
        x = 12.0f;
    u = gelu_argument(x);
    e = exact_exp(-fabsf(u));
    r = 1.0f / (1.0f + e);
    s = u < 0.0f ? e * r : r;
    du = fmaf(x * x, 0x1.b6676cp-3f, 0x1.988454p+0f);
    return fmaf(x * (e * r * r), du, s);
}

float exact_normal(uint32_t word)
{
    static const float middle[] = {0x1.5aa21cp-25f,  0x1.04f98ep-21f, -0x1.4ee8f6p-18f,
                                   -0x1.a1483ap-18f, 0x1.442adap-12f, -0x1.d0c8b2p-10f,
                                   -0x1.8332a8p-8f,  0x1.652c86p-2f,  0x1.0fc8bep+1f};
    static const float tail[] = {-0x1.cd85d4p-16f, -0x1.1ee1f8p-12f, 0x1.c2140cp-11f, -0x1.0be01ep-10f, 0x1.68d496p-10f,
                                 -0x1.7b774cp-9f,  0x1.324adcp-8f,   0x1.6cb4bap+0f,  0x1.2de4c4p+2f};
    int64_t q = (int64_t)word - 2147483648;
    int64_t from_edge = q < 0 ? (int64_t)word : 2147483647 - q;
    float x = ((float)q + 0.5f) * 0x1p-31f;
    float d = ((float)from_edge + 0.5f) * 0x1p-31f;
    float w = -exact_log(d * (2.0f - d));
    float t = w < 5.0f ? w - 2.5f : sqrtf(w) - 3.5f;
    const float *coefficient = w < 5.0f ? middle : tail;
    float p = coefficient[0];

    for (int i = 1; i < 9; i++)
        p = fmaf(p, t, coefficient[i]);
    return p * x;
}

float exact_tree(const float lanes[EXACT_LANES])
{
    float sum[EXACT_LANES];

    for (int j = 0; j < EXACT_LANES; j++)
        sum[j] = lanes[j];
    for (int half = EXACT_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] = sum[j] + sum[j + half];
    return sum[0];
}

double exact_tree_double(const double lanes[EXACT_LANES])
{
    double sum[EXACT_LANES];

    for (int j = 0; j < EXACT_LANES; j++)
        sum[j] = lanes[j];
    for (int half = EXACT_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] = sum[j] + sum[j + half];
    return sum[0];
}
