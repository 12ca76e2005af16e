// The loop over tokens, each drawn before the next is computed.
//
// Included once for each kind of processor, after `_lanes.hpp`.

static void draw_tokens(const Layer *layers, extent count, const TokenLoop &loop, extent first,
                        extent last) {
    extent rows = last - first, sums = 4 * layers[0].units, size = loop.size;
    float *shared = loop.shared + first * loop.width, *gates = loop.gates + first * loop.widest;
    for (extent t = 0; t < loop.steps; t++) {
        for (extent r = 0; r < rows; r++)
            memcpy(gates + r * sums, loop.known + loop.last[first + r] * sums, 4 * sums);
        extent start =
            stack_step(layers, count, rows, shared, loop.width, gates, loop.cells, first);
        float *logits = loop.logits + (first * loop.steps + t) * size;
        extent next = loop.steps * size;
        for (extent r = 0; r < rows; r++) memcpy(logits + r * next, loop.bias, 4 * size);
        product(rows, layers[count - 1].units, size, shared + start, loop.width, loop.output, logits,
                next);
        for (extent r = 0; r < rows; r++) {
            extent at = (first + r) * loop.steps + t;
            const float *noise = loop.noise + at * size;
            extent best = 0;
            for (extent v = 1; v < size; v++)
                if (logits[r * next + v] + noise[v] > logits[r * next + best] + noise[best]) best = v;
            loop.drawn[at] = loop.last[first + r] = best;
        }
    }
}
