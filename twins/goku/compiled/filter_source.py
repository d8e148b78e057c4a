"""The C text of a compiled filter: the cubature Kalman filter of ``twins.goku.inference.kalman`` over whole traces, forward only.

A tile of traces goes through all samples at once, one vector lane each; what is done is what that file does, in its order.
All names here are given by us; nothing a user wrote becomes text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from twins.goku.compiled.expressions import Node
from twins.goku.compiled.filter_plan import FilterPlan
from twins.goku.compiled.loops import Statement, loops, number
from twins.goku.compiled.source import vector_functions

LANES = 8
"""Traces in a tile: a vector register of 64 bytes, in float64."""


def filter_source(plan: FilterPlan, *, n_channels: int, by_matrix: bool) -> str:
    """The whole text. by_matrix: channels are a matrix's combinations of outputs; else the outputs themselves."""
    sizes = {
        "S": plan.n_states, "C": len(plan.coefficients), "P": plan.n_parameters, "D": plan.n_drives, "W": LANES,
        "O": len(plan.outputs), "N": n_channels, "BY_MATRIX": int(by_matrix),
        "STATE_DEPENDENT": int(plan.state_dependent),
    }  # fmt: skip
    lines = [f"#define {name} {value}" for name, value in sizes.items()]
    lines.append(f"#define ROOT_S {number(math.sqrt(plan.n_states))}")
    lines += [_HEADER, vector_functions(single=False)]
    lines += [
        _function("prepare", "p", plan.coefficients, "c"), _function("drift", "xcu", plan.drift, "r"),
        _function("diffusion", "xcu", plan.diffusion, "r"), _function("outputs", "xc", plan.outputs, "r"),
    ]  # fmt: skip
    lines += [_factor("factor_of_states", "S"), _factor("factor_of_channels", "N"), _FLOW, _LOOK, _FILTER]
    return "\n".join(lines)


def _function(name: str, inputs: str, outputs: Sequence[Node], into: str) -> str:
    statements: list[Statement] = [(f"{into}[{i}][l]", "=", node) for i, node in enumerate(outputs)]
    given = [f"const lanes *restrict {one}" for one in inputs]
    return f"static void {name}({', '.join([*given, f'lanes *restrict {into}'])})\n{{\n{loops(statements)}\n}}"


def _factor(name: str, size: str) -> str:
    """The lower triangular L with L L' = a, packed by rows; NaN where there is none."""
    return f"""
static INLINE void {name}(const lanes *restrict a, lanes *restrict f)
{{
    UNROLLED for (long i = 0; i < {size}; i++)
        UNROLLED for (long j = 0; j <= i; j++) {{
            T left[W];
            EACH_LANE left[l] = a[i * {size} + j][l];
            UNROLLED for (long k = 0; k < j; k++) EACH_LANE left[l] -= f[AT(i, k)][l] * f[AT(j, k)][l];
            if (i == j) EACH_LANE f[AT(i, i)][l] = sqrt(left[l]);
            else EACH_LANE f[AT(i, j)][l] = left[l] / f[AT(j, j)][l];
        }}
}}"""


_HEADER = """
#include <math.h>
typedef double T;
typedef long M;
#define F(name) name
#define AT_LEAST_1(n) ((n) > 0 ? (n) : 1)
#define EACH_LANE _Pragma("omp simd") for (long l = 0; l < W; l++)
#define UNROLLED _Pragma("GCC unroll 8")
#define INLINE inline __attribute__((always_inline))
#define AT(i, j) ((i) * ((i) + 1) / 2 + (j))  /* of a lower triangle, packed */
typedef T lanes[W];
"""

