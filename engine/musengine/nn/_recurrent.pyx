# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False
"""Recurrent layers along a sequence in float32, as `compiled` calls them: addresses, not tensors.

Nothing is checked here. All calls leave the lock of the interpreter.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifndef MADE_OF
    #define MADE_OF 0
    #endif
    """
    const long long MADE_OF

made_of = MADE_OF
"""The checksum of the sources, as `musengine.utils.built` computes it."""


cdef extern from "_kernels.hpp" nogil:
    ctypedef int64_t extent

    struct Layer:
        extent inputs, units
        int linear
        const float *input
        const float *recurrent
        const float *bias
        const float *peepholes

    struct Sequence:
        extent steps, rows
        int keep, given
        const float *x
        extent next_step, next_row
        const float *start
        float *gates
        float *hidden
        float *cell

    struct Loop:
        extent steps, rows, bits, width, widest
        const float *known
        float *shared
        float *gates
        float **cells
        const float *output
        const float *bias
        const float *thresholds
        float *logits

    struct TokenLoop:
        extent steps, rows, size, width, widest
        const float *known
        const float *output
        const float *bias
        const float *noise
        float *shared
        float *gates
        float **cells
        int64_t *last
        int64_t *drawn
        float *logits

    const extent FIELDS
    const extent MOST_LAGS

    struct NoteNet:
        extent layers, width, hidden, lags, places
        extent sizes[5]
        extent at_once
        int pedal, in_beats
        const Layer *stack
        const float *read
        const float *expected_in
        const float *expected_out
        const float *to_hidden
        const float *hidden_bias
        const float *before[5]
        const float *outputs[5]
        const float *biases[5]
        const float *by_run
        const int64_t *delays
        const int64_t *bars_back
        const int64_t *kinds
        const uint8_t *forbidden[3]

    struct NoteRun:
        extent steps, rows, kept, shared_width, widest_gates, widest
        int begun
        float temperature, top_p
        double pull
        extent bits, longest, longest_loop, periods
        int64_t *last
        uint8_t *begins
        int64_t *key
        int64_t *fields
        int64_t *count
        int64_t *time
        int64_t *at_once
        int64_t *expected
        int64_t *heard
        const int64_t *bar
        const int64_t *start
        const int64_t *ago
        const float *numbers
        const float *more
        const double *returns
        float *shared
        float *gates
        float **cells
        float *out
        float *hidden
        float *scores
        float *sorted
        const uint8_t *filter
        uint64_t *grams
        int64_t *waited
        int64_t *pitch
        int64_t *known
        int64_t *run
        int64_t *recent
        int64_t *again
        int64_t *drawn
        float *logits

    struct Kernels:
        extent panel, depth
        void (*pack)(const float *, extent, extent, extent, extent, float *) noexcept nogil
        void (*product)(extent, extent, extent, const float *, extent, const float *, float *, extent) noexcept nogil
        void (*outer)(
            extent, extent, extent, const float *, extent, const float *, extent, float *, extent,
            float *
        ) noexcept nogil
        bint (*forward)(const Layer &, const Sequence &, extent, extent) noexcept nogil
        void (*backward)(
            const Layer &, const Sequence &, const float *, float *, float *, extent, extent
        ) noexcept nogil
        void (*draw_bits)(const Layer *, extent, const Loop &, extent, extent) noexcept nogil
        void (*draw_notes)(const NoteNet &, const NoteRun &, extent, extent) noexcept nogil
        void (*draw_tokens)(
            const Layer *, extent, const TokenLoop &, extent, extent
        ) noexcept nogil

    const Kernels *kernels_of(const char *) noexcept


cdef enum:
    MOST_LAYERS = 16

most_layers = MOST_LAYERS
most_lags = MOST_LAGS


def find(str name):
    """Return the address of the kernels of a name, 0 where the processor lacks them."""
    return <size_t>kernels_of(name.encode())


def sizes(size_t kernels):
    """Return of how many columns a panel of a packed matrix is, and how deep `outer` packs."""
    return (<const Kernels *>kernels).panel, (<const Kernels *>kernels).depth


