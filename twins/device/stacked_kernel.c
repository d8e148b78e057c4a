/* The Euler loop over stacked twins and its adjoint, a node and 16 trials at a time: see twins/device/stacked_kernel.py.
 *
 * Such a tile goes through the whole series alone, so its weights, activations and sums stay in the first-level cache and
 * tiles need not wait for one another. Backward finds the activations of a step again from the path. Plain C with the
 * vector extensions of GCC and Clang, for any processor; no library.
 *
 * samples: (node, time, [response, drive], batch), batch a multiple of LANES; sample `window` - 1 is the start, and step k
 * writes the response of sample window + k. Matrices are (in, out). noise: (step, node, batch).
 */
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define BLOCK 8 /* outputs summed together, in registers */

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int ivec __attribute__((vector_size(LANES * sizeof(int))));

typedef struct {
    long n_nodes, n_time, n_steps, batch, window, n_layers;
    const long *widths;          /* hidden units of one net, a layer */
    const float *window_in;      /* (node, 2 window, C), C = 2 widths[0] + 1 */
    const float *window_back;    /* (node, C, 2 window) */
    const float *bias_in;        /* (node, C) */
    const float *const *inner;   /* n_layers - 1 of (node, 2, in, out) */
    const float *const *turned;  /* the same as (node, 2, out, in) */
    const float *const *inner_bias; /* (node, 2, out) */
    const float *out;            /* (node, 2 last, 2) */
    const float *out_back;       /* (node, 2, 2 last) */
    const float *out_bias;       /* (node, 2) */
    const float *scale, *floor;  /* (node) */
} Stack;

static inline vec load(const float *from) { vec v; memcpy(&v, from, sizeof v); return v; }
static inline void store(float *to, vec v) { memcpy(to, &v, sizeof v); }
static inline vec all(float x) { return x - (vec){0}; }
static inline vec choose(ivec where, vec a, vec b) { return (vec)((where & (ivec)a) | (~where & (ivec)b)); }

static inline vec exp_of(vec x) /* relative error 2e-7 */
{
    x = choose(x < -87.0f, all(-87.0f), choose(x > 88.0f, all(88.0f), x));
    vec n = x * 1.44269504088896341f + 12582912.0f; /* rounds to a whole number */
    n -= 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec power = (__builtin_convertvector(n, ivec) + 127) << 23;
    return p * (vec)power;
}

static inline vec sigmoid(vec x) { return 1.0f / (1.0f + exp_of(-x)); }

static inline vec log_of(vec x) /* x >= 1, relative error 2e-7 */
{
    ivec bits = (ivec)x;
    vec e = __builtin_convertvector((bits >> 23) - 126, vec);
    vec m = (vec)((bits & 0x007fffff) | 0x3f000000);
    ivec low = m < 0.707106781186547524f;
    e = choose(low, e - 1.0f, e);
    m = choose(low, m + m, m) - 1.0f;
    vec z = m * m, p = 7.0376836292e-2f * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z - 2.12194440e-4f * e - 0.5f * z;
    return m + p + 0.693359375f * e;
}

static inline vec softplus(vec x)
{
    vec e = exp_of(x), u = 1.0f + e; /* log(1 + e) keeps its digits where e is small: Kahan's way */
    vec small = choose(u == 1.0f, e, log_of(u) * e / choose(u == 1.0f, all(1.0f), u - 1.0f));
    return choose(x > 20.0f, x, small);
}

/* out (n_out, LANES) = bias + matrix' in; bias may be NULL */
static void product(const float *matrix, const float *bias, const float *in, float *out, long n_in, long n_out)
{
    long o = 0;
    for (; o + BLOCK <= n_out; o += BLOCK) {
        vec sum[BLOCK];
        for (int b = 0; b < BLOCK; b++) sum[b] = all(bias ? bias[o + b] : 0.0f);
        for (long i = 0; i < n_in; i++) {
            vec x = load(in + i * LANES);
            const float *row = matrix + i * n_out + o;
            for (int b = 0; b < BLOCK; b++) sum[b] += row[b] * x;
        }
        for (int b = 0; b < BLOCK; b++) store(out + (o + b) * LANES, sum[b]);
    }
    for (; o < n_out; o++) {
        vec sum = all(bias ? bias[o] : 0.0f);
        for (long i = 0; i < n_in; i++) sum += matrix[i * n_out + o] * load(in + i * LANES);
        store(out + o * LANES, sum);
    }
}

/* NaN is neither above nor below 0, and stays. */
static inline void activate(float *values, long n, int relu)
{
    for (long i = 0; i < n; i++) {
        vec x = load(values + i * LANES);
        store(values + i * LANES, relu ? choose(x <= 0.0f, all(0.0f), x) : sigmoid(x));
    }
}

static inline void times_slope(float *grad, const float *active, long n, int relu)
{
    for (long i = 0; i < n; i++) {
        vec g = load(grad + i * LANES), s = load(active + i * LANES);
        store(grad + i * LANES, relu ? choose(s <= 0.0f, all(0.0f), g) : g * s * (1.0f - s));
    }
}

/* All layers of one step of one tile: layers[0] holds C rows, the last of them the linear model. */
static void forward_step(const Stack *s, long node, const float *seen, float *const *layers, float *last, int relu)
{
    long columns = 2 * s->widths[0] + 1;
    product(s->window_in + node * 2 * s->window * columns, s->bias_in + node * columns, seen, layers[0], 2 * s->window, columns);
    activate(layers[0], columns - 1, relu);
    for (long k = 1; k < s->n_layers; k++) {
        long n_in = s->widths[k - 1], n_out = s->widths[k];
        for (long net = 0; net < 2; net++) {
            long which = 2 * node + net;
            product(s->inner[k - 1] + which * n_in * n_out, s->inner_bias[k - 1] + which * n_out,
                    layers[k - 1] + net * n_in * LANES, layers[k] + net * n_out * LANES, n_in, n_out);
        }
        activate(layers[k], 2 * n_out, relu);
    }
    long width = 2 * s->widths[s->n_layers - 1];
    product(s->out + node * width * 2, s->out_bias + node * 2, layers[s->n_layers - 1], last, width, 2);
}

