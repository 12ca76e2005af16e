"""A parsed tune as a Score: voices in time, ties joined, tempos, meters and keys in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from musengine.api import LAST_TICK, Score, TextEvent, Track, text_at
from musengine.errors import UnreadableError
from musengine_notation.abc.events import (
    QUARTER,
    BarLine,
    Change,
    Event,
    Note,
    Overlay,
    Sound,
    VoiceEvents,
    Words,
)
from musengine_notation.abc.playback import Span, jump_of, spans_played, spans_written
from musengine_notation.abc.tune import ParsedTune

TICKS_PER_BEAT = 480 * 21
"""Whole numbers of ticks for notes down to 128ths and for tuplets of 3, 5, 7 and 9."""
VELOCITY = 80
_UNITS_PER_TICK = QUARTER // TICKS_PER_BEAT
_DRUMS = 10
_FINEST_BAR = 64
_ANNOTATIONS = ("^", "_", "<", ">", "@")
"""With what texts begin that are no chord symbols."""

Repeats = Literal["written", "played"]
Sounding = tuple[int | None, int | None]
"""Program, and channel from 1."""


@dataclass(frozen=True)
class ScoredTune:
    """A tune as a score, and what the score does not hold.

    Attributes:
        score: its notes.
        joined: notes that a tie joined to the one before.
        left_out: notes too high or too low for MIDI.
        written: whether each note is there once.
    """

    score: Score
    joined: int
    left_out: int
    written: bool


@dataclass
class _Timeline:
    """One voice in time, in units of time."""

    rows: list[list[int]] = field(default_factory=list)
    sounds: list[Sounding] = field(default_factory=list)
    changes: list[tuple[int, Change]] = field(default_factory=list)
    words: list[tuple[int, str]] = field(default_factory=list)
    joined: int = 0
    left_out: int = 0
    end: int = 0


def scored(tune: ParsedTune, repeats: Repeats = "written") -> ScoredTune:
    """Return the score of a tune, a track for each voice and program.

    Bars are counted from the first full one: an upbeat is a bar of its own, with a meter of its
    length. Chord symbols and ornaments make no notes, grace notes take no time. The title and chord
    symbols are texts of the score; annotations, which say where on paper they stand, are not.

    Raises:
        UnreadableError: it is longer than a score may be, or repeats make too many notes of it.
    """
    timelines, whole = [], []
    played = repeats == "played"
    # Signs that send players back stand in one voice and are meant for all.
    jumps = (jump_of(voice.events) for voice in tune.voices) if played else iter(())
    jump = next((found for found in jumps if found is not None), None)
    for voice in tune.voices:
        events = voice.events
        spans = spans_played(events, tune.order, jump) if played else spans_written(events)
        timelines.append(_Walk(voice, spans).timeline)
        whole.append(spans[0][0] == 0)
        if _tick(timelines[-1].end) > LAST_TICK:
            raise UnreadableError("longer than a score may be")
    tracks, notes = _tracks(tune, timelines)
    # Where two voices differ, what the first says is last and holds.
    tempos = [
        (_tick(at), change.value)
        for timeline in reversed(timelines)
        for at, change in timeline.changes
        if change.what == "tempo"
    ]
    first = timelines[0].changes if timelines else []
    score = Score.from_notes(
        *np.array(notes, dtype=np.int64).reshape(-1, 5).T,
        ticks_per_beat=TICKS_PER_BEAT,
        tracks=tracks or [Track()],
        tempos=[(tick, float(bpm)) for tick, bpm in tempos if isinstance(bpm, float)],
        meters=_meters(tune, first) if timelines and whole[0] else _changes_of("meter", first),
        keys=[(tick, sharps, bool(minor)) for tick, sharps, minor in _changes_of("key", first)],
        texts=[
            TextEvent(0, "title", tune.title),
            *(
                text_at(_tick(at), text)
                for timeline in timelines
                for at, text in timeline.words
                if not text.startswith(_ANNOTATIONS)
            ),
        ],
        length=max((_tick(timeline.end) for timeline in timelines), default=0),
    )
    return ScoredTune(
        score,
        sum(timeline.joined for timeline in timelines),
        sum(timeline.left_out for timeline in timelines),
        repeats == "written",
    )


def _tick(units: int) -> int:
    # Rounded once, at the end: lengths are added up in exact units.
    return (units + _UNITS_PER_TICK // 2) // _UNITS_PER_TICK


def _tracks(
    tune: ParsedTune, timelines: Sequence[_Timeline]
) -> tuple[list[Track], list[tuple[int, int, int, int, int]]]:
    """Return the tracks, and onset, duration, pitch, velocity and track of the notes."""
    tracks: list[Track] = []
    notes = []
    for voice, timeline in zip(tune.voices, timelines, strict=True):
        places = {sound: len(tracks) + n for n, sound in enumerate(timeline.sounds)}
        for program, channel in timeline.sounds:
            drums = channel == _DRUMS
            name = voice.name or tune.title
            tracks.append(
                Track(name, program or 0, drums, None if channel is None else channel - 1)
            )
        track_of = [places[sound] for sound in timeline.sounds]
        for onset, length, pitch, sound in timeline.rows:
            start = _tick(onset)
            duration = max(_tick(onset + length) - start, 1)
            notes.append((start, duration, pitch, VELOCITY, track_of[sound]))
    return tracks, notes


def _changes_of(what: str, changes: Sequence[tuple[int, Change]]) -> list[tuple[int, int, int]]:
    """Return (tick, the two values) of the meters or keys."""
    return [
        (_tick(at), *change.value)
        for at, change in changes
        if change.what == what and isinstance(change.value, tuple)
    ]


def _meters(tune: ParsedTune, changes: Sequence[tuple[int, Change]]) -> list[tuple[int, int, int]]:
    """Return the meters, an upbeat's own first."""
    meters = _changes_of("meter", changes)
    bars = tune.bars[0]
    # A tune of one bar has no upbeat, and a full first bar is none.
    if len(bars) < 2 or not meters or bars[0].meter is None or bars[0].length >= bars[0].meter:
        return meters
    denominator = 4
    while (bars[0].length * denominator) % (4 * QUARTER) and denominator < _FINEST_BAR:
        denominator *= 2
    numerator, rest = divmod(bars[0].length * denominator, 4 * QUARTER)
    if rest:
        return meters
    second = _tick(bars[0].length)
    now = [meter for meter in meters if meter[0] == 0][-1:]
    later = [meter for meter in meters if meter[0] > 0]
    if any(meter[0] == second for meter in later):
        now = []
    return [(0, numerator, denominator), *((second, a, b) for _, a, b in now), *later]


