// Recurrent layers in float32, compiled for several kinds of processor; the one at hand is asked.
//
// Gates stand in the order input, forget, candidate, output. Matrices are row after row.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
// Older compilers know no products in bfloat16, and make all the rest.
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 10
#define HAS_PAIRS
#endif
#endif

typedef int64_t extent;

struct Layer {
    extent inputs, units;
    int linear;
    const float *input;      // packed (inputs, 4 * units)
    const float *recurrent;  // packed: forward (units, 4 * units), backward (4 * units, units)
    const float *bias;       // (4 * units)
    const float *peepholes;  // (3, units), or null
};

struct Sequence {
    extent steps, rows;
    int keep;                   // gates and cells of all steps, else of the last
    int given;                  // what the input adds to the gates stands in them; they are kept
    const float *x;             // (steps, rows, inputs)
    extent next_step, next_row;   // of x
    const float *start;         // (rows, units) hidden state before the first step
    float *gates;               // (steps, rows, 4 * units), where they are kept
    float *hidden;              // (steps, rows, units)
    float *cell;                // (steps + 1 or 1, rows, units), the first that before all steps
};

struct Loop {
    extent steps, rows, bits, width, widest;
    const float *known;       // (steps, rows, 4 * units) the first layer's sums without the bits
    float *shared;            // (rows, width) the bits, then each layer's hidden state
    float *gates;             // (rows, widest)
    float **cells;            // of each layer (rows, units)
    const float *output;      // (bits, units)
    const float *bias;        // (bits)
    const float *thresholds;  // (steps, rows, bits)
    float *logits;            // (steps, rows, bits)
};

struct TokenLoop {
    extent steps, rows, size, width, widest;
    const float *known;    // (tokens, 4 * units) the first layer's sums of a token, without its state
    const float *output;   // packed (units, size)
    const float *bias;     // (size)
    const float *noise;    // (rows, steps, size)
    float *shared;         // (rows, width) each layer's hidden state
    float *gates;          // (rows, widest)
    float *const *cells;   // of each layer (rows, units)
    int64_t *last;         // (rows)
    int64_t *drawn;        // (rows, steps)
    float *logits;         // (rows, steps, size)
};

const extent FIELDS = 5;  // of a note: delay, part, pitch, duration, velocity

const extent MOST_LAGS = 64;

struct NoteNet {
    extent layers, width, hidden, lags, places;
    extent sizes[FIELDS];          // values of each field
    extent at_once;                // than which no more events begin together
    int pedal, in_beats;
    const Layer *stack;            // with the joined weights
    const float *read;             // rows (width): of fields, nothing, place, bar, events at once
    const float *expected_in;      // rows (width): of what each lag expects
    const float *expected_out;     // the same
    const float *to_hidden;        // packed (width, FIELDS * hidden)
    const float *hidden_bias;      // (FIELDS * hidden)
    const float *before[FIELDS];   // rows (hidden): of the fields before, then places; first none
    const float *outputs[FIELDS];  // packed (hidden, size + lags)
    const float *biases[FIELDS];   // (size + lags)
    const float *by_run;           // (FIELDS, lags, LONGEST_RUN + 2)
    const int64_t *delays;         // (sizes[DELAY]) grid steps
    const int64_t *bars_back;      // (lags)
    const int64_t *kinds;          // (sizes[PART])
    const uint8_t *forbidden[3];   // (kinds, size) of pitch, duration and velocity
};

