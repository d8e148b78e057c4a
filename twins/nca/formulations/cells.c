/* Many cells side by side: vectors over neighbouring cells, products of matrices with blocks of cells, what a cell sees.
 *
 * What stands before this text is written by source.py for one spec: N_CHANNELS, N_SEEN, N_FEATURES … and see().
 * Plain C with the vector extensions of GCC and Clang, for any processor; no library.
 *
 * A state has one plane a channel, with one cell of padding on every side: a plane is (height + 2) rows of (width + 2) cells.
 * Blocks of BLOCK cells run along the plane over the ends of rows; what they make of the padding is not used.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define WIDE_ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define WIDE_ROWS 4
#else
#define LANES 4
#define WIDE_ROWS 4
#endif
#define TILE 3 /* vectors of cells by rows of the matrix: what fits into the registers */
#define NARROW_ROWS 4
#define VECTORS (TILE * TILES)
#define BLOCK (LANES * VECTORS)
#define WHOLE(n) (((n) + NARROW_ROWS - 1) / NARROW_ROWS * NARROW_ROWS)

#define ONLY_INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * sizeof(float)), may_alias));
typedef int ivec __attribute__((vector_size(LANES * sizeof(int)), may_alias));

ONLY_INLINE vec load(const float *from) { vec v; memcpy(&v, from, sizeof v); return v; }
ONLY_INLINE vec all(float x) { return x - (vec){0}; }
ONLY_INLINE vec choose(ivec where, vec a, vec b) { return (vec)((where & (ivec)a) | (~where & (ivec)b)); }

ONLY_INLINE void put(float *to, vec v, long left) /* the first `left` lanes */
{
    if (left >= LANES) memcpy(to, &v, sizeof v);
    else if (left > 0) memcpy(to, &v, left * sizeof(float));
}

ONLY_INLINE vec take(const float *from, long left) /* zero beyond the first `left` lanes */
{
    vec v = {0};
    if (left >= LANES) memcpy(&v, from, sizeof v);
    else if (left > 0) memcpy(&v, from, left * sizeof(float));
    return v;
}

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
    ivec power = (__builtin_convertvector(choose(n == n, n, all(0.0f)), ivec) + 127) << 23;
    return p * (vec)power;
}

static inline vec sigmoid(vec x) { return 1.0f / (1.0f + exp_of(-x)); }

static inline vec tanh_of(vec x) /* Cephes: a polynomial near 0, where the exponential loses digits */
{
    vec z = x * x, size = choose(x < 0.0f, -x, x);
    vec p = -5.70498872745e-3f * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vec far = 1.0f - 2.0f / (exp_of(2.0f * size) + 1.0f);
    return choose(size < 0.625f, p * z * x + x, choose(x < 0.0f, -far, far));
}

#define NEEDS_SLOPE (ACTIVATION == SWISH)

#define MAYBE_UNUSED __attribute__((unused))

/* value becomes its activation; slope is the derivative where it cannot be told from the activation. NaN stays NaN. */
ONLY_INLINE vec activated(vec x, MAYBE_UNUSED vec *slope)
{
#if ACTIVATION == RELU
    return choose(x <= 0.0f, all(0.0f), x);
#elif ACTIVATION == TANH
    return tanh_of(x);
#elif ACTIVATION == SWISH
    vec s = sigmoid(x);
    if (slope) *slope = s * (1.0f + x * (1.0f - s));
    return x * s;
#else
    return x;
#endif
}

ONLY_INLINE vec times_slope(vec g, MAYBE_UNUSED vec active, MAYBE_UNUSED const vec *slope)
{
#if ACTIVATION == RELU
    return choose(active <= 0.0f, all(0.0f), g);
#elif ACTIVATION == TANH
    return g * (1.0f - active * active);
#elif ACTIVATION == SWISH
    return g * *slope;
#else
    return g;
#endif
}

/* What becomes of a product before it is stored. */
enum { AS_IT_IS, ACTIVATE, TIMES_SLOPE };

ONLY_INLINE vec finished(vec x, int how, const vec *active, vec *slope)
{
    return how == ACTIVATE ? activated(x, slope) : how == TIMES_SLOPE ? times_slope(x, *active, slope) : x;
}

#define AT(array, i) ((array) ? (array) + (i) : NULL)

/* out (n_out, VECTORS) = first + matrix in; matrix: (tiles of rows, n_in, rows of the tile), see ROWS_OF.
 * active, slope: the units whose activation was found before, see times_slope(). */
#define ROWS_OF(n_out) (WHOLE(n_out) % WIDE_ROWS == 0 ? WIDE_ROWS : NARROW_ROWS)

