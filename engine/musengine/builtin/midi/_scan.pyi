"""What the compiled module holds: see `_scan.pyx`."""

from musengine.utils.arrays import IntArray

class Scan:
    def __init__(
        self,
        data: bytes,
        notes: IntArray,
        parts: IntArray,
        metas: IntArray,
        found: IntArray,
    ) -> None: ...
    def read(self, n_tracks: int) -> None: ...
