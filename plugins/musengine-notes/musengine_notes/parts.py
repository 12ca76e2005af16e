"""The instruments of a corpus: what tells them apart, and which one a track plays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from musengine.api import GENERAL_MIDI, IntArray, Score, Track
from musengine.errors import UserError, did_you_mean
from musengine_notes.layout import Part

Kind = Literal["families", "programs", "names", "one"]
DRUMS = "drums"

FAMILIES = (
    *("piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass"),
    *("reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive"),
    "sound effects",
)
"""The families of General MIDI, eight programs each."""


@dataclass(frozen=True)
class Instrument:
    """A part that was learned.

    Attributes:
        label: what it was told apart by.
        program: the most frequent one.
        drums: its pitches are drums.
        lowest: pitch.
        highest: pitch.
        middle: the pitch of which as many notes are higher as are lower.
    """

    label: str
    program: int
    drums: bool
    lowest: int
    highest: int
    middle: int

    @property
    def part(self) -> Part:
        """What a model is told of it."""
        return Part(self.drums, self.lowest, self.highest)

    @property
    def track(self) -> Track:
        """Return the track that it is written on."""
        return Track(name=self.label, program=self.program, is_drum=self.drums)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def label_of(track: Track, kind: Kind) -> str:
    """Return what tells a track from others."""
    if track.is_drum:
        return DRUMS
    if kind == "programs":
        return GENERAL_MIDI[track.program]
    if kind == "names":
        return " ".join(track.name.lower().split())[:40] or FAMILIES[track.program // 8]
    return FAMILIES[track.program // 8] if kind == "families" else "all"


class PartCounts:
    """What is counted of the training part's tracks, in any order."""

    def __init__(self) -> None:
        self.notes: dict[tuple[Kind, str], Counter[tuple[int, int]]] = {}
        self.told_apart: Counter[Kind] = Counter()

    def add(self, score: Score) -> None:
        """Count the notes of a piece by label, program and pitch."""
        kinds: tuple[Kind, ...] = ("families", "programs", "names", "one")
        count = np.bincount(
            score.track * 128 + score.pitch, minlength=128 * len(score.tracks)
        ).reshape(-1, 128)
        for kind in kinds:
            labels = [label_of(track, kind) for track in score.tracks]
            for track, label, pitches in zip(score.tracks, labels, count, strict=True):
                found = self.notes.setdefault((kind, label), Counter())
                for pitch in np.flatnonzero(pitches).tolist():
                    found[track.program, pitch] += int(pitches[pitch])
            sounding = count.any(axis=1)
            self.told_apart[kind] += len({labels[k] for k in np.flatnonzero(sounding)})

    def kind(self, wanted: Kind | Literal["auto"]) -> Kind:
        """Return what tells parts apart: names where they do so better than families."""
        if wanted != "auto":
            return wanted
        names = sum(kind == "names" for kind, _ in self.notes)
        # Names that mean the same from piece to piece are few; titles and the like are many.
        alike = names <= len(FAMILIES)
        better = self.told_apart["names"] > self.told_apart["families"]
        return "names" if alike and better else "families"

    def instruments(self, kind: Kind, most: int) -> list[Instrument]:
        """Return the frequent parts, drums first, then from low to high."""
        found = {label: notes for (each, label), notes in self.notes.items() if each == kind}
        # Ties by name: the order of the pieces must not matter.
        frequent = sorted(found, key=lambda label: (-found[label].total(), label))
        chosen = [_instrument(label, found[label]) for label in frequent[:most] if found[label]]
        return sorted(chosen, key=lambda each: (not each.drums, each.middle, each.label))


def _instrument(label: str, notes: Counter[tuple[int, int]]) -> Instrument:
    programs: Counter[int] = Counter()
    pitches = np.zeros(128, dtype=np.int64)
    for (program, pitch), count in notes.items():
        programs[program] += count
        pitches[pitch] += count
    program = min(programs, key=lambda each: (-programs[each], each))
    present = np.flatnonzero(pitches)
    middle = int(np.searchsorted(pitches.cumsum(), pitches.sum() / 2))
    drums = label == DRUMS
    return Instrument(
        label, 0 if drums else program, drums, int(present[0]), int(present[-1]), middle
    )


def part_of_tracks(
    tracks: Iterable[Track], kind: Kind, instruments: Sequence[Instrument]
) -> tuple[IntArray, IntArray]:
    """Return for each track the instrument that plays it, -1 for none, and whether it is its own.

    A track that none was learned for goes to the instrument with the nearest program; drums and
    pitches are never taken for each other.
    """
    places = {each.label: number for number, each in enumerate(instruments)}
    chosen, own = [], []
    for track in tracks:
        label = label_of(track, kind)
        alike = [k for k, each in enumerate(instruments) if each.drums == track.is_drum]
        number = places.get(label, -1)
        if number >= 0 and instruments[number].drums != track.is_drum:
            number = -1  # a track that is called drums and is none
        own.append(number >= 0)
        if number < 0 and alike:
            number = min(alike, key=lambda k: (abs(instruments[k].program - track.program), k))
        chosen.append(number)
    return np.array(chosen, dtype=np.int64), np.array(own, dtype=np.int64)


def called(name: str, kind: Kind, instruments: Sequence[Instrument]) -> tuple[int, Track]:
    """Return the instrument that people call so, and the track of a new part that it plays.

    By what it was told apart by, or by a name or number of General MIDI.

    Raises:
        UserError: none like that was learned.
    """
    plain = " ".join(name.lower().split())
    for number, each in enumerate(instruments):
        if plain in (each.label, each.label.lower()):
            return number, each.track
    programs = [i for i, known in enumerate(GENERAL_MIDI) if plain in (known.lower(), str(i))]
    for program in programs:
        track = Track(name=GENERAL_MIDI[program], program=program)
        (number,), (own,) = part_of_tracks([track], kind, instruments)
        if own or (number >= 0 and instruments[number].program // 8 == program // 8):
            return int(number), track
    known = [each.label for each in instruments]
    raise UserError(
        f"no instrument called {name!r} was learned; there are: {', '.join(known)}"
        f"{did_you_mean(plain, known)}",
        code="unknown-instrument",
    )
