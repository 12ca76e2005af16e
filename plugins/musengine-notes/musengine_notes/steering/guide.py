"""Leads new notes past those of a piece: which slots are free, and when given events come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from musengine.api import (
    Array,
    DecodeSettings,
    Encoded,
    Guide,
    Infill,
    IntArray,
    Passage,
    Score,
)
from musengine_notes.events import Events, arranged, velocity_of
from musengine_notes.form.lookback import Bars, channels, onsets_of
from musengine_notes.layout import (
    BAR,
    DELAY,
    DRUM_PITCHES,
    DURATION,
    FIELDS,
    FIRST_PART,
    METRE,
    PART,
    PEDAL,
    PITCH,
    REST,
    VELOCITY,
    NoteEvents,
)
from musengine_notes.steering.asked import density_channel, free_parts, scale_channel
from musengine_notes.steering.players import Players

if TYPE_CHECKING:
    from musengine_notes.encoder import Notes

FOLLOWING = 64
"""Given events after a passage by which it is judged."""


@dataclass(frozen=True)
class Task:
    """What is made anew, on the grid.

    Attributes:
        layout: of the events.
        given: the events that stay, in order.
        bars: of the piece, None where it has none.
        shift: by how many grid steps the piece was moved.
        start: the grid step from which on new notes begin.
        stop: the grid step before which they begin.
        free: (parts,) which parts they may be of.
        asked: what else is asked for, the channels of one step.
    """

    layout: NoteEvents
    given: Events
    bars: Bars | None
    shift: int
    start: int
    stop: int
    free: npt.NDArray[np.bool_]
    asked: Mapping[str, Array]


@dataclass
class _Row:
    """One passage as far as it was drawn.

    Attributes:
        now: the grid step at which the last event begins.
        coming: the index of the next given event.
        last: part and pitch of the last event.
        steps: the events taken, from where the passage begins.
        given: which of them were given.
        over: whether it has come to its end.
    """

    now: int
    coming: int
    last: tuple[int, int]
    steps: list[list[int]] = field(default_factory=list)
    given: list[bool] = field(default_factory=list)
    over: bool = False


class NotesGuide(Guide):
    """Takes what is drawn in free slots, and where nothing is drawn the next given event."""

    def __init__(
        self, task: Task, passages: int, infill: Infill, players: Players, encoder: Notes
    ) -> None:
        self.task, self.infill, self.players, self.encoder = task, infill, players, encoder
        self.delays = np.array(task.layout.delays, dtype=np.int64)
        before = task.given.take(task.given.onset < task.start)
        self.before = arranged(before, task.layout)[:-1].astype(np.int64)
        self.prompt = Encoded(self.before, self._channels_of_prompt())
        self.follow = int(np.searchsorted(task.given.onset, task.stop))
        now, last = 0, (REST, -1)
        if len(self.before):
            now = int(onsets_of(self.before, task.layout)[-1])
            last = (int(self.before[-1, PART]), int(self.before[-1, PITCH]))
        self.rows = [_Row(now, len(before), last) for _ in range(passages)]

    @property
    def over(self) -> bool:
        """Whether all passages have come to their end."""
        return all(row.over for row in self.rows)

    def _channels_of_prompt(self) -> Mapping[str, Array]:
        """Return for each event of the prompt what is known of the bars about the one before it."""
        onset = onsets_of(self.before, self.task.layout) if len(self.before) else np.zeros(0, int)
        return self._bars(np.append(0, onset[:-1])[: len(onset)])

    def _bars(self, time: IntArray) -> dict[str, Array]:
        """Return the channels that tell the bars about events that begin at some times."""
        metre = np.zeros((len(time), METRE), dtype=np.int64)
        lags = np.array(self.task.layout.lags, dtype=np.int64)
        if self.task.bars is None:
            return {"metre": metre}
        starts = self.task.bars.starts
        number, place, metre[:, BAR] = self.task.bars.of(time)
        then = np.maximum(number[:, None] - lags, 0)
        moved = starts[then] + place[:, None]
        there = (number[:, None] >= lags) & (moved < starts[then + 1])
        return {"metre": metre, "bar_start": time - place, "ago": np.where(there, moved, -1)}

    def conditioning(self) -> Mapping[str, Array]:
        """Return the bars, the free slots, and whether the event before was given."""
        now = np.array([row.now for row in self.rows], dtype=np.int64)
        told = {
            **self._bars(now),
            "free": np.stack([self._free(row) for row in self.rows]),
            "given": np.array([not row.given or row.given[-1] for row in self.rows]),
        }
        for name, channel in self.task.asked.items():
            told[name] = np.repeat(channel, len(self.rows), axis=0)
        return told

    def _free(self, row: _Row) -> Array:
        """Return (delays, parts) bool: within the passage, and before the next given event."""
        time = row.now + self.delays
        inside = (time >= self.task.start) & (time < self.task.stop) & (not row.over)
        if row.coming == len(self.task.given):
            return inside[:, None] & self.task.free
        onset, part = self.task.given.onset[row.coming], self.task.given.part[row.coming]
        earlier = np.arange(len(self.task.free)) < part
        # Events at one time stand in the order of parts: a new one may come only where its part is
        # earlier.
        before = (time < onset)[:, None] | ((time == onset)[:, None] & earlier)
        free: Array = inside[:, None] & self.task.free & before
        return free

    def settle(self, choice: Array) -> Array:
        """Return the events that are taken; a rest says that nothing new comes for now."""
        return np.array(
            [self._taken(row, drawn) for row, drawn in zip(self.rows, choice.tolist(), strict=True)]
        )

    def _taken(self, row: _Row, drawn: list[int]) -> list[int]:
        if row.over:
            return [0, self.task.layout.end, 0, 0, 0]
        # A rest is the model's word that no new event comes before the next given one.
        if drawn[PART] != REST:
            self._add(row, drawn, given=False)
            return drawn
        given = self.task.given
        coming = int(given.onset[row.coming]) if row.coming < self.follow else self.task.stop
        longest = int(self.delays[-1])
        if row.now + longest < coming:
            self._add(row, [len(self.delays) - 1, REST, 0, 0, 0], given=False)
        elif row.coming < self.follow:
            self._add_given(row)
        else:
            row.over = True
            return drawn
        return row.steps[-1]

    def _add(self, row: _Row, event: list[int], *, given: bool) -> None:
        row.steps.append(event)
        row.given.append(given)
        row.now += int(self.delays[event[DELAY]])
        row.last = (event[PART], event[PITCH])

    def _add_given(self, row: _Row) -> None:
        """Take the next given event, a longest rest before it where it is farther."""
        given, k = self.task.given, row.coming
        wait = max(int(given.onset[k]) - row.now, 0)
        if wait > self.delays[-1]:
            self._add(row, [len(self.delays) - 1, REST, 0, 0, 0], given=False)
            return
        part, pitch = int(given.part[k]), int(given.pitch[k])
        delay = _nearest(wait, self.delays)
        if delay == 0 and (row.steps or len(self.before)) and (part, pitch) <= row.last:
            # Times were told too late, and what began apart would begin at once.
            delay = 1
        length = _nearest(int(given.length[k]), np.array(self.task.layout.durations))
        self._add(row, [delay, part, pitch, length, int(given.loudness[k])], given=True)
        row.coming += 1

    def passage(self, number: int) -> Passage:
        """Return a passage, and with it the piece up to some events that follow."""
        row = self.rows[number]
        new = np.array(row.steps, dtype=np.int64).reshape(-1, len(FIELDS))
        drawn = ~np.array(row.given, dtype=bool)
        score = self._score(new, drawn)
        until = min(self.follow + FOLLOWING, len(self.task.given))
        while row.coming < until:
            self._add_given(row)
        whole = np.array(row.steps, dtype=np.int64).reshape(-1, len(FIELDS))
        whole = np.concatenate([self.before, whole])
        given = np.append(np.zeros(len(self.before), dtype=bool), np.array(row.given, dtype=bool))
        told = channels(whole, self.task.bars, self.task.layout)
        return Passage(score, Encoded(whole.astype(np.int16), told), given)

    def _score(self, new: IntArray, drawn: npt.NDArray[np.bool_]) -> Score:
        """Return the notes that were drawn, in the piece's ticks."""
        layout, score = self.task.layout, self.infill.score
        onset = onsets_of(np.concatenate([self.before, new]), layout)[len(self.before) :]
        drawn = drawn & (new[:, PART] >= FIRST_PART)
        new, onset = new[drawn], onset[drawn]
        length = np.array(layout.durations, dtype=np.int64)[new[:, DURATION]]
        first, after = (
            self.encoder.tick_of(time - self.task.shift, score) for time in (onset, onset + length)
        )
        first = np.clip(first, self.infill.first, self.infill.after - 1)
        tracks, track = self.players.of(new[:, PART] - FIRST_PART)
        return Score.from_notes(
            first,
            after - first,
            new[:, PITCH] % DRUM_PITCHES,
            velocity_of(new[:, VELOCITY], layout.velocities),
            track,
            ticks_per_beat=score.ticks_per_beat,
            tracks=tracks,
        )