def pack(size_t kernels, size_t source, extent depth, extent columns, extent down, extent across,
         size_t to):
    """Pack a matrix (depth, columns) whose neighbours lie so far apart."""
    with nogil:
        (<const Kernels *>kernels).pack(
            <const float *>source, depth, columns, down, across, <float *>to
        )


def product(size_t kernels, extent first, extent last, extent depth, extent columns, size_t a,
            extent next_a, size_t b, size_t c, extent next_c):
    """Add to rows of c the products of those of a with the packed b."""
    with nogil:
        (<const Kernels *>kernels).product(
            last - first, depth, columns, <const float *>a + first * next_a, next_a,
            <const float *>b, <float *>c + first * next_c, next_c
        )


def outer(size_t kernels, extent first, extent last, extent depth, extent columns, size_t a,
          extent next_a, size_t b, extent next_b, size_t c, extent next_c, size_t work):
    """Add to rows of c the products of those columns of a with b."""
    with nogil:
        (<const Kernels *>kernels).outer(
            last - first, depth, columns, <const float *>a + first, next_a, <const float *>b,
            next_b, <float *>c + first * next_c, next_c, <float *>work
        )


cdef Layer _layer(tuple layer):
    cdef Layer made
    (made.inputs, made.units, made.linear) = layer[:3]
    made.input = <const float *><size_t>layer[3]
    made.recurrent = <const float *><size_t>layer[4]
    made.bias = <const float *><size_t>layer[5]
    made.peepholes = <const float *><size_t>layer[6]
    return made


cdef Sequence _sequence(tuple sequence):
    cdef Sequence made
    (made.steps, made.rows, made.keep, made.given, made.next_step, made.next_row) = sequence[:6]
    made.x = <const float *><size_t>sequence[6]
    made.start = <const float *><size_t>sequence[7]
    made.gates = <float *><size_t>sequence[8]
    made.hidden = <float *><size_t>sequence[9]
    made.cell = <float *><size_t>sequence[10]
    return made


def forward(size_t kernels, tuple layer, tuple sequence, extent first, extent last):
    """Run some rows of a sequence."""
    cdef Layer one = _layer(layer)
    cdef Sequence run = _sequence(sequence)
    cdef bint done
    with nogil:
        done = (<const Kernels *>kernels).forward(one, run, first, last)
    if not done:
        raise MemoryError("no memory for the gates of a layer")


def backward(size_t kernels, tuple layer, tuple sequence, size_t given, size_t back,
             size_t carried, extent first, extent last):
    """Put the gradients of the gates' sums in the place of the gates, in some rows."""
    cdef Layer one = _layer(layer)
    cdef Sequence run = _sequence(sequence)
    with nogil:
        (<const Kernels *>kernels).backward(
            one, run, <const float *>given, <float *>back, <float *>carried, first, last
        )


cdef extent fitting(list layers) except? 0:
    """Return how many layers there are; the arrays of this code hold no more than so many."""
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"{len(layers)} layers are more than {MOST_LAYERS}")
    return len(layers)


cdef extent gathered(list layers, list cells, Layer *stack, float **kept) except? 0:
    """Write layers and their cells into arrays of MOST_LAYERS; returns how many there are."""
    cdef extent count = fitting(layers)
    for number in range(count):
        stack[number] = _layer(layers[number])
        kept[number] = <float *><size_t>cells[number]
    return count


def draw_bits(size_t kernels, list layers, list cells, tuple loop, extent first, extent last):
    """Draw the bits of some rows."""
    cdef Layer stack[MOST_LAYERS]
    cdef float *kept[MOST_LAYERS]
    cdef Loop made
    cdef extent count = gathered(layers, cells, stack, kept)
    (made.steps, made.rows, made.bits, made.width, made.widest) = loop[:5]
    made.known = <const float *><size_t>loop[5]
    made.shared = <float *><size_t>loop[6]
    made.gates = <float *><size_t>loop[7]
    made.cells = kept
    made.output = <const float *><size_t>loop[8]
    made.bias = <const float *><size_t>loop[9]
    made.thresholds = <const float *><size_t>loop[10]
    made.logits = <float *><size_t>loop[11]
    with nogil:
        (<const Kernels *>kernels).draw_bits(stack, count, made, first, last)