#define DEFINE_TILES(NAME, ROWS)                                                                                      \
    ONLY_INLINE void NAME(int n_out, int n_in, const float *matrix, const vec *in, const float *first, vec *out,      \
                          int how, const vec *active, vec *slope)                                                     \
    {                                                                                                                 \
        for (int o = 0; o < n_out; o += ROWS, matrix += n_in * ROWS)                                                  \
            for (int at = 0; at < VECTORS; at += TILE) {                                                              \
                vec sum[ROWS][TILE];                                                                                  \
                EACH(r, 8, ROWS) EACH(i, TILE, TILE) sum[r][i] = all(first ? first[o + r] : 0.0f);                    \
                for (int d = 0; d < n_in; d++) {                                                                      \
                    const vec *x = in + d * VECTORS + at;                                                             \
                    const float *row = matrix + d * ROWS;                                                             \
                    EACH(r, 8, ROWS) EACH(i, TILE, TILE) sum[r][i] += row[r] * x[i];                                  \
                }                                                                                                     \
                EACH(r, 8, ROWS) EACH(i, TILE, TILE) {                                                                \
                    long k = (o + r) * VECTORS + at + i;                                                              \
                    out[k] = finished(sum[r][i], how, AT(active, k), AT(slope, k));                                   \
                }                                                                                                     \
            }                                                                                                         \
    }
#define EACH(i, times, n) UNROLL(times) for (int i = 0; i < (n); i++)
#define UNROLL(times) _Pragma(QUOTED(GCC unroll times))
#define QUOTED(text) #text
DEFINE_TILES(wide_product, WIDE_ROWS)
DEFINE_TILES(narrow_product, NARROW_ROWS)

ONLY_INLINE void product(int n_out, int n_in, const float *matrix, const vec *in, const float *first, vec *out, int how,
                         const vec *active, vec *slope)
{
    if (ROWS_OF(n_out) == WIDE_ROWS) wide_product(WHOLE(n_out), n_in, matrix, in, first, out, how, active, slope);
    else narrow_product(WHOLE(n_out), n_in, matrix, in, first, out, how, active, slope);
}

#if defined(__x86_64__)
#define HOLD(v) __asm__("" : "+v"(v)) /* in a register: the compiler would load it again for every use */
#else
#define HOLD(v)
#endif

/* sums (tiles of 4 × 4, 16) += over the cells of a in b, lane by lane: what each weight of a product has to answer for */
ONLY_INLINE void outer(int n_a, int n_b, const vec *a, const vec *b, vec *sums)
{
    for (int i = 0; i < n_a; i += 4)
        for (int j = 0; j < n_b; j += 4, sums += 16) {
            vec sum[4][4];
            EACH(r, 4, 4) EACH(c, 4, 4) sum[r][c] = sums[4 * r + c];
            for (int at = 0; at < VECTORS; at++) {
                vec left[4], right[4];
                EACH(r, 4, 4) { left[r] = a[(i + r) * VECTORS + at]; HOLD(left[r]); }
                EACH(c, 4, 4) { right[c] = b[(j + c) * VECTORS + at]; HOLD(right[c]); }
                EACH(r, 4, 4) EACH(c, 4, 4) sum[r][c] += left[r] * right[c];
            }
            EACH(r, 4, 4) EACH(c, 4, 4) sums[4 * r + c] = sum[r][c];
        }
}

ONLY_INLINE void row_sums(int n, const vec *values, vec *sums)
{
    for (int r = 0; r < n; r++)
        for (int at = 0; at < VECTORS; at++) sums[r] += values[r * VECTORS + at];
}

/* The nine neighbours of LANES cells, of one plane or of the product of two. */
ONLY_INLINE void neighbours(const float *at, long stride, vec *taps)
{
    _Pragma("GCC unroll 9") for (int k = 0; k < 9; k++) taps[k] = load(at + (k / 3 - 1) * stride + k % 3 - 1);
}

#if N_SEEN > N_CHANNELS
#define FOR_PAIRS(i, j, s)                                                                                            \
    for (int i = 0, s = N_CHANNELS; i < N_CHANNELS; i++) for (int j = i; j < N_CHANNELS; j++, s++)
#endif

/* features (N_FEATURES, VECTORS) of the n cells from `first` on; zero beyond. x: the planes. */
ONLY_INLINE void perceive(const float *x, long plane, long stride, long n, vec *features)
{
    for (int c = 0; c < N_CHANNELS; c++)
        for (int at = 0; at < VECTORS; at++) {
            vec taps[9];
            neighbours(x + c * plane + at * LANES, stride, taps);
            see(taps, features + c * N_KERNELS * VECTORS + at);
        }
#if N_SEEN > N_CHANNELS
    FOR_PAIRS(i, j, s)
        for (int at = 0; at < VECTORS; at++) {
            vec taps[9], others[9];
            neighbours(x + i * plane + at * LANES, stride, taps);
            neighbours(x + j * plane + at * LANES, stride, others);
            _Pragma("GCC unroll 9") for (int k = 0; k < 9; k++) taps[k] *= others[k];
            see(taps, features + s * N_KERNELS * VECTORS + at);
        }
#endif
    if (n < BLOCK)
        for (int f = 0; f < N_FEATURES; f++) {
            float *lanes = (float *)(features + f * VECTORS);
            memset(lanes + n, 0, (BLOCK - n) * sizeof(float));
        }
}
