"""What the compiled module holds: see `_order.pyx`."""

from musengine.utils.arrays import FloatArray, IntArray

made_of: int

def sort_notes(notes: IntArray, most_tick: int, n_tracks: int, ordered: IntArray) -> int: ...
def tempo_changes(
    tempos: FloatArray, default: float, longest: float, ticks: IntArray, found: FloatArray
) -> int: ...
