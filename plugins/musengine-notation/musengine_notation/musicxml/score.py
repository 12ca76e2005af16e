"""The parts of a MusicXML score as one Score, and what was odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from operator import itemgetter
from xml.etree.ElementTree import Element

import numpy as np

from musengine.api import LAST_TICK, IntArray, Score, TextEvent, Track, text_at
from musengine.errors import UnreadableError
from musengine_notation.abc.events import QUARTER
from musengine_notation.checks import Bar, Faults, bars_of_sections
from musengine_notation.musicxml.instruments import PartHeader, Voice, header_of
from musengine_notation.musicxml.part import Measure, Note, PartReader, TempoMark
from musengine_notation.stream import TICKS_PER_BEAT, with_upbeat

VELOCITY = 80
_UNITS_PER_TICK = QUARTER // TICKS_PER_BEAT
_SLACK = QUARTER // 10_000
"""Units. So much may be lost where durations are divided."""
_Sound = tuple[str, Voice]
_DRUMS = Voice("", 0, True)


@dataclass
class _Part:
    """A part of the file as it was read; `written` counts its notes before ties are joined."""

    header: PartHeader
    measures: list[Measure]
    written: int

    @property
    def label(self) -> str:
        """The part as a warning names it."""
        return f"part {self.header.name!r}"


@dataclass
class _Notes:
    """The notes of all parts, ties joined.

    Attributes:
        rows: onset and length in units, pitch, track.
        tracks: in the order of parts.
        joined: notes that a tie joined to the one before.
        left_out: notes too high or too low for MIDI.
    """

    rows: list[list[int]] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    joined: int = 0
    left_out: int = 0


def score_of_root(root: Element) -> tuple[Score, list[str]]:
    """Return the score of a MusicXML file at sounding pitch, and what is odd about it.

    Ties are joined, repeats not played; grace notes, cues and chord symbols make no notes. Bars
    are counted from the first full one: an upbeat is a bar of its own, with a meter of its length.

    Raises:
        UnreadableError: no notes, or more or longer ones than are read.
    """
    faults = Faults()
    parts = _parts(root, faults)
    starts = _starts(parts)
    if _tick(starts[-1]) > LAST_TICK:
        raise UnreadableError("longer than a score may be")
    notes = _Notes()
    for part in parts:
        _add_notes(part, starts, notes)
    if not notes.rows:
        raise UnreadableError("no notes", code="no-notes")
    for part in parts:
        faults.add_bars(f"{part.label}, ", _bars(part))
    faults.add_notes(sum(part.written for part in parts), len(notes.rows) + notes.joined)
    tempos = _tempos(parts, starts, faults)
    onset, length, pitch, track = np.array(notes.rows, dtype=np.int64).T
    first = parts[0].measures
    meters = [
        (_tick(start), *measure.new_meter)
        for start, measure in zip(starts, first, strict=False)
        if measure.new_meter is not None
    ]
    score = Score.from_notes(
        _ticks(onset),
        _ticks(onset + length) - _ticks(onset),
        pitch,
        VELOCITY,
        track,
        ticks_per_beat=TICKS_PER_BEAT,
        tracks=notes.tracks,
        tempos=tempos,
        meters=with_upbeat(meters, _tick(starts[1])) if len(starts) > 2 else meters,
        keys=[
            (_tick(start + at), sharps, minor)
            for start, measure in zip(starts, first, strict=False)
            for at, sharps, minor in measure.keys
        ],
        texts=[*_title(root), *_texts(parts, starts)],
        length=_tick(starts[-1]),
    )
    return score, faults.lines()


def _title(root: Element) -> list[TextEvent]:
    found = (root.findtext("work/work-title"), root.findtext("movement-title"))
    title = next((each.strip() for each in found if each and each.strip()), "")
    return [TextEvent(0, "title", title)] if title else []


def _texts(parts: Sequence[_Part], starts: Sequence[int]) -> Iterator[TextEvent]:
    """Yield chord symbols and rehearsal marks, which several parts may have alike."""
    for part in parts:
        for start, measure in zip(starts, part.measures, strict=False):
            for at, text in measure.texts:
                yield text_at(_tick(start + at), text.strip())


def _tick(units: int) -> int:
    return (units + _UNITS_PER_TICK // 2) // _UNITS_PER_TICK


def _ticks(units: IntArray) -> IntArray:
    return (units + _UNITS_PER_TICK // 2) // _UNITS_PER_TICK


def _parts(root: Element, faults: Faults) -> list[_Part]:
    headers = {
        entry.get("id", ""): header_of(entry) for entry in root.iterfind("part-list/score-part")
    }
    parts = []
    for name, measures in _measures_of_parts(root):
        header = headers.get(name) or PartHeader(name)
        label = f"part {header.name!r}"

        # As a default, or every part's warnings would name the last part.
        def warn(measure: Measure, what: str, label: str = label) -> None:
            faults.add(f"{label}, {_place(measure)}: {what}")

        reader = PartReader(header, warn)
        parts.append(_Part(header, reader.read(measures), reader.written))
    if not any(part.measures for part in parts):
        raise UnreadableError("no notes", code="no-notes")
    return parts


def _measures_of_parts(root: Element) -> Iterator[tuple[str, list[Element]]]:
    """Yield the id and the measures of each part, be they divided by parts or by measures."""
    if root.tag == "score-partwise":
        for part in root.findall("part"):
            yield part.get("id", ""), part.findall("measure")
        return
    measures: dict[str, list[Element]] = {}
    for measure in root.findall("measure"):
        for part in measure.findall("part"):
            own = Element("measure", measure.attrib)
            own.extend(part)
            measures.setdefault(part.get("id", ""), []).append(own)
    yield from measures.items()


def _place(measure: Measure) -> str:
    return f"bar {measure.number} (line {measure.line})"


def _starts(parts: Sequence[_Part]) -> list[int]:
    """Return where the measures begin, and where the last ends: for all parts at one time."""
    starts = [0]
    there: list[Measure] = []
    for index in range(max(len(part.measures) for part in parts)):
        there = [part.measures[index] for part in parts if index < len(part.measures)]
        # Measures begin together in all parts: one part's mistake must not shift it against the
        # others.
        length = max(measure.length for measure in there)
        # Where nobody has a note or rest, the bar is silent, and as long as its meter.
        starts.append(starts[-1] + (length or there[0].full or 4 * QUARTER))
    # Rests that are not printed fill up a last bar that an upbeat makes whole.
    printed = max(measure.printed for measure in there)
    return [*starts[:-1], starts[-2] + printed] if printed else starts


def _add_notes(part: _Part, starts: Sequence[int], notes: _Notes) -> None:
    """Add the notes of a part, a track for each of its staves and sounds."""
    used = {_sound(note): None for measure in part.measures for note in measure.notes}
    silent = part.header.voice("")
    sounds = {
        sound: len(notes.tracks) + place
        for place, sound in enumerate(sorted(used, key=lambda sound: sound[0]) or [("1", silent)])
    }
    several = len({(voice.name, voice.program, voice.is_drum) for _, voice in sounds}) > 1
    for _, voice in sounds:
        names = (
            (part.header.name, voice.name) if several and not voice.is_drum else (part.header.name,)
        )
        name = ": ".join(filter(None, names))
        notes.tracks.append(Track(name, voice.program, voice.is_drum))
    tied: dict[tuple[int, int], list[tuple[int, str, int]]] = {}
    for start, measure in zip(starts, part.measures, strict=False):
        for note in sorted(measure.notes, key=lambda note: note.onset):
            _add(note, start + note.onset, sounds[_sound(note)], tied, notes)


def _sound(note: Note) -> _Sound:
    """Return what tells tracks apart: staff and sound; the drums of a kit are together."""
    if note.voice.is_drum:
        return "", _DRUMS
    return note.staff, replace(note.voice, drum=None)


def _add(
    note: Note,
    onset: int,
    track: int,
    tied: dict[tuple[int, int], list[tuple[int, str, int]]],
    notes: _Notes,
) -> None:
    if note.length < 1:
        notes.left_out += 1
        return
    if not 0 <= note.pitch <= 127:
        notes.left_out += 1
        return
    waiting = tied.get((track, note.pitch))
    row = _tied_to(note, onset, waiting) if waiting else None
    if row is None:
        row = len(notes.rows)
        notes.rows.append([onset, note.length, note.pitch, track])
    else:
        notes.rows[row][1] += note.length
        notes.joined += 1
    if note.goes_on:
        tied.setdefault((track, note.pitch), []).append((onset + note.length, note.line, row))


def _tied_to(note: Note, onset: int, waiting: list[tuple[int, str, int]]) -> int | None:
    """Return the row of the note that one is tied to, of its own line if there is one.

    Some files say of a tie only where it begins; then it leads to the next note of its line.
    """
    here = [tie for tie in waiting if abs(tie[0] - onset) <= _SLACK]
    # Ties whose end has passed are dropped; those that end later stay.
    waiting[:] = [tie for tie in waiting if tie[0] > onset + _SLACK]
    chosen = next((tie for tie in here if tie[1] == note.line), None)
    if chosen is None and here and note.continues:
        chosen = here[0]
    if chosen is None:
        waiting += here
        return None
    here.remove(chosen)
    waiting += here
    return chosen[2]


def _bars(part: _Part) -> list[Bar]:
    """Return the bars of a part; the first and last of a section may be divided with another."""
    sections: list[list[Measure]] = [[]]
    for measure, following in pairwise([*part.measures, Measure("", 0)]):
        sections[-1].append(measure)
        if measure.ends or following.begins:
            sections.append([])
    return bars_of_sections(
        [[_measured(measure) for measure in section] for section in sections], divided=True
    )


def _measured(measure: Measure) -> tuple[Fraction, Fraction | None, str]:
    full = measure.full
    length = measure.length
    if full is not None and (not length or abs(length - full) <= _SLACK):
        length = full
    meter = None if full is None or measure.implicit else Fraction(full, QUARTER)
    return Fraction(length, QUARTER), meter, _place(measure)


def _tempos(
    parts: Sequence[_Part], starts: Sequence[int], faults: Faults
) -> list[tuple[int, float]]:
    """Return the tempos, one at a time: what is played before what is printed, the first part's.

    Where parts say different things of one time, it is told.
    """
    marks: dict[int, list[tuple[bool, int, TempoMark, str]]] = {}
    for index, part in enumerate(parts):
        for start, measure in zip(starts, part.measures, strict=False):
            for mark in measure.tempos:
                where = f"{part.label}, {_place(measure)}"
                marks.setdefault(start + mark.at, []).append((not mark.played, index, mark, where))
    # Of relative marks, such as "half note = quarter", the tempo before the first.
    bpm = Fraction(120)
    found = []
    for at, here in sorted(marks.items()):
        ranked = sorted(here, key=itemgetter(0, 1))
        _, _, chosen, _ = ranked[0]
        before, bpm = bpm, chosen.value * (bpm if chosen.relative else 1)
        if not 1 <= bpm <= 10_000:
            faults.add(f"{ranked[0][3]}: a tempo of {float(bpm):.4g} is not taken")
            bpm = before
            continue
        for _, index, mark, where in ranked[1:]:
            other = mark.value * (before if mark.relative else 1)
            if index != ranked[0][1] and other != bpm:
                faults.add(
                    f"{where}: a tempo of {float(other):.4g}, where {ranked[0][3]} has "
                    f"{float(bpm):.4g}, which is taken"
                )
        found.append((_tick(at), float(bpm)))
    return found