static float *workspace(const Stack *s, float **layers)
{
    long total = 0;
    for (long k = 0; k < s->n_layers; k++) total += 2 * s->widths[k] + 1;
    float *memory = aligned_alloc(64, (size_t)(total + 2 * s->window) * LANES * sizeof(float));
    for (long k = 0, at = 0; memory && k < s->n_layers; k++) { layers[k] = memory + at * LANES; at += 2 * s->widths[k] + 1; }
    return memory; /* the last 2 window rows: what a step sees */
}

#define MOST_LAYERS 8
#define LOOK_EVERY 256 /* steps of a tile, about a millisecond */
#define DONE 0
#define NO_MEMORY 1
#define STOPPED 2

/* Tiles first to end - 1 (node times batch / LANES) of the path, until *stop is not 0. */
int stacked_run(const Stack *s, float *samples, const float *noise, long first, long end, int relu,
                const volatile int *stop)
{
    float *layers[MOST_LAYERS], last[2 * LANES];
    float *memory = workspace(s, layers);
    if (!memory) return NO_MEMORY;
    float *seen = layers[s->n_layers - 1] + (2 * s->widths[s->n_layers - 1] + 1) * LANES;
    long tiles = s->batch / LANES, columns = 2 * s->widths[0] + 1;
    int result = DONE;
    for (long tile = first; tile < end && result == DONE; tile++) {
        long node = tile / tiles, lane = tile % tiles * LANES;
        float *own = samples + node * s->n_time * 2 * s->batch + lane;
        for (long k = 0; k < s->n_steps; k++) {
            if (k % LOOK_EVERY == 0 && *stop) { result = STOPPED; break; }
            for (long row = 0; row < 2 * s->window; row++)
                store(seen + row * LANES, load(own + (2 * k + row) * s->batch));
            forward_step(s, node, seen, layers, last, relu);
            vec kick = load(noise + (k * s->n_nodes + node) * s->batch + lane);
            vec spread = softplus(load(last + LANES)) * s->scale[node] + s->floor[node];
            vec linear = load(layers[0] + (columns - 1) * LANES);
            store(own + 2 * (k + s->window) * s->batch, linear + load(last) + spread * kick);
        }
    }
    free(memory);
    return result;
}

/* grad (as samples) holds the gradient of the path and takes that of everything seen; grad_bias (tile, C) or NULL. */
int stacked_back(const Stack *s, const float *samples, const float *noise, float *grad, float *grad_bias, long first,
                 long end, int relu, const volatile int *stop)
{
    float *layers[MOST_LAYERS], *backs[MOST_LAYERS], last[2 * LANES];
    float *memory = workspace(s, layers), *more = workspace(s, backs);
    if (!memory || !more) { free(memory); free(more); return NO_MEMORY; }
    long top = s->n_layers - 1, columns = 2 * s->widths[0] + 1, width = 2 * s->widths[top], tiles = s->batch / LANES;
    float *seen = layers[top] + (width + 1) * LANES, *into = backs[top] + (width + 1) * LANES;
    int result = DONE;
    for (long tile = first; tile < end && result == DONE; tile++) {
        long node = tile / tiles, lane = tile % tiles * LANES;
        const float *own = samples + node * s->n_time * 2 * s->batch + lane;
        float *own_grad = grad + node * s->n_time * 2 * s->batch + lane;
        for (long k = s->n_steps - 1; k >= 0; k--) {
            if (k % LOOK_EVERY == 0 && *stop) { result = STOPPED; break; }
            for (long row = 0; row < 2 * s->window; row++)
                store(seen + row * LANES, load(own + (2 * k + row) * s->batch));
            forward_step(s, node, seen, layers, last, relu);
            vec reached = load(own_grad + 2 * (k + s->window) * s->batch);
            vec kick = load(noise + (k * s->n_nodes + node) * s->batch + lane) * s->scale[node];
            store(last, reached);
            store(last + LANES, reached * kick * sigmoid(load(last + LANES)));
            product(s->out_back + node * 2 * width, NULL, last, backs[top], 2, width);
            for (long layer = top; layer > 0; layer--) {
                long n_in = s->widths[layer - 1], n_out = s->widths[layer];
                times_slope(backs[layer], layers[layer], 2 * n_out, relu);
                for (long net = 0; net < 2; net++)
                    product(s->turned[layer - 1] + (2 * node + net) * n_in * n_out, NULL,
                            backs[layer] + net * n_out * LANES, backs[layer - 1] + net * n_in * LANES, n_out, n_in);
            }
            times_slope(backs[0], layers[0], columns - 1, relu);
            store(backs[0] + (columns - 1) * LANES, reached);
            product(s->window_back + node * columns * 2 * s->window, NULL, backs[0], into, columns, 2 * s->window);
            for (long row = 0; row < 2 * s->window; row++) {
                float *to = own_grad + (2 * k + row) * s->batch;
                store(to, load(to) + load(into + row * LANES));
            }
            if (grad_bias)
                for (long c = 0; c < columns; c++) {
                    float sum = 0.0f;
                    for (int b = 0; b < LANES; b++) sum += backs[0][c * LANES + b];
                    grad_bias[tile * columns + c] += sum;
                }
        }
    }
    free(memory);
    free(more);
    return result;
}