def draw_tokens(size_t kernels, list layers, list cells, tuple loop, extent first, extent last):
    """Draw the tokens of some rows."""
    cdef Layer stack[MOST_LAYERS]
    cdef float *kept[MOST_LAYERS]
    cdef TokenLoop made
    cdef extent count = gathered(layers, cells, stack, kept)
    (made.steps, made.rows, made.size, made.width, made.widest) = loop[:5]
    made.known = <const float *><size_t>loop[5]
    made.output = <const float *><size_t>loop[6]
    made.bias = <const float *><size_t>loop[7]
    made.noise = <const float *><size_t>loop[8]
    made.shared = <float *><size_t>loop[9]
    made.gates = <float *><size_t>loop[10]
    made.cells = kept
    made.last = <int64_t *><size_t>loop[11]
    made.drawn = <int64_t *><size_t>loop[12]
    made.logits = <float *><size_t>loop[13]
    with nogil:
        (<const Kernels *>kernels).draw_tokens(stack, count, made, first, last)


cdef class Stack:
    """Layers on top of each other, for one step at a time; the first reads the step.

    Args:
        kernels: the code.
        layers: as for `forward`.
        skip: the others read the step beside the layer below, else that layer alone.
    """

    cdef Layer layers[MOST_LAYERS]
    cdef extent count
    cdef bint skip
    cdef const Kernels *kernels

    def __init__(self, size_t kernels, list layers, bint skip):
        self.count, self.skip = fitting(layers), skip
        self.kernels = <const Kernels *>kernels
        for number in range(self.count):
            self.layers[number] = _layer(layers[number])

    def step(self, extent rows, extent first, extent last, size_t x, list before, list after,
             size_t work):
        """Take one step of some rows.

        Args:
            rows: how many there are.
            first: of some.
            last: of some, itself left out.
            x: (rows, inputs of the first layer).
            before: the hidden state of each layer.
            after: the new hidden state and the cell, which becomes the new one, of each layer.
            work: room for (rows, inputs of the widest layer).
        """
        cdef float *old[MOST_LAYERS]
        cdef float *hidden[MOST_LAYERS]
        cdef float *cell[MOST_LAYERS]
        cdef Sequence run
        cdef extent number, row, width, below, given = self.layers[0].inputs
        cdef float *joined = <float *>work
        cdef bint done = True
        for number in range(self.count):
            old[number] = <float *><size_t>before[number]
            hidden[number] = <float *><size_t>after[2 * number]
            cell[number] = <float *><size_t>after[2 * number + 1]
        with nogil:
            run.steps, run.rows, run.keep, run.given = 1, rows, 0, 0
            run.gates = NULL
            for number in range(self.count):
                width = self.layers[number].inputs
                run.x = <const float *>x
                if number and self.skip:
                    below = width - given
                    for row in range(first, last):
                        memcpy(joined + row * width, run.x + row * given, 4 * given)
                        memcpy(joined + row * width + given, hidden[number - 1] + row * below,
                               4 * below)
                    run.x = joined
                elif number:
                    run.x = hidden[number - 1]
                run.next_step = run.next_row = width
                run.start, run.hidden, run.cell = old[number], hidden[number], cell[number]
                done = done and self.kernels.forward(self.layers[number], run, first, last)
        if not done:
            raise MemoryError("no memory for the gates of a layer")


