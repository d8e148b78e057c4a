/* Steps of an automaton, forward: a band of rows at a time. */
#include <sched.h>
#include <sys/mman.h>

enum { PERIODIC, ZERO, SYMMETRIC };

typedef struct {
    long batch, height, width, n_steps, n_bands;
    long padding;               /* PERIODIC, ZERO, SYMMETRIC */
    long kept;                  /* whether all states are kept, or two in turns */
    float *states;              /* (n_steps + 1 or 2, batch, channel, plane) and a block more */
    const uint8_t *fired;       /* (n_steps, batch, y, x), NULL where all cells fire */
    const float *first_bias;    /* (batch, WHOLE(N_HIDDEN)) */
    const float *first, *second, *last, *last_bias;          /* tiled as product() takes them */
    const float *first_back, *second_back, *last_back;       /* transposed */
    double *overshoot;          /* (batch, n_bands) */
    const float *grad_overshoot;/* (batch), of the mean over the steps, over their number */
    float *grad;                /* (batch, channel, plane) and a block more, padding zero */
    double *grad_weights;       /* (batch, n_bands, N_SUMS) or NULL */
    long n_threads;
    long arrived;               /* at the barrier, all told */
    int32_t stop;
} Job;

#define STRIDE(job) ((job)->width + 2)
#define PLANE(job) (((job)->height + 2) * STRIDE(job))
#define STATE(job, t, item)                                                                                           \
    ((job)->states + (((job)->kept ? (t) : (t) % 2) * (job)->batch + (item)) * N_CHANNELS * PLANE(job))
#define FIRST_ROW(job, band) ((band) * (job)->height / (job)->n_bands)
#define HIDDEN_LAST (N_SECOND ? N_SECOND : N_HIDDEN)
#define N_OUT (GATED ? 2 * N_CHANNELS : N_CHANNELS)

/* Where the sums of weights stand in Scratch.sums and grad_weights: tiles as outer() makes them, then sums of rows. */
#define AT_LAST 0
#define AT_SECOND (WHOLE(N_OUT) * WHOLE(HIDDEN_LAST))
#define AT_FIRST (AT_SECOND + (N_SECOND ? WHOLE(N_SECOND) * WHOLE(N_HIDDEN) : 0))
#define AT_LAST_BIAS (AT_FIRST + WHOLE(N_HIDDEN) * WHOLE(N_FEATURES))
#define AT_FIRST_BIAS (AT_LAST_BIAS + WHOLE(N_OUT))
#define N_SUMS (AT_FIRST_BIAS + WHOLE(N_HIDDEN))

/* How the library was compiled, for those who fill a Job. */
void nca_layout(long *layout)
{
    layout[0] = WIDE_ROWS; layout[1] = BLOCK; layout[2] = N_SUMS; layout[3] = N_SEEN * N_LINEAR; layout[4] = LANES;
}

/* Ask for large pages: touching new memory in small ones takes longer than a step of the cells in it. */
void nca_large_pages(MAYBE_UNUSED char *memory, MAYBE_UNUSED long bytes)
{
#ifdef MADV_HUGEPAGE
    long page = 1L << 21, first = ((long)memory + page - 1) / page * page, end = ((long)memory + bytes) / page * page;
    if (end > first) madvise((void *)first, end - first, MADV_HUGEPAGE); /* where it is refused, pages stay small */
#endif
}

/* What a thread needs for itself. */
typedef struct {
    vec features[WHOLE(N_FEATURES) * VECTORS], hidden[WHOLE(N_HIDDEN) * VECTORS], out[WHOLE(N_OUT) * VECTORS];
#if N_SECOND
    vec second[WHOLE(N_SECOND) * VECTORS];
#endif
#if NEEDS_SLOPE
    vec slope[WHOLE(N_HIDDEN) * VECTORS];
#if N_SECOND
    vec second_slope[WHOLE(N_SECOND) * VECTORS];
#endif
#endif
    vec grad_out[WHOLE(N_OUT) * VECTORS], grad_hidden[WHOLE(N_HIDDEN) * VECTORS], grad_features[WHOLE(N_FEATURES) * VECTORS];
    vec grad_base[N_CHANNELS * VECTORS];
#if N_SECOND
    vec grad_second[WHOLE(N_SECOND) * VECTORS];
#endif
    vec sums[N_SUMS];           /* of weights, lane by lane */
    long n_summed;
} Scratch;

