"""The events of the tracks of any MIDI file, byte by byte: whatever music there is, and faults."""

from __future__ import annotations

import re
from array import array

import numpy as np

from musengine.builtin.midi.assemble import END, KEPT, MAX_CHANGES, MAX_NOTES, Events, Meta
from musengine.builtin.midi.chunks import Chunks
from musengine.builtin.midi.drums import MAX_CHANGES as MAX_DRUM_CHANGES
from musengine.builtin.midi.drums import DrumChanges
from musengine.builtin.midi.warnings import Warnings
from musengine.errors import UnreadableError
from musengine.music.note_tables import BEND, LAST_TICK

MAX_CONTROLS = 2**22
"""Files with more controllers and bends are refused: they take memory."""
_META = 0xFF
_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
"""How many data bytes follow a status of the system; none follow the others."""
_LONGEST_NUMBER = 4
"""Bytes."""
_BELOW_128 = re.compile(b"[\x00-\x7f]")
_TWO_DATA_BYTES = (0x80, 0xA0, 0xE0)
"""Statuses, but for their lowest five bits: notes, pressure and controllers, bends."""
_STRETCH = 2**18
"""Bytes. After so many it is looked whether there is too much in a file."""


class Found:
    """What the tracks of a song hold, of which there may not be too much in a file.

    Args:
        earlier: what the songs before it in the file hold.

    Attributes:
        ticks: (E,) of each note-on and note-off.
        codes: (E,) their keys as in Events × 128 + velocity.
        programs: as in Events.
        controls: those of Events, row after row.
        metas: as in Events.
        ends: as in Events.
        drums: which channels hold drums.
    """

    def __init__(self, earlier: Found | None = None) -> None:
        self.earlier = (0, 0, 0) if earlier is None else earlier.sizes()
        # `array` of 64-bit numbers: a list would take four times the memory of what may be 4
        # million.
        self.ticks = array("q")
        self.codes = array("q")
        self.programs: list[tuple[int, int, int]] = []
        self.controls = array("q")
        self.metas: list[Meta] = []
        self.ends: list[int] = []
        self.drums = DrumChanges()

    def sizes(self) -> tuple[int, int, int]:
        """Return how many note-ons and note-offs, changes and controllers the file has so far."""
        notes, changes, controls = self.earlier
        return (
            notes + len(self.ticks),
            changes + len(self.programs) + len(self.metas),
            controls + len(self.controls) // 5,
        )

    def check(self) -> None:
        """Raise an UnreadableError where there is more than a file may have."""
        notes, changes, controls = self.sizes()
        if notes > 2 * MAX_NOTES:
            # Twice the notes, since note-offs are counted with them.
            raise UnreadableError(f"more than {MAX_NOTES} notes", code="too-large")
        if changes > MAX_CHANGES:
            message = f"more than {MAX_CHANGES} changes of program, tempo, meter, key"
            raise UnreadableError(message, code="too-large")
        if controls > MAX_CONTROLS:
            raise UnreadableError(f"more than {MAX_CONTROLS} controllers", code="too-large")
        if len(self.drums.rows) > MAX_DRUM_CHANGES:
            message = f"more than {MAX_DRUM_CHANGES} changes of what is drums"
            raise UnreadableError(message, code="too-large")

    def events(self) -> Events:
        """Return what was collected, as arrays."""
        codes = np.array(self.codes, dtype=np.int64)
        return Events(
            tick=np.array(self.ticks, dtype=np.int64),
            key=(codes >> 7).astype(np.uint32),
            velocity=(codes & 127).astype(np.uint8),
            programs=self.programs,
            controls=np.array(self.controls, dtype=np.int64).reshape(-1, 5).T,
            metas=self.metas,
            ends=self.ends,
            drums=self.drums.rows,
        )


def events_of(chunks: Chunks, warnings: Warnings) -> list[Events]:
    """Return the events of each song: of one, or of each track in format 2, whose tracks are apart.

    Raises:
        UnreadableError: there are more of them than a song may have.
    """
    songs = [Found()]
    for number, (begin, stop) in enumerate(chunks.tracks, 1):
        TrackReader(chunks.data[begin:stop], number, songs[-1], warnings).read()
        if chunks.format == 2:
            songs.append(Found(songs[-1]))
    return [song.events() for song in songs if song.ticks or chunks.format != 2]


