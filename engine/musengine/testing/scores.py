"""Scores from rows of numbers, and MIDI files of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from musengine.interfaces.reader import Item
from musengine.music.score import Score
from musengine.testing.components import create

Note = tuple[int, ...]
"""Onset and duration in ticks, pitch, and perhaps velocity and track."""


def score_of(notes: Iterable[Note], *, ticks_per_beat: int = 4, **more: Any) -> Score:
    """Return a score of some notes.

    Args:
        notes: (onset, duration, pitch[, velocity[, track]]) rows, times in ticks; the velocity is
            80 and the track 0 where they are left out.
        ticks_per_beat: ticks in a quarter note; by default a tick is a sixteenth.
        more: whatever else `Score.from_notes` takes: `tracks`, `tempos`, `meters`, `length`.
    """
    rows = [(*note, *(80, 0)[len(note) - 3 :]) for note in notes]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Score.from_notes(*columns, ticks_per_beat=ticks_per_beat, **more)


def rows_of(score: Score) -> list[Note]:
    """Return a score's notes as (onset, duration, pitch, velocity, track) rows, in its order."""
    columns = (score.onset, score.duration, score.pitch, score.velocity, score.track)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def write_midi(score: Score, path: Path) -> Path:
    """Write a score as a pipeline's `midi` output would; missing folders are made.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    create("writer", "midi").write(score, path)
    return path


def read_midi(path: Path) -> Score:
    """Return the score of a MIDI file, read as a pipeline would.

    Raises:
        UnreadableError: it holds none; the message says why.
    """
    (piece,) = create("reader", "midi").read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content
