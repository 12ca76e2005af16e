"""The layout `notes`: one row of whole numbers for each note, and what each number stands for."""

from __future__ import annotations

from dataclasses import dataclass

from musengine.api import GridStep, Layout

FIELDS = ("delay", "part", "pitch", "duration", "velocity")
"""The columns of an array, in the order in which they are drawn."""
DELAY, PART, PITCH, DURATION, VELOCITY = range(len(FIELDS))

REST, PEDAL, FIRST_PART = 0, 1, 2
"""Values of `part` that are no instrument: time moves on, the pedal moves; then the instruments."""

DRUM_PITCHES = 128
"""What is added to the pitch of a drum, so that drums and pitches are never taken for another."""
PITCHES = 2 * DRUM_PITCHES

LOOKBACK = len(FIELDS) + 1
"""Columns of the channel `lookback` for each lag: the note expected, and how well it did so far."""
LONGEST_RUN = 15
"""Notes in a row for which an expectation was right, counted no further."""
EXPECTED = len(FIELDS)
"""The column that holds 0 where nothing is expected, else 1 and the notes in a row."""

PLACE_BEFORE, PLACE, BAR, AT_ONCE = range(4)
"""Columns of the channel `metre`: in grid steps where in its bar the note before begins, where this
one does, and how long its bar is, 0 where there are none; and how many events began when the one
before did, up to it."""
METRE = 4
MOST_AT_ONCE = 15
"""Events that begin at once, counted no further."""
UNKNOWN = -1
"""A place that follows from the notes before and a bar that stays the same."""


@dataclass(frozen=True)
class Part:
    """One instrument of a layout.

    Attributes:
        drums: its pitches are drums.
        lowest: pitch in the training part.
        highest: pitch in the training part.
    """

    drums: bool
    lowest: int = 0
    highest: int = 127


@dataclass(frozen=True, kw_only=True)
class NoteEvents(Layout):
    """One step for each note, (5,) whole numbers: `FIELDS`.

    `delay` and `duration` are places in the tables `delays` and `durations`, which hold grid steps.
    `part` is `REST`, where nothing but time passes, by the longest delay; `PEDAL`, where `pitch` is
    1 for down and 0 for up; then the instruments; and last `end`. Notes that begin at once are in
    the order of parts, then pitches. The channel `metre` (T, 4) comes with them, and where time is
    counted in beats `lookback` (T, lags, 6).

    `parts` is empty until the encoder has learned them from the training part; so is `returns`: for
    each lag how alike bars are that lie so far apart, 0 to 1; and `at_once`, than
    which hardly ever more events begin together.
    """

    name: str = "notes"
    step: GridStep
    delays: tuple[int, ...]
    durations: tuple[int, ...]
    velocities: int
    parts: tuple[Part, ...] = ()
    pedal: bool = False
    lags: tuple[int, ...] = ()
    returns: tuple[float, ...] = ()
    at_once: int = 0

    @property
    def step_shape(self) -> tuple[int, ...]:
        """(5,)."""
        return (len(FIELDS),)

    @property
    def end(self) -> int:
        """The value of `part` with which a piece is over."""
        return FIRST_PART + len(self.parts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each field has."""
        return (len(self.delays), self.end + 1, PITCHES, len(self.durations), self.velocities)

    @property
    def in_beats(self) -> bool:
        """Whether time is counted in beats, so that there are bars."""
        return self.step.unit == "beat"

    @property
    def places(self) -> int:
        """How many places in a bar are told apart; later ones count as the last."""
        return max(2, min(int(8 / self.step.size), 512)) if self.in_beats else 2
