/* Steps of an automaton, backward: features and hidden units are computed again from the state before each step. */

#define SENT_PLANE(job) (((job)->height + 4) * STRIDE(job) + 2 * BLOCK)
#define SENT(job, own, plane) ((own)->sent + (plane) * SENT_PLANE(job) + STRIDE(job) + LANES)
#define N_SENT (N_SEEN * N_LINEAR)

#define SUMMED_ALONE 8192 /* cells after which sums of single precision are added up in double */

static void add_up(const Job *job, long part, Scratch *s)
{
    if (!job->grad_weights) return;
    double *into = job->grad_weights + part * N_SUMS;
    for (long i = 0; i < N_SUMS; i++) { into[i] += total(s->sums[i]); s->sums[i] = all(0.0f); }
    s->n_summed = 0;
}

/* From the gradient of what a step made to that of the network's answer; grad_base: what goes straight back to the state. */
ONLY_INLINE void enter(const Job *job, MAYBE_UNUSED const float *before, const float *grad, const float *fires, long plane, long n, Scratch *s)
{
    for (int c = 0; c < N_CHANNELS; c++)
        for (int at = 0; at < VECTORS; at++) {
            long left = n - at * LANES;
            vec g = take(grad + c * plane + at * LANES, left);
            vec *out = s->grad_out + c * VECTORS + at;
            if (IS_FIXED(c)) {
                s->grad_base[c * VECTORS + at] = g;
                *out = all(0.0f);
#if GATED
                out[N_CHANNELS * VECTORS] = all(0.0f);
#endif
                continue;
            }
#if CLIP
            vec x = take(before + c * plane + at * LANES, left) + change_of(job, s, fires, c, at);
            g = choose((x >= LOWEST(c)) & (x <= 1.0f), g, all(0.0f));
#endif
            s->grad_base[c * VECTORS + at] = g;
            if (job->fired) g *= load(fires + at * LANES);
#if GATED
            vec gate = sigmoid(s->out[(N_CHANNELS + c) * VECTORS + at]);
            out[N_CHANNELS * VECTORS] = g * s->out[c * VECTORS + at] * gate * (1.0f - gate);
            g *= gate;
#endif
            *out = g;
        }
}

ONLY_INLINE void back_through_network(const Job *job, Scratch *s)
{
    const int weights = job->grad_weights != NULL;
#if N_SECOND
    product(N_SECOND, N_OUT, job->last_back, s->grad_out, NULL, s->grad_second, TIMES_SLOPE, s->second, SECOND_SLOPE(s));
    product(N_HIDDEN, N_SECOND, job->second_back, s->grad_second, NULL, s->grad_hidden, TIMES_SLOPE, s->hidden, SLOPE(s));
    if (weights) {
        outer(WHOLE(N_OUT), WHOLE(N_SECOND), s->grad_out, s->second, s->sums + AT_LAST);
        outer(WHOLE(N_SECOND), WHOLE(N_HIDDEN), s->grad_second, s->hidden, s->sums + AT_SECOND);
    }
#else
    product(N_HIDDEN, N_OUT, job->last_back, s->grad_out, NULL, s->grad_hidden, TIMES_SLOPE, s->hidden, SLOPE(s));
    if (weights) outer(WHOLE(N_OUT), WHOLE(N_HIDDEN), s->grad_out, s->hidden, s->sums + AT_LAST);
#endif
    if (weights) {
        outer(WHOLE(N_HIDDEN), WHOLE(N_FEATURES), s->grad_hidden, s->features, s->sums + AT_FIRST);
        row_sums(N_OUT, s->grad_out, s->sums + AT_LAST_BIAS);
        row_sums(N_HIDDEN, s->grad_hidden, s->sums + AT_FIRST_BIAS);
    }
    product(N_FEATURES, N_HIDDEN, job->first_back, s->grad_hidden, NULL, s->grad_features, AS_IT_IS, NULL, NULL);
}

/* The gradients of features: of the cell's own value at once, those of its neighbours sent to planes of their own. */
ONLY_INLINE void leave(const Job *job, MAYBE_UNUSED const float *before, float *grad, long p, long plane, long n, Scratch *s, Thread *own)
{
    for (int seen = 0; seen < N_SEEN; seen++)
        for (int at = 0; at < VECTORS; at++) {
            vec sent[N_LINEAR + 1], straight = all(0.0f);
            long left = n - at * LANES;
            see_back(s->grad_features + seen * N_KERNELS * VECTORS + at, s->features + seen * N_KERNELS * VECTORS + at,
                     sent, &straight);
            for (int k = 0; k < N_LINEAR; k++) put(SENT(job, own, seen * N_LINEAR + k) + p + at * LANES, sent[k], left);
            if (seen < N_CHANNELS) s->grad_base[seen * VECTORS + at] += straight;
#if N_SEEN > N_CHANNELS
            else {
                int i = 0, j = seen - N_CHANNELS;
                while (j >= N_CHANNELS - i) j -= N_CHANNELS - i++;
                j += i;
                s->grad_base[i * VECTORS + at] += straight * take(before + j * plane + p + at * LANES, left);
                s->grad_base[j * VECTORS + at] += straight * take(before + i * plane + p + at * LANES, left);
            }
#endif
        }
    for (int c = 0; c < N_CHANNELS; c++)
        for (int at = 0; at < VECTORS; at++)
            put(grad + c * plane + p + at * LANES, s->grad_base[c * VECTORS + at], n - at * LANES);
}

