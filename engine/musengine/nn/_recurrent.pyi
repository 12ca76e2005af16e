"""What the compiled module holds: see `_recurrent.pyx`."""

Layer = tuple[int, int, int, int, int, int, int]
Sequence = tuple[int, int, int, int, int, int, int, int, int, int, int]
Loop = tuple[int, int, int, int, int, int, int, int, int, int, int, int]

made_of: int
most_layers: int
most_lags: int

def find(name: str) -> int: ...
def sizes(kernels: int) -> tuple[int, int]: ...
def pack(
    kernels: int, source: int, depth: int, columns: int, down: int, across: int, to: int
) -> None: ...
def product(
    kernels: int,
    first: int,
    last: int,
    depth: int,
    columns: int,
    a: int,
    next_a: int,
    b: int,
    c: int,
    next_c: int,
) -> None: ...
def outer(
    kernels: int,
    first: int,
    last: int,
    depth: int,
    columns: int,
    a: int,
    next_a: int,
    b: int,
    next_b: int,
    c: int,
    next_c: int,
    work: int,
) -> None: ...
def forward(kernels: int, layer: Layer, sequence: Sequence, first: int, last: int) -> None: ...
def backward(
    kernels: int,
    layer: Layer,
    sequence: Sequence,
    given: int,
    back: int,
    carried: int,
    first: int,
    last: int,
) -> None: ...
def draw_bits(
    kernels: int, layers: list[Layer], cells: list[int], loop: Loop, first: int, last: int
) -> None: ...
def draw_tokens(
    kernels: int,
    layers: list[Layer],
    cells: list[int],
    loop: tuple[int, ...],
    first: int,
    last: int,
) -> None: ...

class Stack:
    def __init__(self, kernels: int, layers: list[Layer], skip: bool) -> None: ...
    def step(
        self,
        rows: int,
        first: int,
        last: int,
        x: int,
        before: list[int],
        after: list[int],
        work: int,
    ) -> None: ...

class NoteLoop:
    def __init__(
        self, kernels: int, layers: list[Layer], sizes: tuple[int, ...], tables: tuple[int, ...]
    ) -> None: ...
    def draw(
        self,
        sizes: tuple[int, ...],
        numbers: tuple[float, float, float],
        cells: list[int],
        tensors: tuple[int, ...],
        first: int,
        last: int,
    ) -> None: ...
