"""A music21 stream as a Score."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from musengine.api import Score, Track
from musengine.errors import UnreadableError
from musengine_notation.checks import Bar, Faults, bars_of_sections

TICKS_PER_BEAT = 480 * 21
"""Divides evenly by 3, 5, 7, 9 and 64, so that tuplets fall on whole ticks."""

_FINEST_BAR = 64


@dataclass(frozen=True)
class StreamScore:
    """A score that music21 made, its bars, and how many notes its ties have joined to others."""

    score: Score
    bars: dict[str, list[Bar]]
    joined: int


def scores_in(
    parse: Callable[[], Any], lines: Mapping[str, int] | None = None
) -> list[StreamScore]:
    """Return the scores that music21 makes of something; a book of tunes holds many.

    Args:
        parse: asks music21 for a stream; it may warn and may raise anything.
        lines: of the file at which measures begin, by their numbers, where they are known.

    Raises:
        UnreadableError: music21 cannot parse it, or there are no notes; says why.
    """
    from music21 import stream

    # music21 prints warnings of its own, with the file's text in them as it stands.
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            parsed = parse()
            works = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
            scores = []
            for work in works:
                score, joined = _score_and_joined(work)
                scores.append(StreamScore(score, _bars(work, lines or {}), joined))
        # Its parsers raise whatever a damaged file leads them to; each work stands alone.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UnreadableError(f"music21 cannot read it: {reason}") from error
    if not any(len(each.score) for each in scores):
        raise UnreadableError("no notes")
    return scores


def score_of(work: Any) -> Score:
    """Return the notes of a music21 stream at sounding pitch, ties joined, repeats not played.

    Grace notes and chord symbols are no notes of it. Bars are counted from the first full one: an
    upbeat is a bar of its own, with a meter of its length.
    """
    return _score_and_joined(work)[0]


def _score_and_joined(work: Any) -> tuple[Score, int]:
    """Return the score of a stream, and how many notes its ties have joined to others."""
    # A clarinet's part is written higher than it sounds.
    work.toSoundingPitch(inPlace=True)
    parts = list(work.parts) or [work]
    notes: list[list[int]] = []
    joined = 0
    for index, part in enumerate(parts):
        own, ties = _notes(part)
        joined += ties
        notes += [[*row, 80, index] for row in own if 0 <= row[2] <= 127]
    columns = np.array(notes, dtype=np.int64).reshape(-1, 5).T
    first = parts[0].flatten()
    keys = first.getElementsByClass("KeySignature")
    score = Score.from_notes(
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
    return score, joined


def _notes(part: Any) -> tuple[list[list[int]], int]:
    """Return onset, length and pitch of the notes of a part, and how many ties joined to others.

    A tie goes to the note of its pitch, in any voice, that begins where its own ends, since voices
    come and go in the midst of ties; music21's own joining loses those of parts with voices.
    """
    found: list[list[int]] = []
    waiting: dict[tuple[int, int], list[list[int]]] = {}
    joined = 0
    for element in part.flatten().notes:
        start, length = _ticks(element.offset), _ticks(element.quarterLength)
        if element.duration.isGrace or "Harmony" in element.classes or length <= 0:
            continue
        for note in element.notes if hasattr(element, "notes") else [element]:
            for pitch in note.pitches:
                tie = None if note.tie is None else note.tie.type
                before = waiting.get((start, pitch.midi)) if tie in ("stop", "continue") else None
                if before:
                    row = before.pop(0)
                    row[1] = start + length - row[0]
                    joined += 1
                else:
                    row = [start, length, pitch.midi]
                    found.append(row)
                if tie in ("start", "continue"):
                    waiting.setdefault((start + length, pitch.midi), []).append(row)
    return found, joined


def faults_of(found: StreamScore, written: int | None = None) -> list[str]:
    """Return what cannot be what was meant, a line each.

    Args:
        found: what was made of a piece.
        written: how many notes are written, where that is known.
    """
    faults = Faults()
    for name, bars in found.bars.items():
        faults.add_bars(f"part {name!r}, ", bars)
    if written is not None:
        faults.add_notes(written, len(found.score) + found.joined)
    return faults.lines()


def _bars(work: Any, lines: Mapping[str, int]) -> dict[str, list[Bar]]:
    """Return each part's bars by its name, with the lengths that they have and should have."""
    found: dict[str, list[Bar]] = {}
    for index, part in enumerate(list(work.parts) or [work], 1):
        meter: Fraction | None = None
        sections: list[list[tuple[Fraction, Fraction | None, str]]] = [[]]
        for bar in part.getElementsByClass("Measure"):
            if bar.timeSignature is not None:
                meter = Fraction(bar.timeSignature.barDuration.quarterLength)
            if _parts(bar.leftBarline):
                sections.append([])
            length = Fraction(bar.highestTime) or meter or Fraction(0)
            line = lines.get(str(bar.number))
            place = f"bar {bar.number}" + (f" (line {line})" if line else "")
            sections[-1].append((length, meter, place))
            if _parts(bar.rightBarline):
                sections.append([])
        found[str(part.partName or index)] = bars_of_sections(sections, divided=True)
    return found


def _parts(barline: Any) -> bool:
    return barline is not None and barline.type not in ("regular", "dashed", "dotted", "none")


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
    return meters if len(bars) < 2 else with_upbeat(meters, _ticks(bars[1].offset))


def with_upbeat(meters: Sequence[tuple[int, int, int]], second: int) -> list[tuple[int, int, int]]:
    """Return meters with that of an upbeat, where the first bar is shorter than its own.

    Args:
        meters: tick, numerator and denominator, by tick.
        second: the tick at which the second bar begins.
    """
    if not meters or meters[0][0]:
        return list(meters)
    _, numerator, denominator = meters[0]
    upbeat = Fraction(second, 4 * TICKS_PER_BEAT)
    if not 0 < upbeat < Fraction(numerator, denominator):
        return list(meters)
    while (upbeat * denominator).denominator > 1 and denominator < _FINEST_BAR:
        denominator *= 2
    if (upbeat * denominator).denominator > 1 or denominator & (denominator - 1):
        return list(meters)
    first_full = [] if any(tick == second for tick, *_ in meters) else [(second, *meters[0][1:])]
    return [(0, int(upbeat * denominator), denominator), *first_full, *meters[1:]]


def _program(part: Any) -> int:
    program = part.getInstrument(returnDefault=True).midiProgram
    return program if isinstance(program, int) and 0 <= program <= 127 else 0


def _ticks(quarters: Any) -> int:
    return round(Fraction(quarters) * TICKS_PER_BEAT)
