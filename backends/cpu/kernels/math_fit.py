"""Minimax polynomials (Remez exchange) behind math.h and normal.h. Needs mpmath; prints C constants."""

from mpmath import cos, erfinv, exp, expm1, log, lu_solve, matrix, mp, mpf, pi, sqrt

mp.dps = 50


def remez(f, low, high, degree, weight):
    """Coefficients, lowest first, of the polynomial p with the smallest maximum of |weight (f - p)| on [low, high]."""
    low, high = mpf(low), mpf(high)
    count = degree + 2
    points = sorted((low + high) / 2 + (high - low) / 2 * cos(pi * (i + mpf(1) / 2) / count) for i in range(count))
    for _ in range(30):
        rows, values = matrix(count, count), matrix(count, 1)
        for i, x in enumerate(points):
            for k in range(degree + 1):
                rows[i, k] = x**k
            rows[i, degree + 1] = (-1) ** i / weight(x)
            values[i] = f(x)
        solution = lu_solve(rows, values)
        coefficients, level = [solution[k] for k in range(degree + 1)], abs(solution[degree + 1])
        extrema = []
        for i in range(601):
            x = low + (high - low) * i / 600
            error = weight(x) * (f(x) - mp.polyval(coefficients[::-1], x))
            side = error >= 0
            if not extrema or extrema[-1][0] != side:
                extrema.append((side, x, abs(error)))
            elif abs(error) > extrema[-1][2]:
                extrema[-1] = (side, x, abs(error))
        while len(extrema) > count:
            extrema.pop(0 if extrema[0][2] < extrema[-1][2] else -1)
        if len(extrema) < count:
            break
        points = [e[1] for e in extrema]
        if max(e[2] for e in extrema) < level * (1 + mpf(10) ** -3):
            break
    return coefficients, level


def single(x):
    """x rounded to fp32, as a C constant."""
    with mp.workprec(24):
        return float(+x).hex() + "f"


def show(name, coefficients, error):
    print(f"{name}: largest weighted error {float(error):.2e}")
    for power, coefficient in enumerate(coefficients):
        print(f"  x^{power}: {single(coefficient)}")


def exponential(r):
    return (exp(r) - 1 - r) / r**2 if abs(r) > mpf(10) ** -12 else mpf(1) / 2 + r / 6


def logarithm(x):
    return (log(1 + x) - x + x * x / 2) / x**3 if abs(x) > mpf(10) ** -10 else mpf(1) / 3 - x / 4


def normal_ratio(w):
    """z / x of the normal quantile z at the probability (1 + x) / 2, where w = -ln(1 - x^2) (Giles 2010)."""
    x = sqrt(-expm1(-w))
    return sqrt(mpf(2)) * erfinv(x) / x if w > mpf(10) ** -20 else sqrt(pi / 2)


if __name__ == "__main__":
    half = log(2) / 2 * mpf("1.001")
    show("exp: (e^r - 1 - r) / r^2", *remez(exponential, -half, half, 4, lambda r: max(r * r, mpf("1e-6"))))
    low, high = sqrt(mpf(1) / 2) - 1, sqrt(mpf(2)) - 1
    show("log: (ln(1 + f) - f + f^2/2) / f^3", *remez(logarithm, low, high, 7, lambda x: max(x * x, mpf("4e-4"))))
    upper = mpf(float.fromhex("0x1.62e4p-1"))
    print("ln 2 = 0x1.62e4p-1f +", single(log(2) - upper), "; 1 / ln 2 =", single(1 / log(2)))
    slope = 2 * sqrt(2 / pi)
    print("gelu:", *(single(c) for c in (slope, slope * mpf("0.044715"), 3 * slope * mpf("0.044715"))))
    middle = remez(lambda t: normal_ratio(t + mpf("2.5")), mpf("-2.5"), mpf("2.5"), 8, lambda t: 1 / normal_ratio(t + mpf("2.5")))
    show("normal, w < 5, by w - 2.5", *middle)
    tail = remez(lambda t: normal_ratio((t + mpf("3.5")) ** 2), sqrt(mpf(5)) - mpf("3.5"), mpf("1.15"), 8,
                 lambda t: 1 / normal_ratio((t + mpf("3.5")) ** 2))
    show("normal, w >= 5, by sqrt(w) - 3.5", *tail)
