"""What of a score there is no place for in arrays, counted, with the key that would keep it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musengine.config.quantities import GridStep
from musengine.music.piece import Text
from musengine.music.score import Score

_SUSTAIN = 64
"""The controller of the sustain pedal."""


@dataclass(frozen=True)
class LeftOut:
    """Something that arrays do not hold.

    Attributes:
        count: how much of it.
        keep: the key, and value if it is one, that would keep it; empty where none does.
    """

    count: int
    keep: str = ""


def left_out_of_performance(score: Score, *, in_beats: bool) -> dict[str, LeftOut]:
    """Return what arrays of bare notes on one track do not say of how they are played.

    Args:
        score: the notes that count.
        in_beats: time is counted in beats, so that the tempo is not heard.
    """
    programs = {track.program for track in score.tracks if not track.is_drum}
    # All notes are written with one velocity: the most frequent one is what is kept.
    loudest = np.bincount(score.velocity).max() if len(score) else 0
    counts = {
        "instruments merged into one": len(programs) - 1 if len(programs) > 1 else 0,
        "velocities": len(score) - int(loudest),
        "pedal movements": int((score.control[:, 1] == _SUSTAIN).sum()),
        "tempo changes": len(score.tempo_tick) - 1 if in_beats else 0,
    }
    return {what: LeftOut(count) for what, count in counts.items() if count}


def left_out_of_grid(
    score: Score | Text, *, step: GridStep, lowest: int, highest: int, onsets: bool, drums: bool
) -> dict[str, LeftOut]:
    """Return what the roll of a score on one track does not hold; of a text nothing is left out.

    Args:
        score: with its drums.
        step: of the grid.
        lowest: the lowest pitch.
        highest: the highest.
        onsets: a note struck again is told from one held.
        drums: drums are pitches like any.
    """
    if isinstance(score, Text):
        return {}
    found = {}
    if not drums and (count := int(score.is_drum.sum())):
        found["drum notes"] = LeftOut(count, "encoder.drums = true")
        score = score.take(~score.is_drum)
    found |= left_out_of_performance(score, in_beats=step.unit == "beat")
    inside = (score.pitch >= lowest) & (score.pitch <= highest)
    if not inside.all():
        keep = "encoder.lowest, encoder.highest"
        found["notes out of range"] = LeftOut(int((~inside).sum()), keep)
        score = score.take(inside)
    together, held = _merged(score, step)
    if together:
        found["notes merged by the grid"] = LeftOut(together, "encoder.step")
    if held and not onsets:
        found["notes struck again, held as one"] = LeftOut(held, 'encoder.notes = "onsets"')
    return found


def _merged(score: Score, step: GridStep) -> tuple[int, int]:
    """Return how many notes begin where one of their pitch does, and how many while one sounds."""
    if not len(score):
        return 0, 0
    first, after, _ = score.quantise(step)
    order = np.lexsort((first, score.pitch))
    pitch, first, after = score.pitch[order], first[order], after[order]
    same = pitch[1:] == pitch[:-1]
    together = same & (first[1:] == first[:-1])
    # The latest end of the notes of one pitch so far, pitches kept apart by a wide margin.
    apart = pitch * (int(after.max()) + 1)
    ends = np.maximum.accumulate(apart + after) - apart
    held = same & ~together & (first[1:] <= ends[:-1])
    return int(together.sum()), int(held.sum())


def told_left_out(left_out: dict[str, LeftOut]) -> str:
    """Return what was left out as one line, with the keys that would keep it; empty for nothing."""
    return ", ".join(
        f"{each.count:,} {what}" + (f" ({each.keep})" if each.keep else "")
        for what, each in left_out.items()
    )