class TrackReader:
    """Reads the events of one track, byte by byte, and gives up on nothing it can step over.

    A channel's status goes on to hold after a meta event and after one of the system, as players
    have it. Data bytes above 127 stand for 127, and no note is made of a pitch above 127. A time
    of more than four bytes is damage and counts as none. What follows the end of the track is left.

    Args:
        body: the track without its header.
        number: the first in the file is 1.
        found: takes what it holds.
        warnings: takes what was wrong.
    """

    def __init__(self, body: bytes, number: int, found: Found, warnings: Warnings) -> None:
        self.body = body
        self.number = number
        self.found = found
        self.warnings = warnings
        self.track = len(found.ends)
        self.position = 0
        self.tick = 0
        self.status = 0
        self.ended = False

    def read(self) -> None:
        """Read it all.

        Raises:
            UnreadableError: there is more in the song than may be.
        """
        try:
            while self.position < len(self.body) and not self.ended:
                self._read_until(min(self.position + _STRETCH, len(self.body)))
                self.found.check()
            if not self.ended:
                self.warnings.of_track("has no end", self.number)
        except IndexError:
            self.warnings.of_track("ends too early", self.number)
        if self.ended and self.position < len(self.body):
            left = len(self.body) - self.position
            self.warnings.count("byte", "after the end of a track ignored", left)
        self.found.ends.append(self.tick)

    def _read_until(self, stop: int) -> None:
        """Read events until one begins at the byte `stop` or later, or the track ends."""
        # Local names: this loop runs once for every event of a file, and attributes are slow.
        body, status, tick, channels = self.body, self.status, self.tick, self.track << 18
        put_tick, put_code = self.found.ticks.append, self.found.codes.append
        while self.position < stop and not self.ended:
            at = self.position
            if body[at] < 128:
                tick += body[at]
                at += 1
            else:
                tick += self._long_number()
                at = self.position
                if tick > LAST_TICK:
                    self.warnings.of_track(f"runs on past tick {LAST_TICK} and is cut", self.number)
                    self.ended, self.position = True, len(body)
                    return
            byte = body[at]
            self.tick = tick
            if byte >= 0xF0:
                self.position = at
                self._system_event()
                continue
            if byte >= 128:
                self.status = status = byte
                at += 1
            # Two data bytes, both sound: by far the most events. All else goes to `_other`.
            if status & 0xE0 in _TWO_DATA_BYTES and (body[at] | body[at + 1]) < 128:
                if status < 0xA0:
                    put_tick(tick)
                    # A note-on of velocity 0 is a note-off: the two need not be told apart.
                    velocity = body[at + 1] if status >= 0x90 else 0
                    put_code(channels | (status & 15) << 14 | body[at] << 7 | velocity)
                elif status >= 0xB0:
                    self._control(body[at], body[at + 1])
                self.position = at + 2
            else:
                self.position = at
                self._other()

    def _control(self, first: int, second: int) -> None:
        number, value = first, second
        if self.status >= 0xE0:
            # 14 bits, the low ones first; the middle is 8192.
            number, value = BEND, (second << 7 | first) - 8192
        order, channel = len(self.found.ticks), self.track << 4 | self.status & 15
        self.found.controls.extend((order, self.tick, channel, number, value))
        if number == 0:
            self.found.drums.bank(self.tick, self.track, self.status & 15, value)

    def _other(self) -> None:
        """Read what is seldom: an event of one data byte, or one that is not sound."""
        status = self.status
        if not status:
            self.warnings.count("byte", "of no event ignored")
            self.position += 1
        elif status < 0xA0:
            pitch, velocity = self.body[self.position], self.body[self.position + 1]
            self.position += 2
            self.warnings.count("data byte", "above 127", (pitch > 127) + (velocity > 127))
            if pitch < 128:
                self.found.ticks.append(self.tick)
                velocity = min(velocity, 127) if status >= 0x90 else 0
                code = self.track << 18 | (status & 15) << 14 | pitch << 7 | velocity
                self.found.codes.append(code)
        # Programs and channel pressure.
        elif status & 0xE0 == 0xC0:
            value = self._data(1)
            if status < 0xD0 and value < 128:
                order, channel = len(self.found.ticks), self.track << 4 | status & 15
                self.found.programs.append((order, channel, value))
        else:
            self._data(2)

    def _data(self, count: int) -> int:
        """Pass over data bytes; returns the last."""
        value = 0
        for _ in range(count):
            value = self.body[self.position]
            self.position += 1
            if value > 127:
                self.warnings.count("data byte", "above 127")
        return value

    def _system_event(self) -> None:
        status = self.body[self.position]
        self.position += 1
        if status in (0xF0, 0xF7):
            content = self._content()
            if status == 0xF0:
                self.found.drums.message(self.tick, content)
        elif status != _META:
            self.position += _DATA_BYTES.get(status, 0)
        else:
            kind = self.body[self.position]
            self.position += 1
            content = self._content()
            if kind == END:
                self.ended = True
            elif kind in KEPT:
                self.found.metas.append((self.track, self.tick, kind, content))

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
            self.warnings.count("number", "of more than four bytes taken as 0")
            return 0
        number = 0
        for digit in digits:
            number = number << 7 | digit & 127
        return number
