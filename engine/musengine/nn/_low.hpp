// Products in bfloat16 of matrices in float32, on processors with AVX-512 BF16; included once, in the
// namespace of those with AVX-512. Sums are in float32.
//
// Numbers of two neighbouring places of the inner axis stand side by side, as the instruction takes
// them: a pair. A matrix is packed in panels as for the other products, of pairs instead of numbers.

const extent LOW_DEPTH = 400;           // of a panel that stays in the nearest cache; even
const extent LOW_PAIRS = LOW_DEPTH / 2;
const extent OUTER_DEPTH = 800;         // the same of outer products, whose sums are read anew for each

static inline __m512i as_pairs(__m512 first, __m512 second) {
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// As many numbers as a register holds, zeros behind the `count` that there are.
static inline __m512 those_of(const float *from, extent across, extent count) {
    if (across == 1) {
        uint32_t there = count >= LANES ? 0xffffu : count > 0 ? (1u << count) - 1 : 0;
        return _mm512_maskz_loadu_ps((__mmask16)there, from);
    }
    float v[LANES] = {};
    for (extent k = 0; k < count && k < LANES; k++) v[k] = from[k * across];
    return _mm512_loadu_ps(v);
}

static void low_pack(const float *from, extent depth, extent columns, extent down, extent across,
                     float *packed) {
    for (extent first = 0; first < columns; first += PANEL)
        for (extent k = 0; k < depth; k += 2)
            for (extent column = first; column < first + PANEL; column += LANES, packed += LANES) {
                const float *here = from + k * down + column * across;
                extent count = columns - column, next = k + 1 < depth ? count : 0;
                _mm512_storeu_si512(packed, as_pairs(those_of(here, across, count),
                                                     those_of(here + down, across, next)));
            }
}

// A row of numbers as pairs, the last one filled up with zero.
static inline void low_row(const float *from, extent depth, uint32_t *to) {
    for (extent k = 0; k < depth; k += LANES) {
        __m256i half = (__m256i)_mm512_cvtneps_pbh(those_of(from + k, 1, depth - k));
        _mm256_storeu_si256((__m256i *)(to + k / 2), half);
    }
}

// A tile of M rows and a panel: adds a row's share of the inner places to its sums.
template <int M, bool DOWN>
static inline void low_tile(extent pairs, const uint32_t *a, const float *b, float *c, extent next_c) {
    __m512 sums[M][PARTS];
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; v++) sums[m][v] = _mm512_loadu_ps(c + m * next_c + v * LANES);
    for (extent k = 0; k < pairs; k++) {
        __m512i row[PARTS];
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; v++) row[v] = _mm512_loadu_si512(b + k * PANEL + v * LANES);
#pragma GCC unroll 16
        for (int m = 0; m < M; m++) {
            __m512i x = _mm512_set1_epi32((int)(DOWN ? a[k * LANES + m] : a[m * LOW_PAIRS + k]));
#pragma GCC unroll 8
            for (int v = 0; v < PARTS; v++)
                sums[m][v] = _mm512_dpbf16_ps(sums[m][v], (__m512bh)x, (__m512bh)row[v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++)
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; v++) _mm512_storeu_ps(c + m * next_c + v * LANES, sums[m][v]);
}

// The same of as many rows as there are, where so many columns of the last panel are there.
template <int M, bool DOWN>
static void low_tiles(extent rows, extent pairs, const uint32_t *a, const float *b, float *c,
                      extent next_c, extent columns) {
    if constexpr (M > 1)
        if (rows < M) return low_tiles<M - 1, DOWN>(rows, pairs, a, b, c, next_c, columns);
    if (columns >= PANEL) return low_tile<M, DOWN>(pairs, a, b, c, next_c);
    float part[M * PANEL] = {};
    for (int m = 0; m < M; m++) memcpy(part + m * PANEL, c + m * next_c, 4 * columns);
    low_tile<M, DOWN>(pairs, a, b, part, PANEL);
    for (int m = 0; m < M; m++) memcpy(c + m * next_c, part + m * PANEL, 4 * columns);
}

// As `product`.
static void low_product(extent rows, extent depth, extent columns, const float *a, extent next_a,
                        const float *b, float *c, extent next_c) {
    uint32_t pairs[BLOCK * LOW_PAIRS];
    extent next_b = (depth + 1) / 2 * PANEL;
    for (extent block = 0; block < rows; block += BLOCK) {
        extent end = rows - block < BLOCK ? rows : block + BLOCK;
        for (extent k = 0; k < depth; k += LOW_DEPTH) {
            extent part = depth - k < LOW_DEPTH ? depth - k : LOW_DEPTH;
            for (extent row = block; row < end; row++)
                low_row(a + row * next_a + k, part, pairs + (row - block) * LOW_PAIRS);
            for (extent column = 0; column < columns; column += PANEL) {
                const float *here = b + column / PANEL * next_b + k / 2 * PANEL;
                for (extent row = block; row < end; row += ROWS)
                    low_tiles<ROWS, false>(end - row < ROWS ? end - row : ROWS, (part + 1) / 2,
                                           pairs + (row - block) * LOW_PAIRS, here,
                                           c + row * next_c + column, next_c, columns - column);
            }
        }
    }
}

// As `outer`.
static void low_outer(extent rows, extent depth, extent columns, const float *a, extent next_a,
                      const float *b, extent next_b, float *c, extent next_c, float *work) {
    uint32_t pairs[OUTER_DEPTH / 2 * LANES];
    for (extent k = 0; k < depth; k += OUTER_DEPTH) {
        extent part = depth - k < OUTER_DEPTH ? depth - k : OUTER_DEPTH, both = (part + 1) / 2;
        low_pack(b + k * next_b, part, columns, next_b, 1, work);
        for (extent row = 0; row < rows; row += ROWS) {
            extent count = rows - row < ROWS ? rows - row : ROWS;
            ask_for(part, a + k * next_a + row + ROWS, next_a);
            for (extent pair = 0; pair < both; pair++) {
                const float *here = a + (k + 2 * pair) * next_a + row;
                extent next = 2 * pair + 1 < part ? count : 0;
                _mm512_storeu_si512(pairs + pair * LANES, as_pairs(those_of(here, 1, count),
                                                                   those_of(here + next_a, 1, next)));
            }
            for (extent column = 0; column < columns; column += PANEL)
                low_tiles<ROWS, true>(count, both, pairs, work + column * both,
                                      c + row * next_c + column, next_c, columns - column);
        }
    }
}

static const Kernels LOW_KERNELS = {PANEL, OUTER_DEPTH, low_pack, low_product, low_outer,
                                    forward<low_product>, backward<low_product>, 0, 0, 0};