def guide_of(encoder: Notes, infill: Infill, passages: int, settings: DecodeSettings) -> NotesGuide:
    """Return what leads so many passages past the notes of a piece.

    Raises:
        UserError: no such instrument was learned, or the piece is too long.
    """
    given, bars, shift = encoder.given(infill.score)
    between = np.array([infill.first, infill.after], dtype=np.int64)
    start, stop = (infill.score.nearest_steps(between, encoder.config.step) + shift).tolist()
    players = Players.asked(encoder, infill)
    density = density_channel(encoder, infill.steering, 1, settings)
    scale = scale_channel(infill.steering, 1)
    # The pedal moves as it did.
    free = free_parts(encoder, players.numbers)
    free[PEDAL] = False
    task = Task(
        layout=encoder.layout,
        given=given,
        bars=bars,
        shift=shift,
        start=start,
        stop=max(stop, start + 1),
        free=free,
        asked={**density, **scale},
    )
    return NotesGuide(task, passages, infill, players, encoder)


def _nearest(length: int, table: IntArray) -> int:
    """Return the place of the nearest length in a table; half-way goes to the shorter one."""
    above = int(np.clip(np.searchsorted(table, length), 1, len(table) - 1))
    return above - 1 if length - table[above - 1] <= table[above] - length else above
