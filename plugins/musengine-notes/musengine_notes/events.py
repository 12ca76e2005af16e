"""Events on a grid: notes and pedal movements from a score, sorted into rows of fields."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from musengine.api import Array, GridStep, IntArray, Score
from musengine.errors import UnreadableError
from musengine_notes.form.lookback import Bars, keys_of
from musengine_notes.layout import FIELDS, PEDAL, REST, NoteEvents

SUSTAIN = 64
"""The controller of the sustain pedal."""


@dataclass(frozen=True)
class Events:
    """Events as parallel arrays.

    Attributes:
        onset: (N,) grid steps.
        part: (N,) as in the layout.
        pitch: (N,) as in the layout.
        length: (N,) grid steps.
        loudness: (N,) degrees.
    """

    onset: IntArray
    part: IntArray
    pitch: IntArray
    length: IntArray
    loudness: IntArray

    def __len__(self) -> int:
        return len(self.onset)

    @property
    def columns(self) -> tuple[IntArray, ...]:
        """The arrays (N,), in the order of the fields."""
        return (self.onset, self.part, self.pitch, self.length, self.loudness)

    def take(self, chosen: Array) -> Events:
        """Return the events of a mask or of indices."""
        return Events(*(column[chosen] for column in self.columns))

    def beside(self, others: Events) -> Events:
        """Return these events and others."""
        pairs = zip(self.columns, others.columns, strict=True)
        return Events(*(np.concatenate(pair) for pair in pairs))

    def one_of_each(self) -> Events:
        """Return them in order, none struck twice at once, none held when it is struck again.

        Of notes of one instrument and pitch that begin together the longest is kept.
        """
        key = keys_of(self.onset, self.part, self.pitch)
        # Of equal ones the longest, and the loudest of those, comes first.
        order = np.lexsort((-self.loudness, -self.length, key))
        kept = order[np.append(True, np.diff(key[order]) != 0)[: len(order)]]
        events = self.take(kept)
        by_pitch = np.lexsort((events.onset, events.pitch, events.part))
        same = (np.diff(events.part[by_pitch]) == 0) & (np.diff(events.pitch[by_pitch]) == 0)
        gap = np.where(same, np.diff(events.onset[by_pitch]), np.iinfo(np.int64).max)
        length = events.length.copy()
        length[by_pitch[:-1]] = np.minimum(length[by_pitch[:-1]], gap)
        return Events(events.onset, events.part, events.pitch, length, events.loudness)


def loudness(velocity: IntArray, degrees: int) -> IntArray:
    """Return the degrees of velocities 1 to 127."""
    result: IntArray = (np.clip(velocity, 1, 127) - 1) * degrees // 127
    return result


def velocity_of(degree: IntArray, degrees: int) -> IntArray:
    """Return the velocity in the middle of each degree."""
    # Rounded up twice: the velocities for which `loudness` gives this degree, less 1.
    low = -(-np.clip(degree, 0, degrees - 1) * 127 // degrees)
    high = -(-(np.clip(degree, 0, degrees - 1) + 1) * 127 // degrees) - 1
    result: IntArray = 1 + (low + high) // 2
    return result


def pedal_events(score: Score, part: int, step: GridStep, shift: int) -> Events:
    """Return the movements of the pedal of a part, those that change it, as events.

    Moved up and down again within a grid step it is moved up and down; other movements within one
    are as if only the last had been made.
    """
    chosen = (score.control[:, 1] == SUSTAIN) & (score.control[:, 0] == part)
    ticks, values = score.control_tick[chosen], score.control[chosen, 2]
    order = np.argsort(ticks, kind="stable")
    times = (score.nearest_steps(ticks[order], step) + shift).tolist()
    rows: list[tuple[int, int]] = []
    down, before, begun = False, False, -1
    for time, value in zip(times, values[order].tolist(), strict=True):
        if time != begun:
            begun, before = time, down
        if (value >= 64) == down:
            continue
        down = value >= 64
        # What was noted for this step is replaced by what holds at its end.
        rows = [row for row in rows if row[0] != time] if rows and rows[-1][0] == time else rows
        # It was down before and is down after: up and down again, which ends what rang.
        rows += [(time, 0), (time, 1)] if before and down else []
        rows += [(time, int(down))] if before != down else []
    onset, pitch = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    nothing = np.zeros(len(rows), dtype=np.int64)
    return Events(onset, nothing + PEDAL, pitch, nothing + 1, nothing)


def bars_of(score: Score, layout: NoteEvents, most: int) -> tuple[Bars | None, int]:
    """Return where bars begin on the grid, None without a beat, and by how much the music moves.

    It moves so that an upbeat begins late in a whole bar. Where bars are a beat long, as many files
    say that know of no bars, four are one.

    Raises:
        UnreadableError: the piece is longer than so many steps.
    """
    last = int(score.nearest_steps(np.array([score.length]), layout.step)[0])
    if last > most:
        raise UnreadableError(
            f"{last} time steps are more than the {most} a piece may have", code="piece-too-long"
        )
    if not layout.in_beats:
        return None, 0
    score = with_whole_bars(score)
    ticks = np.rint(score.ticks_of_bars(np.arange(score.n_bars + 1))).astype(np.int64)
    # Short bars may fall on one step of a coarse grid.
    starts = np.unique(score.nearest_steps(ticks, layout.step))
    if len(starts) < 2:
        return Bars.even(last + 1, last + 1), 0
    shift = 0
    if score.upbeat and len(starts) > 2:
        # The second bar's length, less that of the upbeat, which begins at 0.
        shift = max(int(starts[2] - starts[1] - starts[1]), 0)
        starts = np.append(0, starts[1:] + shift)
    # Notes rounded up to the end of the last bar are in one more.
    more = starts[-1] + max(int(starts[-1] - starts[-2]), 1)
    return Bars(np.append(starts, more)), shift


def with_whole_bars(score: Score) -> Score:
    """Return a score in which four bars of a beat, or less, are one, where there are so many."""
    until = np.append(score.meter_tick[1:], max(score.length, int(score.meter_tick[-1])))
    whole = 4 * score.ticks_per_beat * score.meter[:, 0] * 4 // score.meter[:, 1]
    short = (score.meter[:, 0] * 4 <= score.meter[:, 1]) & (until - score.meter_tick >= whole)
    if not short.any():
        return score
    return replace(score, meter=np.where(short[:, None], score.meter * [4, 1], score.meter))


def arranged(events: Events, layout: NoteEvents) -> IntArray:
    """Return (T, 5) rows of the layout's fields: the events in order, rests between, the end."""
    times, group = np.unique(events.onset, return_inverse=True)
    told, rests, delays = _told(times, layout)
    # Times that were told as one are one, in which the order of parts and pitches holds.
    events = replace(events, onset=told[group]).one_of_each()
    onset = events.onset
    first = np.append(True, np.diff(onset) != 0)[: len(onset)]
    rows = np.zeros((len(events), len(FIELDS)), dtype=np.int64)
    rows[first, 0] = delays[np.searchsorted(told, onset[first])]
    rows[:, 1], rows[:, 2] = events.part, events.pitch
    rows[:, 3] = _nearest(events.length, layout.durations)
    rows[:, 4] = events.loudness
    before = np.where(first, rests[np.searchsorted(told, onset)], 0)
    rest = np.array([[len(layout.delays) - 1, REST, 0, 0, 0]], dtype=np.int64)
    whole = np.insert(rows, np.repeat(np.arange(len(rows)), before), rest, axis=0)
    return np.concatenate([whole, [[0, layout.end, 0, 0, 0]]])


def _told(times: IntArray, layout: NoteEvents) -> tuple[IntArray, IntArray, IntArray]:
    """Return times as the table of delays tells them, the rests before each, and the delays.

    What a delay is off by is made up for by the next, so that times do not drift.
    """
    table = np.array(layout.delays, dtype=np.int64)
    longest, now = int(table[-1]), 0
    told = np.zeros(len(times), dtype=np.int64)
    rests, delays = np.zeros_like(told), np.zeros_like(told)
    for k, time in enumerate(times.tolist()):
        wait = max(time - now, 0)
        rests[k] = max(wait - 1, 0) // longest
        wait -= int(rests[k]) * longest
        delays[k] = _nearest(np.array([wait]), layout.delays)[0]
        now += int(rests[k]) * longest + int(table[delays[k]])
        told[k] = now
    return told, rests, delays


def _nearest(lengths: IntArray, table: tuple[int, ...]) -> IntArray:
    """Return the places of the nearest lengths in a table; half-way goes to the shorter one."""
    known = np.array(table, dtype=np.int64)
    above = np.clip(np.searchsorted(known, lengths), 1, len(known) - 1)
    lower = lengths - known[above - 1] <= known[above] - lengths
    result: IntArray = np.where(lower, above - 1, above)
    return result
