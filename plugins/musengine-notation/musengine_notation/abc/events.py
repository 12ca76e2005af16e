"""What a tune's parser makes of each voice: a list of events, before any repeat is played."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

QUARTER = 2**8 * 3**3 * 5**2 * 7 * 11 * 13
"""Units of time in a quarter note: whole for what notes are divided by, so that no time drifts."""
WHOLE = 4 * QUARTER


@dataclass(slots=True)
class Note:
    """One note letter.

    Attributes:
        step: diatonic place, 7 to an octave, 28 for middle C.
        pitch: MIDI number; may lie outside 0 to 127 until it is transposed.
        length: units of time, of its own.
        signed: whether an accidental stands before it.
        tied: whether it goes on in the next of its pitch.
    """

    step: int
    pitch: int
    length: int
    signed: bool = False
    tied: bool = False


@dataclass(slots=True)
class Sound:
    """A note, chord or rest: what is struck together, and the time until what follows.

    Attributes:
        length: units of time.
        notes: none for a rest.
        line: of the file.
    """

    length: int
    notes: list[Note]
    line: int

    def scale(self, numerator: int, denominator: int) -> None:
        """Make it and its notes that much longer."""
        self.length = self.length * numerator // denominator
        for note in self.notes:
            note.length = note.length * numerator // denominator


@dataclass(frozen=True, slots=True)
class BarLine:
    """A bar line, or the beginning of an ending without one.

    Attributes:
        repeats: how often the part before it is played again.
        begins: whether a repeated part begins.
        endings: passes in which what follows is played; empty for all.
        parts: whether it divides the tune, as a double bar does.
        is_bar: False where only an ending begins.
        line: of the file.
    """

    repeats: int = 0
    begins: bool = False
    endings: tuple[int, ...] = ()
    parts: bool = False
    is_bar: bool = True
    line: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What holds from here on.

    Attributes:
        what: `meter`: numerator and denominator, or None; `tempo`: quarter notes per minute;
            `key`: sharps and whether minor; `sound`: program and channel, each may be None.
        value: as said.
    """

    what: Literal["meter", "tempo", "key", "sound"]
    value: object


@dataclass(frozen=True, slots=True)
class Overlay:
    """A step back in time: what follows sounds beside what came before.

    Attributes:
        bars: how many, this one counted; 0 for the `(&` that opens a region, -1 for the `&)` that
            closes it.
    """

    bars: int


@dataclass(frozen=True, slots=True)
class PartLabel:
    """The beginning of a part that a header's `P:` may ask for."""

    label: str


@dataclass(frozen=True, slots=True)
class Words:
    """A chord symbol or an annotation: kept as text, never sounded."""

    text: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that sends players elsewhere, or that they look for when they are sent.

    Attributes:
        what: `capo` and `segno` send back to the beginning and to the sign `from`; `fine` ends the
            second time, `dacoda` sends to the last `coda`.
    """

    what: Literal["capo", "segno", "from", "fine", "coda", "dacoda"]


Event = Sound | BarLine | Change | Overlay | PartLabel | Words | Sign


@dataclass
class VoiceEvents:
    """One voice of a tune.

    Attributes:
        id: as `V:` has it; empty for the voice of a tune without any.
        name: as it is shown.
        events: in the order they are written.
    """

    id: str
    name: str = ""
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class WrittenBar:
    """One bar as it is written.

    Attributes:
        line: of the file, where it ends.
        length: units of time.
        meter: units of time that its meter asks for; None where no meter holds.
        section: changes at each repeat, ending, double bar and part.
    """

    line: int
    length: int
    meter: int | None
    section: int
