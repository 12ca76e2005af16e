"""A music21 stream as a Score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from musengine.api import Score, Track
from musengine.errors import UnreadableError

TICKS_PER_BEAT = 480 * 21
"""Divides evenly by 3, 5, 7, 9 and 64, so that tuplets fall on whole ticks."""

_FINEST_BAR = 64


def scores_in(parse: Callable[[], Any]) -> list[Score]:
    """Return the scores with notes that music21 makes of something; a book of tunes holds many.

    Args:
        parse: asks music21 for a stream; it may warn and may raise anything.

    Raises:
        UnreadableError: music21 cannot parse it, or there are no notes; says why.
    """
    from music21 import stream

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = parse()
            works = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
            scores = [score_of(work) for work in works]
        # Its parsers raise whatever a damaged file leads them to; each work stands alone.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UnreadableError(f"music21 cannot read it: {reason}") from error
    if not any(map(len, scores)):
        raise UnreadableError("no notes")
    return scores


def score_of(work: Any) -> Score:
    """Return the notes of a music21 stream at sounding pitch, ties joined, repeats not played.

    Grace notes and chord symbols are no notes of it. Bars are counted from the first full one: an
    upbeat is a bar of its own, with a meter of its length.
    """
    # A clarinet's part is written higher than it sounds.
    work.toSoundingPitch(inPlace=True)
    parts = list(work.parts) or [work]
    notes: list[tuple[int, int, int, int, int]] = []
    for index, part in enumerate(parts):
        # Ties are joined on the part as a whole, so that a note over a bar line stays one note.
        for element in part.flatten().stripTies().notes:
            if element.duration.isGrace or "Harmony" in element.classes:
                continue
            start, length = _ticks(element.offset), _ticks(element.quarterLength)
            for pitch in element.pitches:
                if length > 0 and 0 <= pitch.midi <= 127:
                    notes.append((start, length, pitch.midi, 80, index))
    columns = np.array(notes, dtype=np.int64).reshape(-1, 5).T
    first = parts[0].flatten()
    keys = first.getElementsByClass("KeySignature")
    return Score.from_notes(
        *columns,
        ticks_per_beat=TICKS_PER_BEAT,
        tracks=[Track(str(part.partName or ""), _program(part)) for part in parts],
        tempos=_tempos(work),
        meters=_meters(parts[0]),
        keys=[
            (_ticks(key.offset), key.sharps, getattr(key, "mode", "major") == "minor")
            for key in keys
            if key.sharps is not None
        ],
        length=_ticks(work.highestTime),
    )


def _tempos(work: Any) -> list[tuple[int, float]]:
    flat = work.flatten()
    words = flat.getElementsByClass("TempoText")
    tempos = [(word.offset, word.getMetronomeMark().getQuarterBPM()) for word in words]
    marks = flat.getElementsByClass("MetronomeMark")
    tempos += [(mark.offset, mark.getQuarterBPM()) for mark in marks]
    return [(_ticks(offset), float(bpm)) for offset, bpm in tempos if bpm]


def _meters(part: Any) -> list[tuple[int, int, int]]:
    """Return (tick, numerator, denominator), an upbeat's own first."""
    marks = part.flatten().getElementsByClass("TimeSignature")
    meters = [(_ticks(mark.offset), mark.numerator, mark.denominator) for mark in marks]
    bars = list(part.getElementsByClass("Measure"))
    if len(bars) < 2 or not meters or meters[0][0]:
        return meters
    _, numerator, denominator = meters[0]
    upbeat = Fraction(bars[1].offset) / 4
    if not 0 < upbeat < Fraction(numerator, denominator):
        return meters
    while (upbeat * denominator).denominator > 1 and denominator < _FINEST_BAR:
        denominator *= 2
    if (upbeat * denominator).denominator > 1 or denominator & (denominator - 1):
        return meters
    second = _ticks(bars[1].offset)
    first_full = [] if any(tick == second for tick, *_ in meters) else [(second, *meters[0][1:])]
    return [(0, int(upbeat * denominator), denominator), *first_full, *meters[1:]]


def _program(part: Any) -> int:
    program = part.getInstrument(returnDefault=True).midiProgram
    return program if isinstance(program, int) and 0 <= program <= 127 else 0


def _ticks(quarters: Any) -> int:
    return round(Fraction(quarters) * TICKS_PER_BEAT)
