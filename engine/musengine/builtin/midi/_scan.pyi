"""What the compiled module holds: see `_scan.pyx`."""

from musengine.utils.arrays import IntArray

made_of: int

class Scan:
    def __init__(
        self,
        data: bytes,
        notes: IntArray,
        parts: IntArray,
        controls: IntArray,
        metas: IntArray,
        found: IntArray,
    ) -> None: ...
    def read(self, tracks: list[tuple[int, int]]) -> None: ...
