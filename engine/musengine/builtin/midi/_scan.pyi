"""What the compiled module holds: see `_scan.pyx`."""

from musengine.utils.arrays import Array, FloatArray, IntArray

made_of: int

class Scan:
    parts: list[tuple[int, int]]
    n_notes: int
    n_controls: int
    n_tempos: int
    length: int
    hanging: int
    silences: int
    drum_banks: int
    tenth: bool
    def __init__(self, notes: Array, controls: Array, tempos: IntArray) -> None: ...
    def read(
        self, data: bytes, tracks: list[tuple[int, int]]
    ) -> tuple[list[tuple[int, int, int, bytes]], list[tuple[int, int, int, int, int]]]: ...
    def write(
        self, notes: IntArray, controls: IntArray, tempos: FloatArray
    ) -> tuple[int, int, int]: ...
