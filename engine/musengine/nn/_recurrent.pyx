# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False
"""Recurrent layers along a sequence in float32, as `compiled` calls them: addresses, not tensors.

Nothing is checked here. All calls leave the lock of the interpreter.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy


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
        int keep
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

    struct Kernels:
        extent panel, depth
        void (*pack)(const float *, extent, extent, extent, extent, float *) noexcept nogil
        void (*product)(extent, extent, extent, const float *, extent, const float *, float *, extent) noexcept nogil
        void (*outer)(
            extent, extent, extent, const float *, extent, const float *, extent, float *, extent,
            float *
        ) noexcept nogil
        void (*forward)(const Layer &, const Sequence &, extent, extent) noexcept nogil
        void (*backward)(
            const Layer &, const Sequence &, const float *, float *, float *, extent, extent
        ) noexcept nogil
        void (*draw_bits)(const Layer *, extent, const Loop &, extent, extent) noexcept nogil

    const Kernels *kernels_of(const char *) noexcept


cdef enum:
    MOST_LAYERS = 16

most_layers = MOST_LAYERS


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
    (made.steps, made.rows, made.keep, made.next_step, made.next_row) = sequence[:5]
    made.x = <const float *><size_t>sequence[5]
    made.start = <const float *><size_t>sequence[6]
    made.gates = <float *><size_t>sequence[7]
    made.hidden = <float *><size_t>sequence[8]
    made.cell = <float *><size_t>sequence[9]
    return made


def forward(size_t kernels, tuple layer, tuple sequence, extent first, extent last):
    """Run some rows of a sequence."""
    cdef Layer one = _layer(layer)
    cdef Sequence run = _sequence(sequence)
    with nogil:
        (<const Kernels *>kernels).forward(one, run, first, last)


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


def draw_bits(size_t kernels, list layers, list cells, tuple loop, extent first, extent last):
    """Draw the bits of some rows."""
    cdef Layer stack[MOST_LAYERS]
    cdef float *kept[MOST_LAYERS]
    cdef Loop made
    cdef extent count = fitting(layers)
    for number in range(count):
        stack[number] = _layer(layers[number])
        kept[number] = <float *><size_t>cells[number]
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
        for number in range(self.count):
            old[number] = <float *><size_t>before[number]
            hidden[number] = <float *><size_t>after[2 * number]
            cell[number] = <float *><size_t>after[2 * number + 1]
        with nogil:
            run.steps, run.rows, run.keep = 1, rows, 0
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
                self.kernels.forward(self.layers[number], run, first, last)
