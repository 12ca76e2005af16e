"""What muspy says of real pieces, for tests that compare musengine's figures with it.

Runs where muspy is installed; musengine need not be.
"""

from __future__ import annotations

import math
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import muspy
from common import data_folder, write_result

ARCHIVES = (
    "piano-midi-de/piano-midi-de.tar.gz",
    "pop909/pop909-main-001-808.tar.gz",
    "nottingham/nottingham-midi.tar.gz",
    "musicguru/musicguru-collection.tar.gz",
)
FILES = 6
"""Of each archive, spread evenly over it."""

STEPS_PER_BEAT = 4
"""The grid on which bars are compared."""


def files(archive: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Unpack some files of an archive; yield the name and the path of each."""
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if name.endswith(".mid"))
        for name in names[:: len(names) // FILES][:FILES]:
            tar.extract(name, folder, filter="data")
            yield name, folder / name


def read(path: Path) -> muspy.Music:
    """Read a file's notes alone: muspy takes other events for part of a piece's length."""
    music = muspy.read_midi(path)
    for track in music.tracks:
        track.annotations.clear()
        track.lyrics.clear()
    return music


def on_grid(music: muspy.Music, steps_per_beat: int) -> muspy.Music:
    """Return the piece with each onset and end at the nearest step, half-way up.

    muspy's own change of resolution rounds lengths instead of ends.
    """
    factor = steps_per_beat / music.resolution
    moved = music.deepcopy()
    moved.resolution = steps_per_beat
    for track in moved.tracks:
        for note in track.notes:
            end = math.floor(note.end * factor + 0.5)
            note.time = math.floor(note.time * factor + 0.5)
            note.duration = max(end - note.time, 1)
    return moved


def ended_before(music: muspy.Music) -> muspy.Music:
    """Return the piece with each note one step shorter: muspy counts the step after a note."""
    shorter = music.deepcopy()
    for track in shorter.tracks:
        for note in track.notes:
            note.duration = max(note.duration - 1, 0)
    return shorter


def bar_steps(music: muspy.Music) -> int | None:
    """Return the steps of a bar, or None where the meter is not one throughout."""
    meters = {(meter.numerator, meter.denominator) for meter in music.time_signatures} or {(4, 4)}
    begins = min((meter.time for meter in music.time_signatures), default=0)
    if len(meters) > 1 or begins:
        return None
    ((numerator, denominator),) = meters
    steps, rest = divmod(numerator * 4 * music.resolution, denominator)
    return None if rest else steps


def values(music: muspy.Music) -> dict[str, float | None]:
    """Return muspy's figures of a piece, and those of the piece changed as their names say."""
    shorter, grid = ended_before(music), on_grid(music, STEPS_PER_BEAT)
    bar, grid_bar = bar_steps(music), bar_steps(grid)
    plain: tuple[Callable[[muspy.Music], float], ...] = (
        muspy.pitch_range,
        muspy.n_pitches_used,
        muspy.n_pitch_classes_used,
        muspy.pitch_entropy,
        muspy.pitch_class_entropy,
        muspy.scale_consistency,
        muspy.polyphony,
        muspy.polyphony_rate,
        muspy.empty_beat_rate,
    )
    found = {function.__name__: function(music) for function in plain}
    found["polyphony_rate, threshold 1"] = muspy.polyphony_rate(music, threshold=1)
    found["empty_beat_rate, notes a tick shorter"] = muspy.empty_beat_rate(shorter)
    found["empty_measure_rate, notes a tick shorter"] = bar and muspy.empty_measure_rate(
        shorter, bar
    )
    found["groove_consistency, on the grid, notes a step shorter"] = (
        grid_bar and muspy.groove_consistency(ended_before(grid), grid_bar)
    )
    return {name: None if value is None else float(value) for name, value in found.items()}


def small_pieces() -> dict[str, muspy.Music]:
    """Return pieces small enough to know every figure of, 4 ticks to a beat, in 4/4."""
    beat = muspy.Note(time=0, duration=4, pitch=60)
    fifth = muspy.Note(time=0, duration=4, pitch=67)
    later = muspy.Note(time=8, duration=4, pitch=60)
    whole = muspy.Note(time=0, duration=16, pitch=60)
    tracks = {
        "no tracks": [],
        "no notes": [muspy.Track()],
        "one drum, a beat long": [muspy.Track(is_drum=True, notes=[beat])],
        "a fifth, a beat long": [muspy.Track(notes=[beat, fifth])],
        "a note, a rest, a note, a beat each": [muspy.Track(notes=[beat, later])],
        "one note, a 4/4 bar long": [muspy.Track(notes=[whole])],
    }
    return {name: muspy.Music(resolution=4, tracks=of) for name, of in tracks.items()}


def edge_values(music: muspy.Music) -> dict[str, str]:
    """Return what muspy says of a small piece, errors by their name."""
    functions: dict[str, Callable[[], float]] = {
        "pitch range": lambda: muspy.pitch_range(music),
        "polyphony rate": lambda: muspy.polyphony_rate(music),
        "empty-beat rate": lambda: muspy.empty_beat_rate(music),
        "groove consistency": lambda: muspy.groove_consistency(music, 16),
    }
    found = {}
    for name, function in functions.items():
        try:
            found[name] = f"{function():g}"
        except Exception as error:
            found[name] = type(error).__name__
    return found


def main() -> None:
    figures: dict[str, Any] = {}
    for archive in ARCHIVES:
        with tempfile.TemporaryDirectory() as folder:
            for name, path in files(data_folder() / archive, Path(folder)):
                try:
                    figures[f"{archive}:{name}"] = values(read(path))
                except Exception as error:  # a file that muspy refuses, for whatever reason
                    print(f"{name}: {type(error).__name__}: {error}")
    command, packages = "python benchmarks/muspy_values.py", ("muspy", "mido", "numpy")
    write_result("muspy_values", command, figures, packages)
    edges = {name: edge_values(music) for name, music in small_pieces().items()}
    write_result("muspy_edge_cases", command, edges, packages)


if __name__ == "__main__":
    main()
