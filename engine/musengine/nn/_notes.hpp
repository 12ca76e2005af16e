// The loop over notes, whose fields are drawn one after another, each given those before it.
//
// Included once for each kind of processor, after `_lanes.hpp`. It does what the plugin
// musengine-notes does step by step; the equations, the grammar of events, look-back and the bounds on
// copied runs and loops are described there.

enum { DELAY, PART, PITCH, DURATION, VELOCITY };
enum { REST, PEDAL, FIRST_PART };     // values of a part
enum { OF_REST, OF_PEDAL, PITCHED, DRUMS, OF_END };  // kinds of parts
const int64_t DRUM_PITCHES = 128, PITCHES = 256, KEY = PITCHES * 1024, LATE = (int64_t)1 << 62;
const int64_t LONGEST_RUN = 15, MOST_AT_ONCE = 15;
const extent EXPECTED = FIELDS, LOOKBACK = FIELDS + 1, GRAM = 8, PROBES = 8;
const int64_t FALL = 8, LEAST_ELSE = 8;
const double PRIOR_NOTES = 16, LITTLE = 0.01;
const float NEVER = -1e9f;
const uint64_t FACTOR = 0x9E3779B97F4A7C15u;

static inline int64_t bounded(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

// Quotients and remainders go down, not towards 0.
static inline int64_t remainder_of(int64_t x, int64_t by) {
    int64_t rest = x % by;
    return rest < 0 ? rest + by : rest;
}

static inline int64_t quotient_of(int64_t x, int64_t by) { return (x - remainder_of(x, by)) / by; }

static inline void add(float *to, const float *from, extent count) {
    for (extent k = 0; k < count; k++) to[k] += from[k];
}

static inline int64_t place_in_bar(const NoteRun &run, extent at, int64_t time) {
    int64_t bar = run.bar[at];
    return bar > 0 ? remainder_of(time - (run.start ? run.start[at] : 0), bar) : 0;
}

// Before which of the sorted numbers x belongs: after those equal to it, or before them.
static extent place_among(const int64_t *sorted, extent count, int64_t x, bool after) {
    extent low = 0, high = count;
    while (low < high) {
        extent middle = (low + high) / 2;
        if (after ? sorted[middle] <= x : sorted[middle] < x) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void append(const NoteRun &run, extent row, const int64_t *event) {
    int64_t *key = run.key + row * run.kept, *fields = run.fields + row * run.kept * FIELDS;
    int64_t &count = run.count[row];
    if (count >= run.kept) {
        extent half = run.kept / 2;
        memmove(key, key + half, 8 * (run.kept - half));
        memmove(fields, fields + half * FIELDS, 8 * (run.kept - half) * FIELDS);
        for (extent k = run.kept - half; k < run.kept; k++) key[k] = LATE;
        count -= half;
    }
    key[count] = run.time[row] * KEY + event[PART] * PITCHES + event[PITCH];
    memcpy(fields + count * FIELDS, event, 8 * FIELDS);
    count++;
}

// What a lag expects after an event, with `right` events in a row that it expected up to that. Of a
// note it is counted in `heard` whether it was there then, too; null for other events.
static void expect(const NoteNet &net, const NoteRun &run, extent row, const int64_t *event,
                   int64_t then, int64_t right, int64_t *expected, int64_t *heard) {
    const int64_t *key = run.key + row * run.kept;
    int64_t count = run.count[row], wanted = then * KEY + event[PART] * PITCHES + event[PITCH];
    extent found = place_among(key, count, wanted, true);
    memset(expected, 0, 8 * LOOKBACK);
    if (then < 0 || (!found && quotient_of(key[0], KEY) > then)) return;
    if (heard) {
        heard[0]++;
        heard[1] += found && key[found - 1] == wanted;
    }
    if (found >= count) return;
    int64_t delay = quotient_of(key[found], KEY) - then;
    extent index = place_among(net.delays, net.sizes[DELAY], delay, false);
    if (index >= net.sizes[DELAY] || net.delays[index] != delay) return;
    memcpy(expected, run.fields + (row * run.kept + found) * FIELDS, 8 * FIELDS);
    expected[DELAY] = index;
    expected[EXPECTED] = right + 1;
}

static void read_event(const NoteNet &net, const NoteRun &run, extent row, extent at) {
    const int64_t *event = run.last + row * FIELDS;
    int64_t delay = net.delays[bounded(event[DELAY], 0, net.sizes[DELAY] - 1)];
    run.at_once[row] = delay > 0 || !run.count[row] ? 1 : run.at_once[row] + 1;
    run.time[row] += delay;
    if (!net.lags) {
        run.count[row]++;
        return;
    }
    append(run, row, event);
    bool note = event[PART] >= FIRST_PART && event[PART] < net.sizes[PART] - 1;
    bool counts = note && (run.ago || run.bar[at] > 0);
    for (extent l = 0; l < net.lags; l++) {
        int64_t *expected = run.expected + (row * net.lags + l) * LOOKBACK, right = 0;
        if (expected[EXPECTED] > 0 && !memcmp(expected, event, 8 * (PITCH + 1)))
            right = bounded(expected[EXPECTED], 0, LONGEST_RUN);
        int64_t then = run.ago ? run.ago[at * net.lags + l]
                               : run.time[row] - net.bars_back[l] * run.bar[at];
        int64_t *heard = run.heard + (row * net.lags + l) * 2;
        expect(net, run, row, event, then, right, expected, counts ? heard : nullptr);
    }
}

// The rows of what the lags expect, added to `to`.
static void add_expected(const NoteNet &net, const int64_t *expected, const float *table, float *to) {
    extent nothing = 0;
    for (extent f = 0; f < FIELDS; f++) nothing += net.sizes[f];
    extent each = nothing + LONGEST_RUN + 2;
    for (extent l = 0; l < net.lags; l++, expected += LOOKBACK, table += each * net.width) {
        extent offset = 0;
        for (extent f = 0; f < LOOKBACK; f++) {
            extent row = expected[EXPECTED] ? expected[f] + offset : nothing;
            add(to, table + row * net.width, net.width);
            offset += f < FIELDS ? net.sizes[f] : 0;
        }
    }
}

static void embed(const NoteNet &net, const NoteRun &run, extent row, extent at, float *x) {
    const int64_t *event = run.last + row * FIELDS;
    extent nothing = 0, width = net.width;
    memset(x, 0, 4 * width);
    for (extent f = 0; f < FIELDS; f++) nothing += net.sizes[f];
    for (extent f = 0, offset = 0; f < FIELDS; offset += net.sizes[f++])
        add(x, net.read + (run.begins[row] ? nothing : event[f] + offset) * width, width);
    int64_t place = run.begins[row] ? 0 : place_in_bar(run, at, run.time[row]);
    const float *others = net.read + (nothing + 1) * width;
    add(x, others + bounded(place, 0, net.places - 1) * width, width);
    add(x, others + (net.places + bounded(run.bar[at], 0, net.places - 1)) * width, width);
    int64_t at_once = bounded(run.at_once[row], 0, MOST_AT_ONCE);
    add(x, others + (2 * net.places + at_once) * width, width);
    add_expected(net, run.expected + row * net.lags * LOOKBACK, net.expected_in, x);
}

static bool part_forbidden(const NoteNet &net, const int64_t *drawn, const int64_t *before,
                           bool begins, int64_t part) {
    int64_t end = net.sizes[PART] - 1, last = before[PART];
    bool at_once = !drawn[DELAY], longest = drawn[DELAY] == net.sizes[DELAY] - 1;
    int64_t most = last == PEDAL ? 1 : net.kinds[last] == DRUMS ? PITCHES - 1 : DRUM_PITCHES - 1;
    int64_t lowest = last + (before[PITCH] >= most && last != end);
    return (at_once && !begins && part < lowest) || (part == REST && !longest) ||
           (part == end && (begins || !at_once)) || (part == PEDAL && !net.pedal);
}

static void forbid(const NoteNet &net, const NoteRun &run, extent row, extent field,
                   const int64_t *drawn, float *logits) {
    const int64_t *before = run.last + row * FIELDS;
    bool begins = run.begins[row];
    int64_t end = net.sizes[PART] - 1;
    if (field == DELAY) {
        if (!begins && before[PART] == end)
            for (extent v = 1; v < net.sizes[DELAY]; v++) logits[v] = NEVER;
        bool full = run.at_once[row] >= net.at_once && before[PART] != end;
        if (full || (!begins && before[PART] == REST)) logits[0] = NEVER;
    } else if (field == PART) {
        for (int64_t part = 0; part <= end; part++)
            if (part_forbidden(net, drawn, before, begins, part)) logits[part] = NEVER;
    } else {
        const uint8_t *table =
            net.forbidden[field - PITCH] + net.kinds[drawn[PART]] * net.sizes[field];
        for (extent v = 0; v < net.sizes[field]; v++)
            if (table[v]) logits[v] = NEVER;
        bool same = drawn[PART] >= PEDAL && drawn[PART] < end && !drawn[DELAY] &&
                    drawn[PART] == before[PART] && !begins;
        for (int64_t v = 0; field == PITCH && same && v <= before[PITCH]; v++) logits[v] = NEVER;
    }
}

static inline uint64_t mixed(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline int64_t waits_of(const NoteNet &net, const NoteRun &run, extent row, int64_t waited) {
    return net.in_beats && run.known[row] > 0 ? waited : 0;
}

static inline int64_t note_key(int64_t waits, int64_t part, int64_t pitch) {
    return waits * (1 << 20) + part * (1 << 9) + pitch;
}

static inline uint64_t note_hash(const NoteNet &net, const NoteRun &run, extent row, int64_t part,
                                 int64_t pitch, int64_t waited) {
    int64_t previous = run.pitch[row] < 0 ? pitch : run.pitch[row];
    int64_t moved = pitch >= DRUM_PITCHES ? pitch + 256 : pitch - previous + 128;
    int64_t waits = waits_of(net, run, row, waited);
    uint64_t joined = (uint64_t)waits * (1u << 24) + (uint64_t)part * (1u << 12) + (uint64_t)moved;
    return mixed(joined * FACTOR + FACTOR);
}

static bool holds(const NoteRun &run, uint64_t gram) {
    uint64_t place = mixed(gram), step = mixed(gram ^ FACTOR) | 1;
    for (extent k = 0; k < PROBES; k++, place += step) {
        uint64_t bit = place % (uint64_t)run.bits;
        if (!(run.filter[bit / 8] >> bit % 8 & 1)) return false;
    }
    return true;
}

// The notes from the one of a number on, as the polynomial of a gram.
static inline uint64_t polynomial(const NoteRun &run, extent row, extent from) {
    uint64_t sum = 0;
    for (extent k = from; k < GRAM; k++) sum = sum * FACTOR + run.grams[row * GRAM + k];
    return sum;
}

// Whether a loop is as long as it may be.
static inline bool loop_ends(const NoteRun &run, int64_t again, extent period) {
    return again >= run.longest_loop && 2 * again >= 3 * period;
}

// Which pitches go on with a loop that is barred; false where none of the loops is.
static bool going_round(const NoteNet &net, const NoteRun &run, extent row, const int64_t *drawn,
                        int64_t waited, bool *round) {
    const int64_t *recent = run.recent + row * run.periods, *again = run.again + row * run.periods;
    int64_t first = note_key(waits_of(net, run, row, waited), drawn[PART], 0);
    bool found = false;
    for (extent p = 0; p < run.periods; p++) {
        if (again[p] >= 0 && !loop_ends(run, again[p], p + 1)) continue;
        int64_t pitch = recent[p] - first;
        if (!found) memset(round, 0, PITCHES * sizeof(bool));
        found = true;
        if (pitch >= 0 && pitch < PITCHES) round[pitch] = true;
    }
    return found;
}

// Adds to the pitches that go on with a copied run. Where it would be too long they are forbidden, if
// others are left; so are those that go on with a loop that is barred.
static void quote(const NoteNet &net, const NoteRun &run, extent row, const int64_t *drawn, float added,
                  float *logits) {
    int64_t waited = run.waited[row] + net.delays[drawn[DELAY]];
    bool round[PITCHES], too_long = run.run[row] >= run.longest;
    bool loops = going_round(net, run, row, drawn, waited, round);
    // Before the eighth note there is no run.
    bool adds = !too_long && added != 0 && run.known[row] >= GRAM - 1;
    if (!too_long && !loops && !adds) return;
    uint64_t before = polynomial(run, row, 1) * FACTOR;
    bool barred[PITCHES], others = false;
    for (int64_t v = 0; v < PITCHES; v++) {
        bool copied = (too_long || adds) && logits[v] > NEVER / 2 &&
                      holds(run, before + note_hash(net, run, row, drawn[PART], v, waited));
        barred[v] = (copied && too_long) || (loops && round[v]);
        if (copied && adds) logits[v] += added;
        others |= !barred[v] && logits[v] > NEVER / 2;
    }
    for (int64_t v = 0; others && v < PITCHES; v++)
        if (barred[v]) logits[v] = NEVER;
}

static void follow_loops(const NoteRun &run, extent row, int64_t key) {
    int64_t *recent = run.recent + row * run.periods, *again = run.again + row * run.periods;
    for (extent p = 0; p < run.periods; p++) {
        int64_t now = again[p], other = (p + 1) / 2;
        if (recent[p] == key || now < 0) again[p] = now + 1;
        else if (loop_ends(run, now, p + 1)) again[p] = -(other > LEAST_ELSE ? other : LEAST_ELSE);
        else again[p] = now > FALL ? now - FALL : 0;
    }
    memmove(recent + 1, recent, 8 * (run.periods - 1));
    recent[0] = key;
}

static void follow_copies(const NoteNet &net, const NoteRun &run, extent row, const int64_t *event) {
    run.waited[row] += net.delays[event[DELAY]];
    if (event[PART] < FIRST_PART || event[PART] >= net.sizes[PART] - 1) return;
    int64_t waits = waits_of(net, run, row, run.waited[row]);
    follow_loops(run, row, note_key(waits, event[PART], event[PITCH]));
    uint64_t *grams = run.grams + row * GRAM;
    uint64_t hash = note_hash(net, run, row, event[PART], event[PITCH], run.waited[row]);
    memmove(grams, grams + 1, 8 * (GRAM - 1));
    grams[GRAM - 1] = hash;
    run.known[row]++;
    bool there = run.known[row] >= GRAM && holds(run, polynomial(run, row, 0));
    run.run[row] = !there ? 0 : run.run[row] > 0 ? run.run[row] + 1 : (int64_t)GRAM;
    if (event[PITCH] < DRUM_PITCHES) run.pitch[row] = event[PITCH];
    run.waited[row] = 0;
}

// Draws from the likeliest values that together have the share `top_p`. `work` is of twice the size.
static int64_t nucleus(const float *logits, extent size, float temperature, float top_p, float number,
                       float *work) {
    float *share = work, *value = work + size, best = logits[0];
    for (extent v = 1; v < size; v++) best = logits[v] > best ? logits[v] : best;
    double total = 0;
    for (extent v = 0; v < size; v++) {
        float below = (logits[v] - best) / temperature;
        // What is further below has no share in float32.
        share[v] = below > -100.0f ? expf(below) : 0.0f;
        total += share[v];
    }
    // What all that are no likelier have together is no more than is left out anyway; half of it, for
    // rounding.
    float least = 0.5f * (1.0f - top_p) / (float)size;
    extent count = 0;
    for (extent v = 0; v < size; v++) {
        float one = (float)(share[v] / total);
        if (!(one > least)) continue;
        // Sorted as they come, equal ones in their order. Values are small whole numbers.
        extent k = count++;
        for (; k && share[k - 1] < one; k--) share[k] = share[k - 1], value[k] = value[k - 1];
        share[k] = one;
        value[k] = (float)v;
    }
    double reached = 0;
    extent left = 0;
    for (; left < count && (float)reached < top_p; left++) reached += share[left];
    float wanted = number * (float)reached;
    double sum = 0;
    for (extent k = 0; k + 1 < left; k++) {
        sum += share[k];
        if ((float)sum > wanted) return (int64_t)value[k];
    }
    return left ? (int64_t)value[left - 1] : 0;
}

// What is added for a lag to what `more` has: the more, the less has come back of what is to.
static float pull_of(const NoteNet &net, const NoteRun &run, extent row, extent lag) {
    if (!run.returns || !(run.returns[lag] > 0)) return 0.0f;
    const int64_t *heard = run.heard + (row * net.lags + lag) * 2;
    double wanted = run.returns[lag], prior = PRIOR_NOTES * (2 * wanted / (1 + wanted));
    double share = (prior + (double)heard[1]) / (PRIOR_NOTES + (double)heard[0]);
    return (float)(run.pull * log((wanted + LITTLE) / (share / (2 - share) + LITTLE)));
}

static void draw_field(const NoteNet &net, const NoteRun &run, extent row, extent t, extent field,
                       float *scores, float *work) {
    extent at = row * run.steps + t, size = net.sizes[field], all = 0, offset = 0;
    int64_t *drawn = run.drawn + at * FIELDS;
    const int64_t *expected = run.expected + row * net.lags * LOOKBACK;
    bool agrees[MOST_LAGS];
    for (extent l = 0; l < net.lags; l++) {
        const int64_t *here = expected + l * LOOKBACK;
        agrees[l] = here[EXPECTED] > 0 && !memcmp(here, drawn, 8 * field);
        const float *by_run = net.by_run + (field * net.lags + l) * (LONGEST_RUN + 2);
        if (agrees[l]) scores[here[field]] += scores[size + l] + by_run[here[EXPECTED]];
    }
    forbid(net, run, row, field, drawn, scores);
    for (extent f = 0; f < FIELDS; f++) {
        offset += f < field ? net.sizes[f] : 0;
        all += net.sizes[f];
    }
    memcpy(run.logits + at * all + offset, scores, 4 * size);
    const float *more = run.more + at * (net.lags + 1);
    if (run.bits && field == PITCH) quote(net, run, row, drawn, more[net.lags], scores);
    for (extent l = 0; l < net.lags; l++)
        if (agrees[l]) scores[expected[l * LOOKBACK + field]] += more[l] + pull_of(net, run, row, l);
    drawn[field] = nucleus(scores, size, run.temperature, run.top_p, run.numbers[at * FIELDS + field],
                           work);
}

// The hidden layer below a field's scores.
static void field_hidden(const NoteNet &net, const NoteRun &run, extent row, extent t, extent field,
                         float *z) {
    extent at = row * run.steps + t, offset = 0;
    const int64_t *drawn = run.drawn + at * FIELDS;
    const float *table = net.before[field];
    for (extent f = 0; f < field; offset += net.sizes[f++])
        add(z, table + (drawn[f] + offset) * net.hidden, net.hidden);
    if (field) {
        int64_t place = place_in_bar(run, at, run.time[row] + net.delays[drawn[DELAY]]);
        add(z, table + (offset + bounded(place, 0, net.places - 1)) * net.hidden, net.hidden);
    }
    for (extent u = 0; u < net.hidden; u++) z[u] *= 0.5f * (1.0f + erff(z[u] * 0.70710678f));
}

static void draw_fields(const NoteNet &net, const NoteRun &run, extent first, extent last, extent t) {
    extent all = FIELDS * net.hidden;
    float *hidden = run.hidden + first * all, *scores = run.scores + first * run.widest;
    for (extent field = 0; field < FIELDS; field++) {
        extent columns = net.sizes[field] + net.lags;
        for (extent row = first; row < last; row++) {
            float *z = hidden + (row - first) * all + field * net.hidden;
            field_hidden(net, run, row, t, field, z);
            memcpy(scores + (row - first) * columns, net.biases[field], 4 * columns);
        }
        product(last - first, net.hidden, columns, hidden + field * net.hidden, all,
                net.outputs[field], scores, columns);
        for (extent row = first; row < last; row++)
            draw_field(net, run, row, t, field, scores + (row - first) * columns,
                       run.sorted + row * 2 * run.widest);
    }
}

static void draw_notes(const NoteNet &net, const NoteRun &run, extent first, extent last) {
    extent rows = last - first, all = FIELDS * net.hidden;
    float *shared = run.shared + first * run.shared_width;
    float *gates = run.gates + first * run.widest_gates;
    float *hidden = run.hidden + first * all, *out = run.out + first * net.width;
    for (extent t = 0; t < run.steps; t++) {
        for (extent row = first; row < last; row++) {
            extent at = row * run.steps + t, r = row - first, sums = 4 * net.stack[0].units;
            if (t || run.begun) read_event(net, run, row, at);
            embed(net, run, row, at, shared + r * run.shared_width);
            memcpy(gates + r * sums, net.stack[0].bias, 4 * sums);
        }
        extent top = stack_step(net.stack, net.layers, rows, shared, run.shared_width, gates,
                                run.cells, first);
        for (extent r = 0; r < rows; r++) {
            memcpy(out + r * net.width, shared + r * run.shared_width + top, 4 * net.width);
            add_expected(net, run.expected + (first + r) * net.lags * LOOKBACK, net.expected_out,
                         out + r * net.width);
            memcpy(hidden + r * all, net.hidden_bias, 4 * all);
        }
        product(rows, net.width, all, out, net.width, net.to_hidden, hidden, all);
        draw_fields(net, run, first, last, t);
        for (extent row = first; row < last; row++) {
            const int64_t *event = run.drawn + (row * run.steps + t) * FIELDS;
            if (run.bits) follow_copies(net, run, row, event);
            memcpy(run.last + row * FIELDS, event, 8 * FIELDS);
            run.begins[row] = 0;
        }
    }
}
