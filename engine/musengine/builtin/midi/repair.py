"""The events of a damaged track: whatever music its bytes hold, and what was odd about them."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field

from musengine.builtin.midi.oddities import Oddities
from musengine.errors import UnreadableError
from musengine.music.score import LAST_TICK

MAX_NOTES = 2**21
"""Files with more strikes and releases than so many notes have are refused: they take memory."""
MAX_CHANGES = 2**18
"""Files with more names, programs, tempos, meters and keys are refused."""

META, END, NAME, TEMPO, METER, KEY = 0xFF, 0x2F, 0x03, 0x51, 0x58, 0x59
_KEPT = (NAME, TEMPO, METER, KEY)
_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
"""How many data bytes follow a status of the system; none follow the others."""
_LONGEST_NUMBER = 4
"""Bytes."""
_BELOW_128 = re.compile(b"[\x00-\x7f]")
_TWO_DATA_BYTES = (0x80, 0xA0, 0xE0)
"""Statuses, but for their lowest five bits: notes, pressure and controllers, bends."""
_STRETCH = 2**18
"""Bytes. After so many it is looked whether there is too much in a file."""


@dataclass
class Events:
    """What one track holds.

    Attributes:
        ticks: (E,) of every strike and release, in the order of the file.
        codes: (E,) channel × 2**14 + pitch × 2**7 + velocity, 0 for a release.
        programs: (number of strikes and releases before it, channel, program) of every change.
        metas: (tick, kind, data) of names, tempos, meters and keys.
        end: ticks.
    """

    ticks: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("i"))
    programs: list[tuple[int, int, int]] = field(default_factory=list)
    metas: list[tuple[int, int, bytes]] = field(default_factory=list)
    end: int = 0


@dataclass
class Room:
    """How much more the tracks of a file may hold."""

    strokes: int = 2 * MAX_NOTES
    changes: int = MAX_CHANGES

    def check(self) -> None:
        """Raise an UnreadableError where there is more than may be."""
        if self.strokes < 0:
            raise UnreadableError(f"more than {MAX_NOTES} notes")
        if self.changes < 0:
            raise UnreadableError(f"more than {MAX_CHANGES} changes of program, tempo, meter, key")


class TrackReader:
    """Reads the events of one track, byte by byte, and gives up on nothing it can step over.

    A channel's status goes on to hold after a meta event and after one of the system, as players
    have it. Data bytes above 127 stand for 127, and no note is made of a pitch above 127. A time
    of more than four bytes is damage and counts as none. What follows the end of the track is left.
    """

    def __init__(self, body: bytes, number: int, odd: Oddities, room: Room) -> None:
        self.body = body
        self.number = number
        self.odd = odd
        self.room = room
        self.events = Events()
        self.position = 0
        self.status = 0
        self.ended = False

    def read(self) -> Events:
        """Return the track's events.

        Raises:
            UnreadableError: there is no room for them.
        """
        try:
            while self.position < len(self.body) and not self.ended:
                before = len(self.events.ticks)
                self._read_until(min(self.position + _STRETCH, len(self.body)))
                self.room.strokes -= len(self.events.ticks) - before
                self.room.check()
            if not self.ended:
                self.odd.of_track("has no end", self.number)
        except IndexError:
            self.odd.of_track("ends too early", self.number)
        if self.ended and self.position < len(self.body):
            left = len(self.body) - self.position
            self.odd.count("byte", "after the end of a track ignored", left)
        return self.events

    def _read_until(self, stop: int) -> None:
        """Read events until one begins at the byte `stop` or later, or the track ends."""
        body, status, tick = self.body, self.status, self.events.end
        put_tick, put_code = self.events.ticks.append, self.events.codes.append
        while self.position < stop and not self.ended:
            at = self.position
            if body[at] < 128:
                tick += body[at]
                at += 1
            else:
                tick += self._long_number()
                at = self.position
                if tick > LAST_TICK:
                    self.odd.of_track(f"runs on past tick {LAST_TICK} and is cut", self.number)
                    self.ended, self.position = True, len(body)
                    return
            byte = body[at]
            self.events.end = tick
            if byte >= 0xF0:
                self.position = at
                self._system_event(tick)
                continue
            if byte >= 128:
                self.status = status = byte
                at += 1
            if status & 0xE0 in _TWO_DATA_BYTES and (body[at] | body[at + 1]) < 128:
                if status < 0xA0:
                    put_tick(tick)
                    velocity = body[at + 1] if status >= 0x90 else 0
                    put_code((status & 15) << 14 | body[at] << 7 | velocity)
                self.position = at + 2
            else:
                self.position = at
                self._other(tick, status)

    def _other(self, tick: int, status: int) -> None:
        """Read what is seldom: not a note, or not a sound one."""
        if not status:
            self.odd.count("byte", "of no event ignored")
            self.position += 1
        elif status < 0xA0:
            pitch, velocity = self.body[self.position], self.body[self.position + 1]
            self.position += 2
            self.odd.count("data byte", "above 127", (pitch > 127) + (velocity > 127))
            if pitch < 128:
                self.events.ticks.append(tick)
                velocity = min(velocity, 127) if status >= 0x90 else 0
                self.events.codes.append((status & 15) << 14 | pitch << 7 | velocity)
        elif status & 0xE0 == 0xC0:
            self._short_event(status)
        else:
            self._data(2)

    def _short_event(self, status: int) -> None:
        """Read a change of program, or pass over pressure."""
        value = self._data(1)
        if status < 0xD0 and value < 128:
            self.room.changes -= 1
            self.events.programs.append((len(self.events.ticks), status & 15, value))

    def _data(self, count: int) -> int:
        """Pass over data bytes; returns the last."""
        value = 0
        for _ in range(count):
            value = self.body[self.position]
            self.position += 1
            if value > 127:
                self.odd.count("data byte", "above 127")
        return value

    def _system_event(self, tick: int) -> None:
        status = self.body[self.position]
        self.position += 1
        if status in (0xF0, 0xF7):
            self._content()
        elif status != META:
            self.position += _DATA_BYTES.get(status, 0)
        else:
            kind = self.body[self.position]
            self.position += 1
            content = self._content()
            if kind == END:
                self.ended = True
            elif kind in _KEPT:
                self.room.changes -= 1
                self.events.metas.append((tick, kind, content))

    def _content(self) -> bytes:
        """Return the bytes that a number of them announces.

        Raises:
            IndexError: the track ends before.
        """
        count = self._long_number()
        if count > len(self.body) - self.position:
            raise IndexError
        start, self.position = self.position, self.position + count
        return self.body[start : self.position]

    def _long_number(self) -> int:
        """Return a number of variable length: seven bits a byte, the last byte below 128.

        Raises:
            IndexError: the track ends before.
        """
        ending = _BELOW_128.search(self.body, self.position)
        if ending is None:
            raise IndexError
        digits, self.position = self.body[self.position : ending.end()], ending.end()
        if len(digits) > _LONGEST_NUMBER:
            self.odd.count("number", "of more than four bytes taken as 0")
            return 0
        number = 0
        for digit in digits:
            number = number << 7 | digit & 127
        return number