_FLOW = """
/* Of the state: its range's middle, how far it may be from there, the variance that a covariance has at least. */
typedef struct { const T *middle, *largest, *floor; } limits;

static INLINE void point_of(const lanes *restrict m, const lanes *restrict f, long j, lanes *restrict x)
{
    const long column = j < S ? j : j - S;
    const T sign = j < S ? ROOT_S : -ROOT_S;
    UNROLLED for (long s = 0; s < S; s++) {
        if (s < column) EACH_LANE x[s][l] = m[s][l];
        else EACH_LANE x[s][l] = m[s][l] + sign * f[AT(s, column)][l];
    }
}
static INLINE void rk4(const lanes *restrict x, const lanes *restrict c, const lanes *restrict u, const T *restrict h,
                       lanes *restrict y)
{
    lanes k1[S], k2[S], k3[S], k4[S], z[S];
    drift(x, c, u, k1);
    UNROLLED for (long s = 0; s < S; s++) EACH_LANE { k1[s][l] *= h[l]; z[s][l] = x[s][l] + 0.5 * k1[s][l]; }
    drift(z, c, u, k2);
    UNROLLED for (long s = 0; s < S; s++) EACH_LANE { k2[s][l] *= h[l]; z[s][l] = x[s][l] + 0.5 * k2[s][l]; }
    drift(z, c, u, k3);
    UNROLLED for (long s = 0; s < S; s++) EACH_LANE { k3[s][l] *= h[l]; z[s][l] = x[s][l] + k3[s][l]; }
    drift(z, c, u, k4);
    UNROLLED for (long s = 0; s < S; s++)
        EACH_LANE y[s][l] = x[s][l] + (k1[s][l] + 2.0 * (k2[s][l] + k3[s][l]) + k4[s][l] * h[l]) * (1.0 / 6.0);
}
static INLINE void add_squares(const lanes *restrict x, const lanes *restrict c, const lanes *restrict u,
                               T weight, lanes *restrict q)
{
    lanes g[S];
    diffusion(x, c, u, g);
    UNROLLED for (long s = 0; s < S; s++) EACH_LANE q[s][l] += weight * g[s][l] * g[s][l];
}
static INLINE void floored(const lanes *restrict v, const T *restrict floor, lanes *restrict a)
{
    for (long i = 0; i < S * S; i++) EACH_LANE a[i][l] = v[i][l];
    for (long s = 0; s < S; s++) EACH_LANE a[s * S + s][l] += floor[s];
}
/* Mean m and covariance v of the state over one substep. */
static void flow(const limits *restrict of, const lanes *restrict c, const lanes *restrict u, const T *restrict h,
                 lanes *restrict m, lanes *restrict v)
{
    const T each = 1.0 / (2 * S);
    lanes a[S * S], f[S * (S + 1) / 2], q[S], x[S], y[2 * S][S];
    for (long s = 0; s < S; s++) EACH_LANE q[s][l] = 0.0;
    floored(v, of->floor, a);
#if STATE_DEPENDENT
    factor_of_states(a, f);
    for (long j = 0; j < 2 * S; j++) { point_of(m, f, j, x); add_squares(x, c, u, each, q); }
#else
    add_squares(m, c, u, 1.0, q);
#endif
    for (long s = 0; s < S; s++) EACH_LANE a[s * S + s][l] += q[s][l] * (0.5 * h[l]);
    factor_of_states(a, f);
    for (long j = 0; j < 2 * S; j++) { point_of(m, f, j, x); rk4(x, c, u, h, y[j]); }
    for (long s = 0; s < S; s++) {
        T total[W];
        EACH_LANE total[l] = 0.0;
        for (long j = 0; j < 2 * S; j++) EACH_LANE total[l] += y[j][s][l];
        EACH_LANE m[s][l] = total[l] * each;
    }
#if STATE_DEPENDENT
    for (long s = 0; s < S; s++) EACH_LANE q[s][l] = 0.0;
    for (long j = 0; j < 2 * S; j++) add_squares(y[j], c, u, each, q);
#endif
    for (long j = 0; j < 2 * S; j++)
        for (long s = 0; s < S; s++) EACH_LANE y[j][s][l] -= m[s][l];
    for (long i = 0; i < S; i++)
        for (long k = 0; k <= i; k++) {
            T total[W];
            EACH_LANE total[l] = 0.0;
            for (long j = 0; j < 2 * S; j++) EACH_LANE total[l] += y[j][i][l] * y[j][k][l];
            EACH_LANE { v[i * S + k][l] = total[l] * each; v[k * S + i][l] = total[l] * each; }
        }
    for (long s = 0; s < S; s++) EACH_LANE v[s * S + s][l] += q[s][l] * (0.5 * h[l]);
}
"""