typedef struct {
    Scratch *scratch;
    float *fires;               /* 1 where a cell fires; a plane and a block more, padding zero */
    int32_t *inside;            /* -1 in the field, 0 in the padding */
    float *sent;                /* backward: gradients of what is seen of neighbours, planes with two rows of padding */
    float *row;                 /* backward: a row */
} Thread;

static void *blank(size_t bytes)
{
    void *memory = NULL;
    bytes = (bytes + 63) / 64 * 64;
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0, bytes);
    return memory;
}

static void end_thread(Thread *own)
{
    free(own->scratch); free(own->fires); free(own->inside); free(own->row);
}

static int begin_thread(const Job *job, Thread *own)
{
    memset(own, 0, sizeof *own);
    own->scratch = blank(sizeof(Scratch));
    own->fires = blank((PLANE(job) + BLOCK) * sizeof(float));
    own->inside = blank((PLANE(job) + BLOCK) * sizeof(int32_t));
    own->row = blank((STRIDE(job) + 2 * LANES) * sizeof(float));
    if (!own->scratch || !own->fires || !own->inside || !own->row) { end_thread(own); return 1; }
    for (long y = 1; y <= job->height; y++)
        for (long x = 1; x <= job->width; x++) own->inside[y * STRIDE(job) + x] = -1;
    return 0;
}

/* Wait for all threads; nonzero if the job was stopped. */
static int together(Job *job, long *met)
{
    long wanted = ++*met * job->n_threads;
    __atomic_add_fetch(&job->arrived, 1, __ATOMIC_ACQ_REL);
    for (long turns = 0; __atomic_load_n(&job->arrived, __ATOMIC_ACQUIRE) < wanted; turns++) {
        if (__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) return 1;
        if (turns > 200) sched_yield();
    }
    return __atomic_load_n(&job->stop, __ATOMIC_RELAXED);
}

static void read_fires(const Job *job, long t, long item, long band, Thread *own)
{
    if (!job->fired) return;
    const uint8_t *from = job->fired + (t * job->batch + item) * job->height * job->width;
    for (long y = FIRST_ROW(job, band); y < FIRST_ROW(job, band + 1); y++)
        for (long x = 0; x < job->width; x++)
            own->fires[(y + 1) * STRIDE(job) + x + 1] = from[y * job->width + x] ? 1.0f : 0.0f;
}

#if NEEDS_SLOPE
#define SLOPE(s) ((s)->slope)
#define SECOND_SLOPE(s) ((s)->second_slope)
#else
#define SLOPE(s) NULL
#define SECOND_SLOPE(s) NULL
#endif

/* The hidden units of the features, with their slopes if they are wanted. */
ONLY_INLINE void update(const Job *job, long item, Scratch *s, int slopes)
{
    product(N_HIDDEN, N_FEATURES, job->first, s->features, job->first_bias + item * WHOLE(N_HIDDEN), s->hidden, ACTIVATE,
            NULL, slopes ? SLOPE(s) : NULL);
#if N_SECOND
    product(N_SECOND, N_HIDDEN, job->second, s->hidden, NULL, s->second, ACTIVATE, NULL, slopes ? SECOND_SLOPE(s) : NULL);
#endif
}

/* What the network makes of them. */
ONLY_INLINE void answer(const Job *job, Scratch *s)
{
#if N_SECOND
    product(N_OUT, N_SECOND, job->last, s->second, job->last_bias, s->out, AS_IT_IS, NULL, NULL);
#else
    product(N_OUT, N_HIDDEN, job->last, s->hidden, job->last_bias, s->out, AS_IT_IS, NULL, NULL);
#endif
}

#define IS_FIXED(c) ((c) >= N_OBSERVED && (c) < N_OBSERVED + N_ENVIRONMENT)
#define LOWEST(c) ((c) < N_OBSERVED ? 0.0f : -1.0f)

/* By how much channel c is to change: vector `at` of the block. */
ONLY_INLINE vec change_of(const Job *job, const Scratch *s, const float *fires, int c, int at)
{
    vec change = s->out[c * VECTORS + at];
#if GATED
    change *= sigmoid(s->out[(N_CHANNELS + c) * VECTORS + at]);
#endif
    if (job->fired) change *= load(fires + at * LANES);
    return change;
}