cdef class NoteLoop:
    """The weights and rules of a model of notes, as `draw_notes` reads them.

    Args:
        kernels: the code.
        layers: with the joined weights.
        sizes: of the struct `NoteNet`, in its order, and its two flags.
        tables: the addresses of what it holds, in its order.
    """

    cdef Layer layers[MOST_LAYERS]
    cdef NoteNet net
    cdef const Kernels *kernels

    def __init__(self, size_t kernels, list layers, tuple sizes, tuple tables):
        self.kernels = <const Kernels *>kernels
        self.net.layers = fitting(layers)
        for number in range(self.net.layers):
            self.layers[number] = _layer(layers[number])
        self.net.stack = self.layers
        (self.net.width, self.net.hidden, self.net.lags, self.net.places) = sizes[:4]
        for field in range(5):
            self.net.sizes[field] = sizes[4 + field]
            self.net.before[field] = <const float *><size_t>tables[5 + field]
            self.net.outputs[field] = <const float *><size_t>tables[10 + field]
            self.net.biases[field] = <const float *><size_t>tables[15 + field]
        (self.net.at_once, self.net.pedal, self.net.in_beats) = sizes[9:]
        self.net.read = <const float *><size_t>tables[0]
        self.net.expected_in = <const float *><size_t>tables[1]
        self.net.expected_out = <const float *><size_t>tables[2]
        self.net.to_hidden = <const float *><size_t>tables[3]
        self.net.hidden_bias = <const float *><size_t>tables[4]
        self.net.by_run = <const float *><size_t>tables[20]
        self.net.delays = <const int64_t *><size_t>tables[21]
        self.net.bars_back = <const int64_t *><size_t>tables[22]
        self.net.kinds = <const int64_t *><size_t>tables[23]
        for table in range(3):
            self.net.forbidden[table] = <const uint8_t *><size_t>tables[24 + table]

    def draw(self, tuple sizes, tuple numbers, list cells, tuple tensors, extent first, extent last):
        """Draw the notes of some rows.

        Args:
            sizes: of the struct `NoteRun`, in its order.
            numbers: temperature, share and pull.
            cells: addresses of the layers' cells.
            tensors: the addresses of what it holds, in its order, 0 for null.
            first: of some rows.
            last: of some, itself left out.
        """
        cdef float *kept[MOST_LAYERS]
        cdef NoteRun run
        if len(cells) != self.net.layers:
            raise ValueError(f"{len(cells)} cells of {self.net.layers} layers")
        for number in range(self.net.layers):
            kept[number] = <float *><size_t>cells[number]
        (run.steps, run.rows, run.kept, run.shared_width, run.widest_gates, run.widest) = sizes[:6]
        (run.begun, run.bits, run.longest, run.longest_loop, run.periods) = sizes[6:]
        (run.temperature, run.top_p, run.pull) = numbers
        run.last = <int64_t *><size_t>tensors[0]
        run.begins = <uint8_t *><size_t>tensors[1]
        run.key = <int64_t *><size_t>tensors[2]
        run.fields = <int64_t *><size_t>tensors[3]
        run.count = <int64_t *><size_t>tensors[4]
        run.time = <int64_t *><size_t>tensors[5]
        run.expected = <int64_t *><size_t>tensors[6]
        run.at_once = <int64_t *><size_t>tensors[7]
        run.heard = <int64_t *><size_t>tensors[8]
        run.bar = <const int64_t *><size_t>tensors[9]
        run.start = <const int64_t *><size_t>tensors[10]
        run.ago = <const int64_t *><size_t>tensors[11]
        run.numbers = <const float *><size_t>tensors[12]
        run.more = <const float *><size_t>tensors[13]
        run.returns = <const double *><size_t>tensors[14]
        run.shared = <float *><size_t>tensors[15]
        run.gates = <float *><size_t>tensors[16]
        run.cells = kept
        run.out = <float *><size_t>tensors[17]
        run.hidden = <float *><size_t>tensors[18]
        run.scores = <float *><size_t>tensors[19]
        run.sorted = <float *><size_t>tensors[20]
        run.filter = <const uint8_t *><size_t>tensors[21]
        run.grams = <uint64_t *><size_t>tensors[22]
        run.waited = <int64_t *><size_t>tensors[23]
        run.pitch = <int64_t *><size_t>tensors[24]
        run.known = <int64_t *><size_t>tensors[25]
        run.run = <int64_t *><size_t>tensors[26]
        run.recent = <int64_t *><size_t>tensors[27]
        run.again = <int64_t *><size_t>tensors[28]
        run.drawn = <int64_t *><size_t>tensors[29]
        run.logits = <float *><size_t>tensors[30]
        with nogil:
            self.kernels.draw_notes(self.net, run, first, last)