class _Walk:
    """Goes through the events of one voice in the order they sound."""

    def __init__(self, voice: VoiceEvents, spans: Sequence[Span]) -> None:
        self.timeline = _Timeline()
        self._now = self._furthest = 0
        self._bars = [0]
        self._overlaid = 0
        self._region: tuple[int, int] | None = None
        self._tied: list[tuple[int, int, int, int]] = []
        self._sound: Sounding = (None, None)
        self._places: dict[Sounding, int] = {}
        # Where playing jumps, what held there when it was written holds again: key, program, meter.
        before = _states(voice.events, {begin for begin, _ in spans})
        came_from = 0
        for begin, end in spans:
            if begin != came_from:
                self._jump(before[begin])
            came_from = end
            for place in range(begin, end):
                self._take(voice.events[place])
        if not self.timeline.sounds:
            self._place()
        self.timeline.end = max(self._now, self._furthest)

    def _jump(self, changes: Sequence[Change]) -> None:
        self._now = max(self._now, self._furthest)
        # Overlays do not reach back across a jump.
        self._bars, self._overlaid, self._region = [self._now], 0, None
        for change in changes:
            self._take(change)

    def _take(self, event: Event) -> None:
        if isinstance(event, Sound):
            if event.notes:
                self._strike(event)
            self._now += event.length
        elif isinstance(event, BarLine):
            self._bar()
        elif isinstance(event, Change):
            if event.what == "sound" and isinstance(event.value, tuple):
                self._sound = event.value
            self.timeline.changes.append((self._now, event))
        elif isinstance(event, Overlay):
            self._overlay(event.bars)
        elif isinstance(event, Words):
            self.timeline.words.append((self._now, event.text))

    def _bar(self) -> None:
        if self._overlaid:
            self._overlaid -= 1
            return
        if self._region is not None:
            self._region = (self._region[0], self._region[1] + 1)
        self._now = max(self._now, self._furthest)
        if self._now != self._bars[-1]:
            self._bars.append(self._now)
        if self._tied:
            # Ties whose end has passed lead to nothing any more.
            self._tied = [tie for tie in self._tied if tie[0] >= self._now]

    def _overlay(self, bars: int) -> None:
        self._furthest = max(self._furthest, self._now)
        if bars == 0:
            self._region = (self._now, 0)
        elif bars < 0:
            self._now, self._region = self._furthest, None
        elif self._region is not None:
            self._now, self._overlaid = self._region
        else:
            # At most back to the beginning, however many bars are asked for.
            self._now = self._bars[max(-bars, -len(self._bars))]
            self._overlaid = bars - 1

    def _place(self) -> int:
        if self._sound not in self._places:
            self._places[self._sound] = len(self.timeline.sounds)
            self.timeline.sounds.append(self._sound)
        return self._places[self._sound]

    def _strike(self, sound: Sound) -> None:
        place = self._place()
        rows = self.timeline.rows
        going_on = []
        for note in sound.notes:
            tied = self._tie_to(note) if self._tied else None
            if tied is not None:
                row, pitch = tied
                rows[row][1] += note.length
                self.timeline.joined += 1
            elif 0 <= note.pitch <= 127:
                row, pitch = len(rows), note.pitch
                rows.append([self._now, note.length, pitch, place])
            else:
                self.timeline.left_out += 1
                continue
            if note.tied:
                going_on.append((self._now + note.length, note.step, pitch, row))
        self._tied += going_on

    def _tie_to(self, note: Note) -> tuple[int, int] | None:
        """Return the row and pitch of a tied note that goes on in this one.

        The same letter without an accidental of its own has the pitch of the note tied to it.
        """
        here = [tie for tie in self._tied if tie[0] == self._now]
        for tie in here:
            same_letter = tie[1] == note.step and not note.signed
            if same_letter or tie[2] == note.pitch:
                self._tied.remove(tie)
                return tie[3], tie[2]
        return None


def _states(events: Sequence[Event], places: set[int]) -> dict[int, list[Change]]:
    """Return the changes that hold at each of some places."""
    holding: dict[str, Change] = {}
    found = {}
    for place, event in enumerate(events):
        if place in places:
            found[place] = list(holding.values())
        if isinstance(event, Change):
            holding[event.what] = event
    for place in places:
        found.setdefault(place, list(holding.values()))
    return found
