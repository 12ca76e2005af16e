"""The libraries that read clean MIDI files: symusic where it is installed, else miditoolkit."""

from __future__ import annotations

import functools
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from musengine.builtin.midi.marking import FAR, Clean
from musengine.utils.arrays import IntArray

_LONG_TIME = re.compile(rb"[\x80-\xff]{4}")
_TEMPO, _NAME = b"\xff\x51\x03", b"\xff\x03"
_FLATS_AND_SHARPS = range(-7, 8)
_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_KEYS = {
    **{name: (sharps, False) for sharps, name in zip(_FLATS_AND_SHARPS, _MAJOR, strict=True)},
    **{f"{name}m": (sharps, True) for sharps, name in zip(_FLATS_AND_SHARPS, _MINOR, strict=True)},
}


class Instrument(NamedTuple):
    """The notes that a library puts together, the last of them a mark.

    Attributes:
        source: the number of the track, as the mark tells.
        channel: likewise.
        end: ticks; when the mark is struck.
        program: General MIDI, 0 to 127.
        name: of its track, U+FFFD for what is not UTF-8.
        n_notes: how many there are before the mark.
        columns: (n_notes + 1,) onset, duration, pitch and velocity by onset; empty for no notes.
    """

    source: int
    channel: int
    end: int
    program: int
    name: str
    n_notes: int
    columns: Sequence[IntArray]


class Parsed(NamedTuple):
    """What a library found.

    Attributes:
        instruments: with one mark each.
        tempos: (tick, microseconds per quarter note) by tick; those of one tick in any order.
        meters: (tick, numerator, denominator), likewise.
        keys: (tick, sharps with flats negative, whether minor), likewise.
    """

    instruments: list[Instrument]
    tempos: Sequence[tuple[int, int]]
    meters: Sequence[tuple[int, int, int]]
    keys: Sequence[tuple[int, int, bool]]


class Library(ABC):
    """Reads clean MIDI files."""

    package: str
    in_order: bool
    """Whether the first release of a pitch ends the first strike, whatever follows."""

    @property
    def label(self) -> str:
        """Its name and version."""
        return f"{self.package} {version(self.package)}"

    @abstractmethod
    def parse(self, data: bytes, file: Clean) -> Parsed | None:
        """Return what is in a file, or None where the library would not read it rightly.

        Args:
            data: the file with its marks.
            file: the file taken apart.
        """


class Symusic(Library):
    """The library symusic, in C++, from the extra `fast`."""

    package = "symusic"
    in_order = True

    def __init__(self) -> None:
        import symusic

        # Versions before take data bytes above 127 for what they say.
        if [int(part) for part in re.findall(r"\d+", version("symusic"))[:2]] < [0, 6]:
            raise ImportError("symusic is too old")

        self._read: Any = symusic.Score.from_midi

    def parse(self, data: bytes, file: Clean) -> Parsed | None:
        """Return what is in a file; None where symusic refuses it, or a mark is missing."""
        try:
            score = self._read(data)
        # Whatever the library raises, the file is read by our own means instead.
        except Exception:
            return None
        instruments = []
        for track in score.tracks:
            notes = track.notes
            before = len(notes) - 1
            if before < 0:
                continue
            mark = notes[before]
            if mark.duration < FAR:
                return None
            columns = _columns(**notes.numpy()) if before else ()
            instruments.append(
                Instrument(
                    mark.velocity, mark.pitch, mark.time, track.program, track.name, before, columns
                )
            )
        return Parsed(
            instruments,
            tempos=[(tempo.time, tempo.mspq) for tempo in score.tempos],
            meters=[
                (each.time, each.numerator, each.denominator) for each in score.time_signatures
            ],
            keys=[(key.time, key.key, bool(key.tonality)) for key in score.key_signatures],
        )


class Miditoolkit(Library):
    """The library miditoolkit, in Python."""

    package = "miditoolkit"
    in_order = False

    def __init__(self) -> None:
        import miditoolkit

        self._read: Any = miditoolkit.MidiFile

    def parse(self, data: bytes, file: Clean) -> Parsed | None:
        """Return what is in a file; None where it has what miditoolkit keeps only in part.

        A time of more than four bytes it takes for what it says. Of tempos in several tracks it
        loses some; of several names in one track it takes the one
        given before the first release; a note has the program of its release, not of its strike.
        """
        if any(_LONG_TIME.search(body) for body in file.bodies):
            return None
        if sum(_TEMPO in body for body in file.bodies) > 1:
            return None
        if any(body.count(_NAME) > 1 for body in file.bodies) or _changes_programs(file):
            return None
        try:
            parsed = self._read(file=io.BytesIO(data))
        # A parser handed bytes it does not expect may raise anything.
        except Exception:
            return None
        instruments = []
        for each in parsed.instruments:
            rows = [
                (note.start, note.end - note.start, note.pitch, note.velocity)
                for note in each.notes
            ]
            rows.sort(key=lambda row: row[0])
            end, duration, channel, source = rows[-1]
            if duration < FAR:
                return None
            columns = list(np.array(rows, dtype=np.int64).T)
            name, program = _as_utf8(each.name), int(each.program)
            instruments.append(
                Instrument(source, channel, end, program, name, len(rows) - 1, columns)
            )
        keys = [(change.time, *_KEYS[change.key_name]) for change in parsed.key_signature_changes]
        return Parsed(
            instruments,
            tempos=[(change.time, round(60e6 / change.tempo)) for change in parsed.tempo_changes],
            meters=[
                (change.time, change.numerator, change.denominator)
                for change in parsed.time_signature_changes
            ],
            keys=keys,
        )


def _columns(
    time: IntArray, duration: IntArray, pitch: IntArray, velocity: IntArray
) -> Sequence[IntArray]:
    return time, duration, pitch, velocity


def _as_utf8(name: str) -> str:
    return name.encode("latin-1").decode("utf-8", "replace")


def _changes_programs(file: Clean) -> bool:
    """Return whether a channel's program may change after its first strike."""
    return any(
        body.rfind(0xC0 | channel) > body.find(0x90 | channel)
        for body, channels in zip(file.bodies, file.channels, strict=True)
        for channel in channels
    )


@functools.cache
def chosen() -> Library:
    """Return symusic where it is installed and works, else miditoolkit."""
    try:
        return Symusic()
    except (ImportError, OSError):
        return Miditoolkit()