static void back_band(const Job *job, long t, long item, long band, Thread *own)
{
    long stride = STRIDE(job), plane = PLANE(job);
    long first = (FIRST_ROW(job, band) + 1) * stride + 1, end = FIRST_ROW(job, band + 1) * stride + job->width + 1;
    const float *before = STATE(job, t, item);
    float *grad = job->grad + item * N_CHANNELS * plane;
    Scratch *s = own->scratch;
    read_fires(job, t, item, band, own);
    for (long p = first; p < end; p += BLOCK) {
        long n = end - p < BLOCK ? end - p : BLOCK;
        perceive(before + p, plane, stride, n, s->features);
        update(job, item, s, 1);
        if (CLIP || GATED) answer(job, s);
        enter(job, before + p, grad + p, own->fires + p, plane, n, s);
        back_through_network(job, s);
        leave(job, before, grad, p, plane, n, s, own);
        s->n_summed += n;
    }
    if (job->n_bands > 1 || s->n_summed >= SUMMED_ALONE || t == 0) add_up(job, item * job->n_bands + band, s);
}

#if N_LINEAR
/* What row `from` of the padded field receives from its neighbours, added to row `into` of the field. */
static void gather_row(const Job *job, MAYBE_UNUSED const float *before, float *grad, long from, long into, Thread *own)
{
    long stride = STRIDE(job), plane = PLANE(job), width = job->width;
    float *row = own->row;
    for (int seen = 0; seen < N_SEEN; seen++) {
        for (long x = 0; x < stride; x += LANES) {
            vec sum = all(0.0f);
            receive(SENT(job, own, seen * N_LINEAR) + from * stride + x, SENT_PLANE(job), stride, &sum);
            put(row + x, sum, LANES);
        }
        if (job->padding != ZERO) {
            row[job->padding == PERIODIC ? width : 1] += row[0];
            row[job->padding == PERIODIC ? 1 : width] += row[width + 1];
        }
        if (seen < N_CHANNELS) {
            float *to = grad + seen * plane + into * stride;
            for (long x = 1; x <= width; x++) to[x] += row[x];
        }
#if N_SEEN > N_CHANNELS
        else {
            int i = 0, j = seen - N_CHANNELS;
            while (j >= N_CHANNELS - i) j -= N_CHANNELS - i++;
            j += i;
            long a = i * plane + into * stride, b = j * plane + into * stride;
            for (long x = 1; x <= width; x++) {
                float g = row[x];
                grad[a + x] += g * before[b + x];
                grad[b + x] += g * before[a + x];
            }
        }
#endif
    }
}
#endif

/* Neighbours' gradients to the rows of a band, and that of the overshoot of the state before step t. */
static void gather_band(const Job *job, long t, long item, long band, Thread *own)
{
    long stride = STRIDE(job), plane = PLANE(job), height = job->height;
    const float *before = STATE(job, t, item);
    float *grad = job->grad + item * N_CHANNELS * plane, over = job->grad_overshoot[item];
    for (long y = FIRST_ROW(job, band) + 1; y <= FIRST_ROW(job, band + 1); y++) {
#if N_LINEAR
        gather_row(job, before, grad, y, y, own);
        if (job->padding != ZERO && y == (job->padding == PERIODIC ? height : 1)) gather_row(job, before, grad, 0, y, own);
        if (job->padding != ZERO && y == (job->padding == PERIODIC ? 1 : height))
            gather_row(job, before, grad, height + 1, y, own);
#endif
        if (t > 0 && over != 0.0f)
            for (int c = 0; c < N_CHANNELS; c++) {
                const float *x = before + c * plane + y * stride;
                float *g = grad + c * plane + y * stride;
                for (long i = 1; i <= job->width; i++) g[i] += x[i] > 1.0f ? over : x[i] < 0.0f ? -over : 0.0f;
            }
    }
}

/* As nca_forward. sent: memory for SENT_PLANE floats, N_SENT times: an item where a thread holds whole ones, else all items,
 * zero at first. */
int nca_back(Job *job, long first_part, long end_part, float *sent)
{
    Thread own;
    long met = 0, bands = job->n_bands;
    int alone = first_part % bands == 0 && end_part % bands == 0 && job->n_threads <= job->batch, answer = 0;
    if (begin_thread(job, &own)) { __atomic_store_n(&job->stop, 1, __ATOMIC_RELAXED); return 1; }
    own.sent = sent;
    if (alone)
        for (long item = first_part / bands; item < end_part / bands && !answer; item++)
            for (long t = job->n_steps - 1; t >= 0 && !answer; t--) {
                for (long band = 0; band < bands; band++) back_band(job, t, item, band, &own);
                for (long band = 0; band < bands; band++) gather_band(job, t, item, band, &own);
                if (__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) answer = 2;
            }
    else
        for (long t = job->n_steps - 1; t >= 0 && !answer; t--)
            for (int gather = 0; gather < 2 && !answer; gather++) {
                for (long part = first_part; part < end_part; part++) {
                    long item = part / bands;
                    own.sent = sent + item * N_SENT * SENT_PLANE(job);
                    (gather ? gather_band : back_band)(job, t, item, part % bands, &own);
                }
                if (together(job, &met)) answer = 2;
            }
    end_thread(&own);
    return answer;
}
