"""What several unit tests build: scores from rows, encoders, random music, encoded pieces."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.builtin.midi.writer import MidiWriter
from musengine.config.quantities import GridStep
from musengine.data.cache import Cache, key_of
from musengine.data.loader import PieceLoader
from musengine.data.manifest import Manifest, PieceInfo, SourceFile
from musengine.data.serialization import pack_pieces
from musengine.errors import UnreadableError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.reader import Item, Reader
from musengine.music.score import Piece, Score, Track
from musengine.plugins.declarations import NoSettings

Thing = TypeVar("Thing")

Note = tuple[int, ...]
"""Onset, duration, pitch, and perhaps velocity and track."""


def few(examples: int) -> settings:
    """Hypothesis settings for so many examples; a slow machine is no failure."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def score_of(notes: Iterable[Note], *, ticks_per_beat: int = 4, **more) -> Score:
    """A score from (onset, duration, pitch[, velocity[, track]]) rows."""
    rows = [(*note, *(80, 0)[len(note) - 3 :]) for note in notes]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Score.from_notes(*columns, ticks_per_beat=ticks_per_beat, **more)


def write_midi(score: Score, path: Path) -> None:
    """Write a score as a MIDI file; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    MidiWriter(NoSettings()).write(score, path)


def write_random_midi(folder: Path, files: int, *, beats: int, notes: int) -> None:
    """Write MIDI files of so many beats and random notes, always the same ones."""
    drawn = np.random.default_rng(5)
    for number in range(files):
        score = Score.from_notes(
            np.sort(drawn.integers(0, beats * 24, notes)),
            drawn.integers(1, 48, notes),
            drawn.integers(30, 90, notes),
            ticks_per_beat=24,
        )
        write_midi(score, folder / f"{number:03}.mid")


def rows_of(score: Score) -> list[Note]:
    """The notes of a score as (onset, duration, pitch, velocity, track) rows, in its order."""
    columns = (score.onset, score.duration, score.pitch, score.velocity, score.track)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def beats(size: str) -> GridStep:
    """A step of so many beats."""
    return GridStep(Fraction(size), "beat")


def seconds(size: str) -> GridStep:
    """A step of so many seconds."""
    return GridStep(Fraction(size), "seconds")


def piano_roll(**options) -> PianoRoll:
    """A piano-roll encoder."""
    return PianoRoll(PianoRollConfig(**options))


def encoded_piece(
    steps: Sequence[int] | np.ndarray, name: str = "piece", *, conditioning: bool = False
) -> EncodedPiece:
    """A piece of tokens or of a grid, with its step numbers as a conditioning channel if wished."""
    array = np.asarray(steps)
    channels = {"place": np.arange(len(array)) * 10} if conditioning else {}
    return EncodedPiece(name, Encoded(steps=array, conditioning=channels), name)


def listed(pieces: Sequence[Piece]) -> list[PieceInfo]:
    """Pieces as a manifest lists them, each in a file of its own."""
    return [replace(PieceInfo.of(piece, 0), file=n) for n, piece in enumerate(pieces)]


def manifest_of(pieces: Sequence[Piece], cache: Cache) -> Manifest:
    """A manifest of pieces that lie in a cache; no music file is behind them."""
    manifest = Manifest(PieceLoader([], cache), pieces=listed(pieces))
    for number, piece in enumerate(pieces):
        key = key_of("of a test", number, pack_pieces([piece])[1])
        cache.put(key, *pack_pieces([piece]))
        manifest.files.append(SourceFile(0, Item(Path(piece.id), piece.id, piece.style), key))
    return manifest


def scores(*, drums: bool = True) -> st.SearchStrategy[Score]:
    """Small random scores of up to three tracks; notes may overlap and coincide."""
    note = st.tuples(
        st.integers(0, 60),
        st.integers(1, 30),
        st.integers(0, 127),
        st.integers(1, 127),
        st.integers(0, 2),
    )
    tracks = st.tuples(st.integers(0, 127), st.integers(0, 127), st.just(drums)).map(
        lambda drawn: (
            Track("lead", drawn[0]),
            Track("", drawn[1]),
            Track("drums", 0, drawn[2]),
        )
    )
    tempos = st.lists(st.tuples(st.integers(0, 50), st.integers(20, 300)), max_size=3)
    return st.builds(
        lambda notes, tracks, tempos, length: score_of(
            notes, ticks_per_beat=12, tracks=tracks, tempos=tempos, length=length
        ),
        st.lists(note, max_size=12),
        tracks,
        tempos,
        st.integers(0, 120),
    )


def spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of some things, spread evenly over them."""
    return list(things[:: max(1, len(things) // count)][:count])


def sampled(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of a slow test's things, spread evenly; all of them with `MUSENGINE_ALL_FILES=1`."""
    wanted = os.environ.get("MUSENGINE_ALL_FILES", "0") != "0"
    return list(things) if wanted else spread(things, count)


def unpacked(archive: Path, folder: Path, count: int, suffix: str = ".mid") -> list[Path]:
    """Unpack files of an archive, spread evenly over it; skips where there is no archive.

    Returns:
        Their paths.
    """
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with tarfile.open(archive) as tar:
        files = [entry for entry in tar.getmembers() if entry.name.lower().endswith(suffix)]
        chosen = spread(files, count)
        tar.extractall(folder, members=chosen, filter="data")
    return [folder / entry.name for entry in chosen]


def pieces_or_refusal(reader: Reader, path: Path) -> list[Piece]:
    """The pieces of a file, or none where it was refused in one line; nothing else is raised."""
    lines = ["read"]
    try:
        return list(reader.read(Item(path, path.name)))
    except UnreadableError as error:
        lines = error.lines
    assert len(lines) == 1
    assert lines[0].strip()
    return []
