// The arithmetic of recurrent layers for one kind of processor; included once for each.
//
// Before: LANES, how many numbers a register holds; ROWS and PARTS, the rows and registers of a tile
// of a matrix product that its registers have room for; and a namespace about it.
//
// A matrix is packed for products: columns in panels of LANES * PARTS, a panel holding its columns
// row after row, the last one filled up with zeros. All sums run over the inner axis in its order,
// so that a row's result does not depend on the rows beside it.

#if LANES == 1
typedef float vec;
typedef uint32_t ivec;
#else
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t ivec __attribute__((vector_size(4 * LANES)));
#endif

const extent PANEL = LANES * PARTS;
const extent DEPTH = 320;   // of a panel that stays in the nearest cache
const extent BLOCK = 8 * ROWS;  // rows whose sums stay in the next one

static inline vec load(const float *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float *to, vec v) { memcpy(to, &v, sizeof v); }

template <bool WHOLE>
static inline vec some(const float *from, extent count) {
    if (WHOLE) return load(from);
    float v[LANES] = {};
    for (extent k = 0; k < count; k++) v[k] = from[k];
    return load(v);
}

template <bool WHOLE>
static inline void keep(float *to, vec v, extent count) {
    if (WHOLE) return store(to, v);
    float w[LANES];
    store(w, v);
    for (extent k = 0; k < count; k++) to[k] = w[k];
}