_LOOK = """
/* Of one sample: values, 1 where there is one, variance of the observation. */
typedef struct { lanes values[N], there[N], variance[N]; } sample;

static INLINE void seen_at(const T *restrict matrix, const T *restrict offset, const lanes *restrict x,
                           const lanes *restrict c, lanes *restrict y)
{
#if BY_MATRIX
    lanes o[O];
    outputs(x, c, o);
    for (long n = 0; n < N; n++) {
        T total[W];
        EACH_LANE total[l] = 0.0;
        for (long s = 0; s < O; s++) EACH_LANE total[l] += matrix[n * O + s] * o[s][l];
        EACH_LANE y[n][l] = total[l] + offset[n];
    }
#else
    outputs(x, c, y);
#endif
}
/* Mean m and covariance v of the state once a sample is seen; mean and spread: what was expected of it; twice its negative
   log density, but for a constant, is added to `surprise`. */
static void look(const limits *restrict of, const T *restrict matrix, const T *restrict offset, const lanes *restrict c,
                 const sample *restrict at, lanes *restrict m, lanes *restrict v, lanes *restrict mean,
                 lanes *restrict spread, T *restrict surprise)
{
    const T each = 1.0 / (2 * S);
    lanes a[S * S], f[S * (S + 1) / 2], b[N * (N + 1) / 2], g[N][S], e[N], x[S], y[2 * S][N];
    floored(v, of->floor, a);
    factor_of_states(a, f);
    for (long j = 0; j < 2 * S; j++) { point_of(m, f, j, x); seen_at(matrix, offset, x, c, y[j]); }
    for (long n = 0; n < N; n++) {
        T total[W];
        EACH_LANE total[l] = 0.0;
        for (long j = 0; j < 2 * S; j++) EACH_LANE total[l] += y[j][n][l];
        EACH_LANE total[l] *= each;
        for (long j = 0; j < 2 * S; j++) EACH_LANE y[j][n][l] = (y[j][n][l] - total[l]) * at->there[n][l];
        EACH_LANE mean[n][l] = total[l] * at->there[n][l];
        EACH_LANE e[n][l] = (at->values[n][l] - mean[n][l]) * at->there[n][l];
    }
    for (long n = 0; n < N; n++)
        for (long k = 0; k <= n; k++) {
            T total[W];
            EACH_LANE total[l] = 0.0;
            for (long j = 0; j < 2 * S; j++) EACH_LANE total[l] += y[j][n][l] * y[j][k][l];
            EACH_LANE total[l] *= each;
            if (k == n) EACH_LANE total[l] += at->variance[n][l] * at->there[n][l] + (1.0 - at->there[n][l]);
            EACH_LANE { spread[n * N + k][l] = total[l]; spread[k * N + n][l] = total[l]; }
        }
    for (long n = 0; n < N; n++)  /* covariance of state and sample: the points' deviations are columns of the factor */
        for (long s = 0; s < S; s++) {
            T total[W];
            EACH_LANE total[l] = 0.0;
            for (long j = 0; j <= s; j++) EACH_LANE total[l] += f[AT(s, j)][l] * (y[j][n][l] - y[S + j][n][l]);
            EACH_LANE g[n][s][l] = total[l] * (ROOT_S * each);
        }
    factor_of_channels(spread, b);
    T whole[W];
    EACH_LANE whole[l] = 1.0;
    for (long n = 0; n < N; n++) {
        T scale[W];
        EACH_LANE scale[l] = 1.0 / b[AT(n, n)][l];
        for (long k = 0; k < n; k++) {
            EACH_LANE e[n][l] -= b[AT(n, k)][l] * e[k][l];
            for (long s = 0; s < S; s++) EACH_LANE g[n][s][l] -= b[AT(n, k)][l] * g[k][s][l];
        }
        EACH_LANE e[n][l] *= scale[l];
        for (long s = 0; s < S; s++) EACH_LANE g[n][s][l] *= scale[l];
        EACH_LANE surprise[l] += e[n][l] * e[n][l];
        if (N <= 4) EACH_LANE whole[l] *= b[AT(n, n)][l];
        else EACH_LANE surprise[l] += 2.0 * log(b[AT(n, n)][l]);
    }
    if (N <= 4) EACH_LANE surprise[l] += 2.0 * log(whole[l]);
    for (long n = 0; n < N; n++)
        for (long i = 0; i < S; i++) {
            EACH_LANE m[i][l] += g[n][i][l] * e[n][l];
            for (long k = 0; k < S; k++) EACH_LANE v[i * S + k][l] -= g[n][i][l] * g[n][k][l];
        }
}
"""

