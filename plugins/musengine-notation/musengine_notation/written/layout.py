"""A track's notes in staves, voices and bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from musengine.api import Score
from musengine.errors import UnwritableError
from musengine_notation.written.grid import Bar
from musengine_notation.written.values import FLAGS, Divisions, Value

MOST_SYMBOLS = 1_000_000
"""Notes and rests that are written at most: long notes in short bars are many, tied."""
_MIDDLE_C = 60
_PIANOS = range(8)
_ONE_HAND = 16
"""Semitones that a hand reaches: a tenth."""


@dataclass(frozen=True)
class Chord:
    """Notes of one track that begin and end together: pitches and velocities from the lowest."""

    start: int
    end: int
    pitches: tuple[int, ...]
    velocity: int


@dataclass(frozen=True)
class Symbol:
    """A chord or a rest with its value, in one voice of one bar.

    Attributes:
        value: how long it is.
        chord: its notes, None for a rest.
        tied_from: whether it goes on from the one before.
        tied_to: whether it goes on in the next.
        beams: what each of its beams does here: `begin`, `continue`, `end`, or a hook.
        tuplet: whether a tuplet begins (`start`) or ends (`stop`) with it; empty for neither.
        hidden: a rest that is not shown.
    """

    value: Value
    chord: Chord | None
    tied_from: bool = False
    tied_to: bool = False
    beams: tuple[str, ...] = ()
    tuplet: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Staff:
    """One staff of a part: its clef, and its voices with their chords in order."""

    clef: str
    voices: tuple[tuple[Chord, ...], ...]


def staves(score: Score, track: int) -> list[Staff]:
    """Return the staves of a track: two for a piano that needs both hands, else one.

    Args:
        score: on the grid of written music.
        track: its index.
    """
    chosen = np.nonzero(score.track == track)[0]
    notes = [
        (int(score.onset[i]), int(score.end[i]), int(score.pitch[i]), int(score.velocity[i]))
        for i in chosen
    ]
    is_piano = not score.tracks[track].is_drum and score.tracks[track].program in _PIANOS
    if is_piano and _needs_two_hands(notes):
        high = [note for note in notes if note[2] >= _MIDDLE_C]
        low = [note for note in notes if note[2] < _MIDDLE_C]
        return [Staff("treble", _voices(high)), Staff("bass", _voices(low))]
    if score.tracks[track].is_drum:
        return [Staff("percussion", _voices(notes))]
    middle = float(np.median([pitch for _, _, pitch, _ in notes])) if notes else _MIDDLE_C
    return [Staff("treble" if middle >= _MIDDLE_C else "bass", _voices(notes))]


def _needs_two_hands(notes: Sequence[tuple[int, int, int, int]]) -> bool:
    """Whether notes sound together that no hand reaches, around the middle of the piano.

    Args:
        notes: start, end, pitch and velocity, by their starts.
    """
    sounding: list[tuple[int, int]] = []
    for start, end, pitch, _ in notes:
        sounding = [(until, key) for until, key in sounding if until > start]
        sounding.append((end, pitch))
        keys = [key for _, key in sounding]
        if min(keys) < _MIDDLE_C <= max(keys) and max(keys) - min(keys) > _ONE_HAND:
            return True
    return False


def _voices(notes: Sequence[tuple[int, int, int, int]]) -> tuple[tuple[Chord, ...], ...]:
    """Return chords in as few voices as can hold them, each above those that begin with it."""
    together: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for start, end, pitch, velocity in notes:
        together[start, end][pitch] = velocity
    chords = [
        Chord(start, end, tuple(sorted(pitches)), max(pitches.values()))
        for (start, end), pitches in together.items()
    ]
    # The highest first, so that voice 1 is the upper one.
    chords.sort(key=lambda chord: (chord.start, -chord.pitches[-1]))
    voices: list[list[Chord]] = [[]]
    for chord in chords:
        # The first voice that is free: taken in order of their starts, chords need no more voices
        # than sound at once.
        for voice in voices:
            if not voice or voice[-1].end <= chord.start:
                voice.append(chord)
                break
        else:
            voices.append([chord])
    return tuple(map(tuple, voices))


class Measures:
    """The bars of one voice, asked for one after the other."""

    def __init__(self, chords: Sequence[Chord], shows_rests: bool) -> None:
        self._chords, self._shows_rests = chords, shows_rests
        self._next = 0
        self._written = 0

    def symbols(self, bar: Bar) -> list[Symbol]:
        """Return what is in a bar; nothing where no note is and rests are not shown.

        Raises:
            UnwritableError: there is more than anyone reads.
        """
        inside = []
        while self._next < len(self._chords) and self._chords[self._next].start < bar.end:
            inside.append(self._chords[self._next])
            # It goes on in the next bar, and is looked at again there.
            if self._chords[self._next].end > bar.end:
                break
            self._next += 1
        if not inside:
            return []
        places = [place for chord in inside for place in (chord.start, chord.end)]
        divisions = Divisions(bar, (place for place in places if bar.start < place < bar.end))
        found: list[Symbol] = []
        place = bar.start
        for chord in inside:
            start, end = max(chord.start, bar.start), min(chord.end, bar.end)
            found += self._rests(divisions, place, start)
            for value in divisions.values(start, end):
                tied_to = value.end < chord.end
                found.append(Symbol(value, chord, value.start > chord.start, tied_to))
            place = end
        found += self._rests(divisions, place, bar.end)
        self._written += len(found)
        if self._written > MOST_SYMBOLS:
            raise UnwritableError(
                f"more than {MOST_SYMBOLS} notes are not written", code="piece-too-long"
            )
        return _beamed(_bracketed(found, divisions), bar)

    def _rests(self, divisions: Divisions, start: int, end: int) -> list[Symbol]:
        return [
            Symbol(value, None, hidden=not self._shows_rests and value.tuplet == 1)
            for value in divisions.values(start, end, rest=True)
        ]


def _bracketed(symbols: list[Symbol], divisions: Divisions) -> list[Symbol]:
    """Return symbols with where tuplets begin and end: a beat each."""
    found = []
    for symbol in symbols:
        tuplet = ""
        if symbol.value.tuplet > 1:
            first, after = divisions.window(symbol.value.start)
            if symbol.value.start == first:
                tuplet = "start"
            elif symbol.value.end == after:
                tuplet = "stop"
        found.append(replace(symbol, tuplet=tuplet))
    return found


def _beamed(symbols: list[Symbol], bar: Bar) -> list[Symbol]:
    """Return symbols with beams: from note to note within a beat."""
    groups: list[list[int]] = []
    beat = -1
    for index, symbol in enumerate(symbols):
        flags = FLAGS.get(symbol.value.name, 0) if symbol.chord is not None else 0
        mine = (symbol.value.start - bar.start) // bar.pulse
        # A rest or a value without flags ends the group; no beat is -1.
        if not flags:
            beat = -1
        elif mine == beat:
            groups[-1].append(index)
        else:
            groups.append([index])
            beat = mine
    found = list(symbols)
    for group in groups:
        levels = [FLAGS[symbols[index].value.name] for index in group]
        for place, index in enumerate(group):
            found[index] = replace(symbols[index], beams=_beams(levels, place))
    return found


def _beams(flags: list[int], place: int) -> tuple[str, ...]:
    """Return what each beam of a note does, of a group with so many flags each."""
    if len(flags) == 1:
        return ()
    beams = []
    for level in range(1, flags[place] + 1):
        before = place > 0 and flags[place - 1] >= level
        after = place + 1 < len(flags) and flags[place + 1] >= level
        if before and after:
            beams.append("continue")
        elif before or after:
            beams.append("end" if before else "begin")
        else:
            beams.append("backward hook" if place else "forward hook")
    return tuple(beams)