static inline ivec bits_of(vec v) {
    ivec b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static inline vec from_bits(ivec b) {
    vec v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static inline vec all(float x) { return x - vec{}; }

// What is not a number stays so.
static inline vec at_most(vec v, float most) { return v > most ? all(most) : v; }

static inline vec at_least(vec v, float least) { return v < least ? all(least) : v; }

// e to the v, to 1 unit in the last place about; what is beyond the range is taken to its end.
static inline vec exponential(vec v) {
    const float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves no digits after the point
    v = at_least(at_most(v, 88.0f), -87.0f);
    vec shifted = v * 1.44269504088896341f + ROUND;
    vec whole = shifted - ROUND;
    vec rest = v - whole * 0.693359375f;
    rest = rest + whole * 2.12194440e-4f;
    vec sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    return from_bits(bits_of(sum) + (bits_of(shifted) << 23));
}

static inline vec sigmoid(vec v) { return 1.0f / (1.0f + exponential(-v)); }

// A quotient of polynomials near 0, where the exponential would lose digits; by it elsewhere.
static inline vec tangent(vec v) {
    vec size = from_bits(bits_of(v) & 0x7fffffffu);
    vec large = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    large = from_bits(bits_of(large) | (bits_of(v) & 0x80000000u));
    vec square = v * v;
    vec sum = square * -5.70498872745e-3f + 2.06390887954e-2f;
    sum = sum * square + -5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square + -3.33332819422e-1f;
    vec small = sum * square * v + v;
    return size < 0.625f ? small : large;
}

static void pack(const float *from, extent depth, extent columns, extent down, extent across,
                 float *to) {
    for (extent first = 0; first < columns; first += PANEL, to += depth * PANEL) {
        const float *here = from + first * across;
        extent count = columns - first < PANEL ? columns - first : PANEL;
        if (count < PANEL) memset(to, 0, 4 * depth * PANEL);
        if (across == 1) {
            for (extent k = 0; k < depth; k++)
                for (extent column = 0; column < count; column++)
                    to[k * PANEL + column] = here[k * down + column];
            continue;
        }
        // Some places at a time: what is written stays in the nearest cache until it is filled.
        for (extent start = 0; start < depth; start += 16) {
            extent end = depth - start < 16 ? depth : start + 16;
            for (extent column = 0; column < count; column++)
                for (extent k = start; k < end; k++)
                    to[k * PANEL + column] = here[k * down + column * across];
        }
    }
}

// A tile of M rows and P panels: adds a row's share of `depth` inner places to its sums. With DOWN
// the rows of the product are columns of a.
template <int M, int P, bool DOWN>
static inline void tile(extent depth, const float *a, extent next_a, const float *b, extent next_b,
                        float *c, extent next_c) {
    vec sums[M][P * PARTS];
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < P * PARTS; v++) sums[m][v] = load(c + m * next_c + v * LANES);
    for (extent k = 0; k < depth; k++) {
        vec row[P * PARTS];
#pragma GCC unroll 8
        for (int v = 0; v < P * PARTS; v++)
            row[v] = load(b + v / PARTS * next_b + k * PANEL + v % PARTS * LANES);
#pragma GCC unroll 16
        for (int m = 0; m < M; m++) {
            float x = DOWN ? a[k * next_a + m] : a[m * next_a + k];
#pragma GCC unroll 8
            for (int v = 0; v < P * PARTS; v++) sums[m][v] += x * row[v];
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < P * PARTS; v++) store(c + m * next_c + v * LANES, sums[m][v]);
}

// The same where so many columns of the last panel are there.
template <int M, int P, bool DOWN = false>
static void edge(extent depth, const float *a, extent next_a, const float *b, extent next_b,
                 float *c, extent next_c, extent columns) {
    const extent width = P * PANEL;
    if (columns >= width) return tile<M, P, DOWN>(depth, a, next_a, b, next_b, c, next_c);
    float part[M * width] = {};
    for (int m = 0; m < M; m++) memcpy(part + m * width, c + m * next_c, 4 * columns);
    tile<M, P, DOWN>(depth, a, next_a, b, next_b, part, width);
    for (int m = 0; m < M; m++) memcpy(c + m * next_c, part + m * width, 4 * columns);
}

template <int M, bool DOWN = false>
static inline void tiles(extent rows, extent depth, const float *a, extent next_a, const float *b,
                         float *c, extent next_c, extent columns) {
    if (rows == M) return edge<M, 1, DOWN>(depth, a, next_a, b, 0, c, next_c, columns);
    if constexpr (M > 1) tiles<M - 1, DOWN>(rows, depth, a, next_a, b, c, next_c, columns);
}

// A row or two wait for their own sums; several panels at once keep the processor busy.
template <int M, int P>
static void few(extent depth, extent columns, const float *a, extent next_a, const float *b, float *c,
                extent next_c) {
    extent next_b = depth * PANEL, left = columns;
    for (; left > (P - 1) * PANEL; left -= P * PANEL, b += P * next_b, c += P * PANEL)
        edge<M, P>(depth, a, next_a, b, next_b, c, next_c, left);
    for (; left > 0; left -= PANEL, b += next_b, c += PANEL)
        edge<M, 1>(depth, a, next_a, b, 0, c, next_c, left);
}

// Adds to c (rows, columns) the product of a (rows, depth) and the packed b (depth, columns).
static void product(extent rows, extent depth, extent columns, const float *a, extent next_a,
                    const float *b, float *c, extent next_c) {
    if (rows == 1) return few<1, 4>(depth, columns, a, next_a, b, c, next_c);
    if (rows == 2) return few<2, 2>(depth, columns, a, next_a, b, c, next_c);
    for (extent block = 0; block < rows; block += BLOCK) {
        extent end = rows - block < BLOCK ? rows : block + BLOCK;
        for (extent k = 0; k < depth; k += DEPTH) {
            extent part = depth - k < DEPTH ? depth - k : DEPTH;
            for (extent column = 0; column < columns; column += PANEL) {
                const float *here = b + column * depth + k * PANEL;
                for (extent row = block; row < end; row += ROWS)
                    tiles<ROWS>(end - row < ROWS ? end - row : ROWS, part, a + row * next_a + k,
                                next_a, here, c + row * next_c + column, next_c, columns - column);
            }
        }
    }
}

// Ask the memory for as many columns as a tile has rows, before they are needed: in rows that lie far
// apart the processor does not guess what comes next.
static inline void ask_for(extent depth, const float *from, extent next) {
#if defined(__GNUC__)
    for (extent k = 0; k < depth; k++, from += next) {
        __builtin_prefetch(from, 0, 2);
        __builtin_prefetch(from + ROWS - 1, 0, 2);
    }
#endif
}

// Adds to c (rows, columns) the product of the transpose of a (depth, rows) and b (depth, columns).
// `work` has room for DEPTH * (columns, filled up to a panel) numbers.
static void outer(extent rows, extent depth, extent columns, const float *a, extent next_a,
                  const float *b, extent next_b, float *c, extent next_c, float *work) {
    for (extent k = 0; k < depth; k += DEPTH) {
        extent part = depth - k < DEPTH ? depth - k : DEPTH;
        pack(b + k * next_b, part, columns, next_b, 1, work);
        // Of a some neighbours of each row are read, which are next to each other.
        for (extent row = 0; row < rows; row += ROWS) {
            extent count = rows - row < ROWS ? rows - row : ROWS;
            ask_for(part, a + k * next_a + row + ROWS, next_a);
            for (extent column = 0; column < columns; column += PANEL)
                tiles<ROWS, true>(count, part, a + k * next_a + row, next_a, work + column * part,
                                  c + row * next_c + column, next_c, columns - column);
        }
    }
}

// One step of as many units as a register holds, or of the `left` ones.
template <bool WHOLE>
static inline void cell_step(const Layer &layer, float *i, const float *old, float *cell,
                             float *hidden, const float *peep, extent left) {
    extent units = layer.units;
    float *f = i + units, *z = f + units, *o = z + units;
    vec c = some<WHOLE>(old, left), in = some<WHOLE>(i, left), forget = some<WHOLE>(f, left);
    vec candidate = some<WHOLE>(z, left), out = some<WHOLE>(o, left);
    if (layer.peepholes) {
        in += some<WHOLE>(peep, left) * c;
        forget += some<WHOLE>(peep + units, left) * c;
    }
    in = sigmoid(in);
    forget = sigmoid(forget);
    if (!layer.linear) candidate = tangent(candidate);
    c = forget * c + in * candidate;
    if (layer.peepholes) out += some<WHOLE>(peep + 2 * units, left) * c;
    out = sigmoid(out);
    keep<WHOLE>(i, in, left);
    keep<WHOLE>(f, forget, left);
    keep<WHOLE>(z, candidate, left);
    keep<WHOLE>(o, out, left);
    keep<WHOLE>(cell, c, left);
    keep<WHOLE>(hidden, out * tangent(c), left);
}

// One step of some rows from the sums of their gates, which are overwritten by the gates.
static void cells(extent rows, const Layer &layer, float *gates, const float *before, float *cell,
                  float *hidden, extent next_hidden) {
    extent units = layer.units, whole = units - units % LANES;
    const float *peep = layer.peepholes;
    for (extent row = 0; row < rows; row++) {
        float *i = gates + row * 4 * units, *h = hidden + row * next_hidden;
        const float *old = before + row * units;
        float *c = cell + row * units;
        for (extent u = 0; u < whole; u += LANES)
            cell_step<true>(layer, i + u, old + u, c + u, h + u, peep + u, LANES);
        if (whole < units)
            cell_step<false>(layer, i + whole, old + whole, c + whole, h + whole, peep + whole,
                             units - whole);
    }
}

// By this product, or by another. Returns false where there is no memory for the gates.
template <Product multiply>
static bool forward(const Layer &layer, const Sequence &s, extent first, extent last) {
    extent units = layer.units, sums = 4 * units, count = last - first;
    extent most = count < BLOCK ? count : BLOCK;
    // Of a few rows the input's share is one product over all steps; of many, a step's own is large
    // enough, and its sums stay in the cache.
    bool ahead = !s.given && count < 2 * ROWS && s.steps > 1;
    float *scratch = s.keep ? 0 : (float *)malloc(4 * sums * most * (ahead ? s.steps : 1));
    if (!s.keep && !scratch) return false;
    float *kept = s.keep ? s.gates + first * sums : scratch;
    extent next_step = (s.keep ? s.rows : ahead ? count : 0) * sums;
    for (extent row = 0; ahead && row < count; row++) {
        for (extent t = 0; t < s.steps; t++)
            memcpy(kept + t * next_step + row * sums, layer.bias, 4 * sums);
        multiply(s.steps, layer.inputs, sums, s.x + (first + row) * s.next_row, s.next_step,
                layer.input, kept + row * sums, next_step);
    }
    for (extent row = first; row < last; row += BLOCK) {
        extent rows = last - row < BLOCK ? last - row : BLOCK;
        for (extent t = 0; t < s.steps; t++) {
            extent at = t * s.rows + row;
            float *gates = kept + t * next_step + (s.keep ? (row - first) * sums : 0);
            if (!ahead && !s.given) {
                for (extent r = 0; r < rows; r++) memcpy(gates + r * sums, layer.bias, 4 * sums);
                multiply(rows, layer.inputs, sums, s.x + t * s.next_step + row * s.next_row,
                         s.next_row, layer.input, gates, sums);
            }
            const float *old = t ? s.hidden + (at - s.rows) * units : s.start + row * units;
            multiply(rows, units, sums, old, units, layer.recurrent, gates, sums);
            float *before = s.cell + (s.keep ? at : row) * units;
            float *after = before + (s.keep ? s.rows * units : 0);
            cells(rows, layer, gates, before, after, s.hidden + at * units, units);
        }
    }
    free(scratch);
    return true;
}

// The gradients of the sums of gates, in place of the gates: of as many units as a register holds,
// or of the `left` ones. `given` and `back` are that of the hidden state, `carried` is that of the
// cell, and becomes that of the cell before.
template <bool WHOLE>
static inline void cell_back(const Layer &layer, float *i, const float *before, const float *after,
                             const float *given, const float *back, float *carried,
                             const float *peep, extent left) {
    extent units = layer.units;
    float *f = i + units, *z = f + units, *o = z + units;
    vec in = some<WHOLE>(i, left), forget = some<WHOLE>(f, left), out = some<WHOLE>(o, left);
    vec candidate = some<WHOLE>(z, left), c = some<WHOLE>(before, left);
    vec squashed = tangent(some<WHOLE>(after, left));
    vec d = some<WHOLE>(given, left) + some<WHOLE>(back, left);
    vec d_out = d * squashed * out * (1.0f - out);
    vec d_cell = some<WHOLE>(carried, left) + d * out * (1.0f - squashed * squashed);
    if (layer.peepholes) d_cell += d_out * some<WHOLE>(peep + 2 * units, left);
    vec d_in = d_cell * candidate * in * (1.0f - in);
    vec d_forget = d_cell * c * forget * (1.0f - forget);
    vec d_candidate = d_cell * in;
    if (!layer.linear) d_candidate *= 1.0f - candidate * candidate;
    d_cell *= forget;
    if (layer.peepholes)
        d_cell += d_in * some<WHOLE>(peep, left) + d_forget * some<WHOLE>(peep + units, left);
    keep<WHOLE>(i, d_in, left);
    keep<WHOLE>(f, d_forget, left);
    keep<WHOLE>(z, d_candidate, left);
    keep<WHOLE>(o, d_out, left);
    keep<WHOLE>(carried, d_cell, left);
}

static void back_through_cells(extent rows, const Layer &layer, float *gates, const float *before,
                               const float *after, const float *given, const float *back,
                               float *carried) {
    extent units = layer.units, whole = units - units % LANES;
    const float *peep = layer.peepholes;
    for (extent row = 0; row < rows; row++) {
        float *i = gates + row * 4 * units;
        extent at = row * units, end = at + whole;
        for (extent u = 0; u < whole; u += LANES)
            cell_back<true>(layer, i + u, before + at + u, after + at + u, given + at + u,
                            back + at + u, carried + at + u, peep + u, LANES);
        if (whole < units)
            cell_back<false>(layer, i + whole, before + end, after + end, given + end, back + end,
                             carried + end, peep + whole, units - whole);
    }
}

template <Product multiply>
static void backward(const Layer &layer, const Sequence &s, const float *given, float *back,
                     float *carried, extent first, extent last) {
    extent units = layer.units, sums = 4 * units;
    for (extent row = first; row < last; row += BLOCK) {
        extent rows = last - row < BLOCK ? last - row : BLOCK;
        for (extent t = s.steps - 1; t >= 0; t--) {
            extent at = t * s.rows + row;
            back_through_cells(rows, layer, s.gates + at * sums, s.cell + at * units,
                               s.cell + (at + s.rows) * units, given + at * units,
                               back + row * units, carried + row * units);
            memset(back + row * units, 0, 4 * rows * units);
            multiply(rows, sums, units, s.gates + at * sums, sums, layer.recurrent,
                     back + row * units, units);
        }
    }
}

// One step of all layers for some rows, whose first layer's sums without its own state and what it
// reads stand in `gates`. A row of `shared` is what the first layer reads, then each layer's hidden
// state: what a layer reads and its own state are one row, and one product. Returns where the last
// layer's hidden state is in a row.
static extent stack_step(const Layer *layers, extent count, extent rows, float *shared, extent width,
                         float *gates, float *const *kept, extent first) {
    extent start = 0;
    for (extent l = 0; l < count; l++) {
        const Layer &layer = layers[l];
        extent units = layer.units, below = layer.inputs, sums = 4 * units;
        for (extent r = 0; l && r < rows; r++) memcpy(gates + r * sums, layer.bias, 4 * sums);
        product(rows, below + units, sums, shared + start, width, layer.recurrent, gates, sums);
        float *cell = kept[l] + first * units;
        cells(rows, layer, gates, cell, cell, shared + start + below, width);
        start += below;
    }
    return start;
}

// The loop over steps whose input holds the bits drawn at the step before.
static void draw_bits(const Layer *layers, extent count, const Loop &loop, extent first, extent last) {
    extent rows = last - first, bits = loop.bits, sums = 4 * layers[0].units;
    const Layer &top = layers[count - 1];
    float *shared = loop.shared + first * loop.width, *gates = loop.gates + first * loop.widest;
    for (extent t = 0; t < loop.steps; t++) {
        memcpy(gates, loop.known + (t * loop.rows + first) * sums, 4 * rows * sums);
        extent start =
            stack_step(layers, count, rows, shared, loop.width, gates, loop.cells, first);
        for (extent r = 0; r < rows; r++) {
            extent at = (t * loop.rows + first + r) * bits;
            const float *hidden = shared + r * loop.width + start;
            for (extent b = 0; b < bits; b++) {
                const float *weight = loop.output + b * top.units;
                vec sum = vec{};
                for (extent u = 0; u < top.units; u += LANES)
                    sum += top.units - u < LANES ? some<false>(hidden + u, top.units - u) *
                                                      some<false>(weight + u, top.units - u)
                                                : load(hidden + u) * load(weight + u);
                float lanes[LANES], logit = loop.bias[b];
                store(lanes, sum);
                for (int k = 0; k < LANES; k++) logit += lanes[k];
                loop.logits[at + b] = logit;
                bool drawn = logit > loop.thresholds[at + b];
                shared[r * loop.width + b] = drawn && (!b || shared[r * loop.width]) ? 1.0f : 0.0f;
            }
        }
    }
}

#include "_notes.hpp"
#include "_tokens.hpp"

static const Kernels KERNELS = {PANEL, DEPTH, pack, product, outer, forward<product>, backward<product>,
                                draw_bits, draw_notes, draw_tokens};