/* Copies at the edges of the rows of a band, and of the whole field where the band holds their source. */
static void wrap(const Job *job, float *planes, long band)
{
    long stride = STRIDE(job), height = job->height, width = job->width;
    for (int c = 0; c < N_CHANNELS; c++) {
        float *plane = planes + c * PLANE(job);
        for (long y = FIRST_ROW(job, band) + 1; y <= FIRST_ROW(job, band + 1); y++) {
            float *row = plane + y * stride, left = row[1], right = row[width];
            row[0] = job->padding == ZERO ? 0.0f : job->padding == PERIODIC ? right : left;
            row[width + 1] = job->padding == ZERO ? 0.0f : job->padding == PERIODIC ? left : right;
        }
        long above = job->padding == PERIODIC ? height : 1, below = job->padding == PERIODIC ? 1 : height;
        long from = FIRST_ROW(job, band) + 1, to = FIRST_ROW(job, band + 1);
        if (above >= from && above <= to) {
            if (job->padding == ZERO) memset(plane, 0, stride * sizeof(float));
            else memcpy(plane, plane + above * stride, stride * sizeof(float));
        }
        if (below >= from && below <= to) {
            float *end = plane + (height + 1) * stride;
            if (job->padding == ZERO) memset(end, 0, stride * sizeof(float));
            else memcpy(end, plane + below * stride, stride * sizeof(float));
        }
    }
}

ONLY_INLINE vec overshoot_of(vec x) { return choose(x < 0.0f, -x, choose(x <= 1.0f, all(0.0f), x - 1.0f)); }

ONLY_INLINE double total(vec sums)
{
#if defined(__GNUC__) && !defined(__clang__) /* lanes in pairs, until one is left */
    ivec number;
    EACH(i, 16, LANES) number[i] = i;
    for (int half = LANES / 2; half; half /= 2) sums += __builtin_shuffle(sums, number ^ half);
    return sums[0];
#else
    double sum = 0.0;
    for (int lane = 0; lane < LANES; lane++) sum += ((float *)&sums)[lane];
    return sum;
#endif
}

static void step_band(const Job *job, long t, long item, long band, Thread *own)
{
    long stride = STRIDE(job), plane = PLANE(job);
    long first = (FIRST_ROW(job, band) + 1) * stride + 1, end = FIRST_ROW(job, band + 1) * stride + job->width + 1;
    const float *before = STATE(job, t, item);
    float *after = STATE(job, t + 1, item);
    Scratch *s = own->scratch;
    vec over = {0};
    read_fires(job, t, item, band, own);
    for (long p = first; p < end; p += BLOCK) {
        long n = end - p < BLOCK ? end - p : BLOCK;
        perceive(before + p, plane, stride, n, s->features);
        update(job, item, s, 0);
        answer(job, s);
        for (int c = 0; c < N_CHANNELS; c++)
            for (int at = 0; at < VECTORS; at++) {
                long left = n - at * LANES;
                vec x = take(before + c * plane + p + at * LANES, left);
                if (!IS_FIXED(c)) {
                    x += change_of(job, s, own->fires + p, c, at);
#if CLIP
                    x = choose(x < LOWEST(c), all(LOWEST(c)), choose(x > 1.0f, all(1.0f), x));
#endif
                }
                put(after + c * plane + p + at * LANES, x, left);
                ivec inside;
                memcpy(&inside, own->inside + p + at * LANES, sizeof inside);
                if (left < LANES) { vec rest = take((float *)&inside, left); inside = (ivec)rest; }
                over += (vec)((ivec)overshoot_of(x) & inside);
            }
    }
    job->overshoot[item * job->n_bands + band] += total(over);
    wrap(job, after, band);
}

/* Parts of the work are pairs of an item and a band. A thread that holds whole items goes through each alone; threads that
 * share items meet after every step. Returns 0; 1 without memory; 2 stopped. */
int nca_forward(Job *job, long first_part, long end_part)
{
    Thread own;
    long met = 0, bands = job->n_bands;
    int alone = first_part % bands == 0 && end_part % bands == 0 && job->n_threads <= job->batch, answer = 0;
    if (begin_thread(job, &own)) { __atomic_store_n(&job->stop, 1, __ATOMIC_RELAXED); return 1; }
    if (alone)
        for (long item = first_part / bands; item < end_part / bands && !answer; item++)
            for (long t = 0; t < job->n_steps && !answer; t++) {
                for (long band = 0; band < bands; band++) step_band(job, t, item, band, &own);
                if (__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) answer = 2;
            }
    else
        for (long t = 0; t < job->n_steps && !answer; t++) {
            for (long part = first_part; part < end_part; part++) step_band(job, t, part / bands, part % bands, &own);
            if (together(job, &met)) answer = 2;
        }
    end_thread(&own);
    return answer;
}
