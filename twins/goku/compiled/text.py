"""The parts of a kernel's C text that are the same for every equation; sizes are macros that compiled_source defines."""

HEADER = """
#include <math.h>
#include <stdlib.h>
#define AT_LEAST_1(n) ((n) > 0 ? (n) : 1)
#define EACH_LANE _Pragma("omp simd") for (long l = 0; l < W; l++)
#define EACH for (long s = 0; s < S; s++) EACH_LANE
typedef T lanes[W];
"""

BETWEEN = """
static void between(const lanes *restrict u0, const lanes *restrict u1, T part, lanes *restrict u)
{
    for (long s = 0; s < D; s++) EACH_LANE u[s][l] = u0[s][l] + part * (u1[s][l] - u0[s][l]);
}
static void between_back(const lanes *restrict w, T part, lanes *restrict w0, lanes *restrict w1)
{
    for (long s = 0; s < D; s++) EACH_LANE { w0[s][l] += ((T)1 - part) * w[s][l]; w1[s][l] += part * w[s][l]; }
}"""
"""The drive between two samples, and its adjoint."""

FORWARD = """
/* Rows of memory (trajectory, number) to and from lanes; lanes beyond the batch repeat its last trajectory. */
static void load(lanes *restrict into, const T *restrict from, long n, long filled)
{
    for (long s = 0; s < n; s++)
        for (long l = 0; l < W; l++) into[s][l] = from[(l < filled ? l : filled - 1) * n + s];
}
static void store(T *restrict into, const lanes *restrict from, long n, long filled)
{
    for (long l = 0; l < filled; l++)
        for (long s = 0; s < n; s++) into[l * n + s] = from[s][l];
}
static void add(T *restrict into, const lanes *restrict from, long n, long filled)
{
    for (long l = 0; l < filled; l++)
        for (long s = 0; s < n; s++) into[l * n + s] += from[s][l];
}
typedef struct {
    long batch, n_steps, substeps;
    double length;                                            /* of a step, where they are all the same */
    const T *initial, *parameters, *drive, *lengths, *noise;  /* lengths: NULL, or (step, trajectory) */
    T *path;                                                  /* (step + 1, trajectory, state) */
    T *grad_path, *grad_initial, *grad_parameters, *grad_drive, *grad_noise;
} run;

static void times_of(const run *r, long k, long b0, long filled, T *restrict h, T *restrict root)
{
    for (long l = 0; l < W; l++) {
        const T length = r->lengths ? r->lengths[k * r->batch + b0 + (l < filled ? l : filled - 1)] : (T)r->length;
        h[l] = length / (T)r->substeps;
        root[l] = F(sqrt)(h[l]);
    }
}
static void drives_of(const run *r, long k, long b0, long filled, lanes *restrict u0, lanes *restrict u1)
{
    if (DRIVEN) load(u0, r->drive + (k * r->batch + b0) * D, D, filled);
    if (BETWEEN) load(u1, r->drive + ((k + 1) * r->batch + b0) * D, D, filled);
}
static void kick_of(const run *r, long step, long b0, long filled, const T *restrict root, lanes *restrict kick)
{
    if (!NOISY) return;
    load(kick, r->noise + (step * r->batch + b0) * S, S, filled);
    EACH kick[s][l] *= root[l];
}

int forward(const run *r, long first, long end)
{
    for (long tile = first; tile < end; tile++) {
        const long b0 = tile * W, filled = r->batch - b0 < W ? r->batch - b0 : W;
        lanes p[P], c[AT_LEAST_1(C)], x[S], y[S], kick[S], u0[AT_LEAST_1(D)], u1[AT_LEAST_1(D)];
        T h[W], root[W];
        load(p, r->parameters + b0 * P, P, filled);
        prepare(p, c);
        load(x, r->initial + b0 * S, S, filled);
        store(r->path + b0 * S, x, S, filled);
        times_of(r, 0, b0, filled, h, root);
        for (long k = 0; k < r->n_steps; k++) {
            drives_of(r, k, b0, filled, u0, u1);
            if (r->lengths) times_of(r, k, b0, filled, h, root);
            for (long j = 0; j < r->substeps; j++) {
                kick_of(r, k * r->substeps + j, b0, filled, root, kick);
                step(x, c, u0, u1, (T)j / (T)r->substeps, (T)1 / (T)r->substeps, h, kick, y);
                EACH x[s][l] = y[s][l];
            }
            store(r->path + ((k + 1) * r->batch + b0) * S, x, S, filled);
        }
    }
    return 0;
}

"""

BACKWARD = """
int backward(const run *r, long first, long end)
{
    lanes (*x)[S] = malloc(sizeof(lanes[S]) * (size_t)r->substeps);  /* at the beginning of every substep */
    if (x == NULL) return 1;
    for (long tile = first; tile < end; tile++) {
        const long b0 = tile * W, filled = r->batch - b0 < W ? r->batch - b0 : W;
        lanes p[P], q[P], c[AT_LEAST_1(C)], d[AT_LEAST_1(C)] = {{0}}, y[S], more[S], kick[S], kb[S];
        lanes u0[AT_LEAST_1(D)], u1[AT_LEAST_1(D)], w0[AT_LEAST_1(D)], w1[AT_LEAST_1(D)];
        T h[W], root[W];
        load(p, r->parameters + b0 * P, P, filled);
        prepare(p, c);
        load(y, r->grad_path + (r->n_steps * r->batch + b0) * S, S, filled);
        times_of(r, 0, b0, filled, h, root);
        for (long k = r->n_steps - 1; k >= 0; k--) {
            drives_of(r, k, b0, filled, u0, u1);
            if (r->lengths) times_of(r, k, b0, filled, h, root);
            for (long s = 0; s < D; s++) EACH_LANE { w0[s][l] = 0; w1[s][l] = 0; }
            load(x[0], r->path + (k * r->batch + b0) * S, S, filled);
            const T each = (T)1 / (T)r->substeps;
            for (long j = 0; j + 1 < r->substeps; j++) {
                kick_of(r, k * r->substeps + j, b0, filled, root, kick);
                step(x[j], c, u0, u1, (T)j / (T)r->substeps, each, h, kick, x[j + 1]);
            }
            for (long j = r->substeps - 1; j >= 0; j--) {
                const long number = k * r->substeps + j;
                kick_of(r, number, b0, filled, root, kick);
                EACH kb[s][l] = 0;
                step_back(x[j], c, u0, u1, (T)j / (T)r->substeps, each, h, kick, y, d, w0, w1, kb);
                if (NOISY && r->grad_noise) {
                    EACH kb[s][l] *= root[l];
                    store(r->grad_noise + (number * r->batch + b0) * S, kb, S, filled);
                }
            }
            if (DRIVEN && r->grad_drive) add(r->grad_drive + (k * r->batch + b0) * D, w0, D, filled);
            if (BETWEEN && r->grad_drive) add(r->grad_drive + ((k + 1) * r->batch + b0) * D, w1, D, filled);
            load(more, r->grad_path + (k * r->batch + b0) * S, S, filled);
            EACH y[s][l] += more[s][l];
        }
        store(r->grad_initial + b0 * S, y, S, filled);
        prepare_back(p, d, q);
        store(r->grad_parameters + b0 * P, q, P, filled);
    }
    free(x);
    return 0;
}
"""