// Of all rows; a row is a piece.
struct NoteRun {
    extent steps, rows, kept, shared_width, widest_gates, widest;
    int begun;                // an event stands before the first step
    float temperature, top_p;
    double pull;              // how strongly as much comes back as is to
    extent bits;              // of the filter of copied runs, 0 for none
    extent longest;           // run that may be copied
    extent longest_loop;      // notes in a row that may go round
    extent periods;           // after which they do, at the most
    int64_t *last;            // (rows, FIELDS) the event before
    uint8_t *begins;          // (rows) nothing is before
    int64_t *key;             // (rows, kept)
    int64_t *fields;          // (rows, kept, FIELDS)
    int64_t *count, *time, *at_once;  // (rows)
    int64_t *expected;        // (rows, lags, FIELDS + 1)
    int64_t *heard;           // (rows, lags, 2) notes so many bars after others, and those there then too
    const int64_t *bar;       // (rows, steps)
    const int64_t *start;     // (rows, steps), or null for 0
    const int64_t *ago;       // (rows, steps, lags), or null where bars are alike
    const float *numbers;     // (rows, steps, FIELDS) in [0, 1)
    const float *more;        // (rows, steps, lags + 1), the last for copied runs
    const double *returns;    // (lags) how much is to come back, or null for any
    float *shared;            // (rows, shared_width)
    float *gates;             // (rows, widest_gates)
    float *const *cells;      // of each layer (rows, units)
    float *out;               // (rows, width)
    float *hidden;            // (rows, FIELDS * hidden)
    float *scores;            // (rows, widest), the widest field's size and lags
    float *sorted;            // (rows, 2 * widest)
    const uint8_t *filter;    // (bits / 8)
    uint64_t *grams;          // (rows, GRAM) the last notes
    int64_t *waited, *pitch, *known, *run;  // (rows)
    int64_t *recent, *again;  // (rows, periods) the last notes, and how many were as so many before
    int64_t *drawn;           // (rows, steps, FIELDS)
    float *logits;            // (rows, steps, all sizes)
};

// rows, depth, columns, a, how far its rows are apart, packed b, c, how far its rows are apart
typedef void (*Product)(extent, extent, extent, const float *, extent, const float *, float *, extent);

struct Kernels {
    extent panel, depth;
    void (*pack)(const float *, extent, extent, extent, extent, float *);
    Product product;
    void (*outer)(extent, extent, extent, const float *, extent, const float *, extent, float *, extent,
                  float *);
    bool (*forward)(const Layer &, const Sequence &, extent, extent);
    void (*backward)(const Layer &, const Sequence &, const float *, float *, float *, extent, extent);
    void (*draw_bits)(const Layer *, extent, const Loop &, extent, extent);
    void (*draw_notes)(const NoteNet &, const NoteRun &, extent, extent);
    void (*draw_tokens)(const Layer *, extent, const TokenLoop &, extent, extent);
};

#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#define LANES 8
#define ROWS 6
#define PARTS 2
#include "_lanes.hpp"
#undef LANES
#undef ROWS
#undef PARTS
}
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,fma")
#endif
namespace avx512 {
#define LANES 16
#define ROWS 12
#define PARTS 2
#include "_lanes.hpp"
#if defined(HAS_PAIRS)
#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma")
#endif
#include "_low.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#undef LANES
#undef ROWS
#undef PARTS
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace plain {
#if defined(__GNUC__)
#define LANES 4
#else
#define LANES 1
#endif
#define ROWS 4
#define PARTS 2
#include "_lanes.hpp"
#undef LANES
#undef ROWS
#undef PARTS
}

#if defined(HAS_PAIRS)
// Whether there are products in bfloat16 of registers, and none of whole matrices (AMX): those are
// faster still, and PyTorch's own library has them.
static bool pairs_alone() {
    unsigned a, b, c, d, pairs, matrices;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
    pairs = a >> 5 & 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    matrices = d >> 22 & 1;
    return pairs && !matrices && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

// The kernels of the names "avx512", "avx2" and "plain", and of "avx512_bf16" for learning alone; null
// where the processor lacks them.
static const Kernels *kernels_of(const char *name) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq"))
        return &avx512::KERNELS;
#if defined(HAS_PAIRS)
    if (!strcmp(name, "avx512_bf16") && kernels_of("avx512") && pairs_alone())
        return &avx512::LOW_KERNELS;
#endif
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2::KERNELS;
#endif
    return strcmp(name, "plain") ? 0 : &plain::KERNELS;
}