_FILTER = """
typedef struct {
    long batch, n_traces, n_samples, substeps;   /* batch: copies of all traces, the traces one after another */
    long blurred;                                /* the state at the first sample: as if a step's noise had just entered */
    double length, unit;                         /* of a step, where they are all the same; the unit of time of the others */
    const T *initial, *parameters, *variance;    /* (batch, number) */
    const T *values; const unsigned char *seen;  /* (sample, trace, channel) */
    const T *drive, *lengths;                    /* (step, trace, drive), (step, trace); NULL where there are none */
    const T *matrix, *offset;                    /* (channel, output), (channel) */
    const T *middle, *largest, *floor;           /* (state) */
    T *mean, *spread;                            /* (sample, batch, channel), (sample, batch, channel, channel), or NULL */
    T *surprise; unsigned char *bad;             /* (batch) */
} run;

static void load(lanes *restrict into, const T *restrict from, long n, const long *restrict row)
{
    for (long s = 0; s < n; s++)
        for (long l = 0; l < W; l++) into[s][l] = from[row[l] * n + s];
}
static void store(T *restrict into, const lanes *restrict from, long n, long filled)
{
    for (long l = 0; l < filled; l++)
        for (long s = 0; s < n; s++) into[l * n + s] = from[s][l];
}

int forward(const run *r, long first, long end)
{
    const limits of = {r->middle, r->largest, r->floor};
    for (long tile = first; tile < end; tile++) {
        const long b0 = tile * W, filled = r->batch - b0 < W ? r->batch - b0 : W;
        long row[W], trace[W];
        for (long l = 0; l < W; l++) row[l] = b0 + (l < filled ? l : filled - 1);
        for (long l = 0; l < W; l++) trace[l] = row[l] % r->n_traces;
        lanes p[P], c[AT_LEAST_1(C)], m[S], v[S * S], u[AT_LEAST_1(D)], mean[N], spread[N * N];
        sample at;
        T h[W], surprise[W], finite[W], inside[W];
        load(p, r->parameters, P, row);
        prepare(p, c);
        load(m, r->initial, S, row);
        load(at.variance, r->variance, N, row);
        for (long i = 0; i < S * S; i++) EACH_LANE v[i][l] = 0.0;
        EACH_LANE { surprise[l] = 0.0; finite[l] = 0.0; inside[l] = 1.0; }
        for (long l = 0; l < W; l++) h[l] = r->length / (T)r->substeps;
        if (r->blurred) {
            lanes q[S];
            for (long s = 0; s < S; s++) EACH_LANE q[s][l] = 0.0;
            if (D > 0) load(u, r->drive, D, trace);
            add_squares(m, c, u, 1.0, q);
            for (long l = 0; l < W; l++) {
                const T whole = r->lengths ? r->lengths[trace[l]] / r->unit : r->length;
                for (long s = 0; s < S; s++) v[s * S + s][l] = q[s][l] * whole;
            }
        }
        for (long k = 0; k < r->n_samples; k++) {
            load(at.values, r->values + k * r->n_traces * N, N, trace);
            for (long n = 0; n < N; n++)
                for (long l = 0; l < W; l++) at.there[n][l] = r->seen[(k * r->n_traces + trace[l]) * N + n];
            look(&of, r->matrix, r->offset, c, &at, m, v, mean, spread, surprise);
            for (long n = 0; n < N; n++) EACH_LANE finite[l] += 0.0 * mean[n][l];  /* NaN once anything is not finite */
            for (long n = 0; n < N * N; n++) EACH_LANE finite[l] += 0.0 * spread[n][l];
            if (r->mean) store(r->mean + (k * r->batch + b0) * N, mean, N, filled);
            if (r->spread) store(r->spread + (k * r->batch + b0) * N * N, spread, N * N, filled);
            if (k + 1 == r->n_samples) break;
            if (D > 0) load(u, r->drive + k * r->n_traces * D, D, trace);
            if (r->lengths)
                for (long l = 0; l < W; l++)
                    h[l] = r->lengths[k * r->n_traces + trace[l]] / ((T)r->substeps * r->unit);
            for (long j = 0; j < r->substeps; j++) flow(&of, c, u, h, m, v);
            for (long s = 0; s < S; s++)
                EACH_LANE inside[l] = fabs(m[s][l] - of.middle[s]) > of.largest[s] ? 0.0 : inside[l];
        }
        for (long s = 0; s < S; s++) EACH_LANE finite[l] += 0.0 * m[s][l];
        for (long l = 0; l < filled; l++) {
            r->surprise[b0 + l] = surprise[l];
            r->bad[b0 + l] = !(finite[l] == 0.0) || inside[l] == 0.0;
        }
    }
    return 0;
}
"""
