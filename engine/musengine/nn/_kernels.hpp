// Recurrent layers in float32, compiled for several kinds of processor; the one at hand is asked.
//
// Gates stand in the order input, forget, candidate, output. Matrices are row after row.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

struct Kernels {
    extent panel, depth;
    void (*pack)(const float *, extent, extent, extent, extent, float *);
    void (*product)(extent, extent, extent, const float *, extent, const float *, float *, extent);
    void (*outer)(extent, extent, extent, const float *, extent, const float *, extent, float *, extent,
                  float *);
    void (*forward)(const Layer &, const Sequence &, extent, extent);
    void (*backward)(const Layer &, const Sequence &, const float *, float *, float *, extent, extent);
    void (*draw_bits)(const Layer *, extent, const Loop &, extent, extent);
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

// The kernels of the names "avx512", "avx2" and "plain"; null where the processor lacks them.
static const Kernels *kernels_of(const char *name) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq"))
        return &avx512::KERNELS;
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2::KERNELS;
#endif
    return strcmp(name, "plain") ? 0 : &plain::KERNELS;
}
