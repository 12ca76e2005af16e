"""Which channels hold drums: by default the tenth; banks and exclusive messages say otherwise.

Three standards make further channels ones of drums, or the tenth one of notes. In Yamaha's XG the
banks 126 and 127 are drums and all others are not, or a message sets a part's mode; in Roland's GS
a message says which parts are for rhythm, and banks are variations; in General MIDI 2 the bank 120
is drums and 121 is not. Where a file names no standard, the banks of drums of XG and of General
MIDI 2 are taken as such, and no bank takes the tenth channel's drums away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from musengine.utils.arrays import IntArray

BoolArray = npt.NDArray[np.bool_]

DRUM_CHANNEL = 9
MAX_CHANGES = 2**12
"""Files in which more channels become drums or notes are refused."""
DRUM_BANKS = (120, 126, 127)
"""Those that are drums by any standard."""
_IS_DRUM_BANK = np.zeros(128, dtype=np.bool_)
_IS_DRUM_BANK[[*DRUM_BANKS]] = True
_XG, _GS, _GM, _GM2 = "XG", "GS", "GM", "GM2"
_BANKS = {"": DRUM_BANKS, _GM: DRUM_BANKS, _XG: (126, 127), _GM2: (120,), _GS: ()}
"""The banks of drums by standard."""
_NOTE_BANKS = {_XG: frozenset(range(126)), _GM2: frozenset((121,))}
"""The banks that end a channel's drums, be it the tenth."""
_ON = {
    re.compile(rb"\x43[\x10-\x1f]\x4c\0\0\x7e\0", re.DOTALL): _XG,
    re.compile(rb"\x41.\x42\x12\x40\0\x7f\0", re.DOTALL): _GS,
    re.compile(rb"\x7e.\x09\x01", re.DOTALL): _GM,
    re.compile(rb"\x7e.\x09\x03", re.DOTALL): _GM2,
}
"""Messages that put everything as a standard has it."""
_GS_PART = re.compile(rb"\x41.\x42\x12\x40([\x10-\x1f])\x15([\0-\x02])", re.DOTALL)
_XG_PART = re.compile(rb"\x43[\x10-\x1f]\x4c\x08([\0-\x0f])([\x01\x07])([\0-\x7f])", re.DOTALL)
_MEANT = re.compile(b"|".join(form.pattern for form in (*_ON, _GS_PART, _XG_PART)), re.DOTALL)
"""Any of these messages; there may be hundreds of others."""
_Ordered = tuple[int, int, bool]
"""The tick and place of a change, and whether it makes drums."""
_SPEAKS_OF_PARTS = re.compile(
    rb"\xf0.{1,2}(?:\x41.\x42\x12\x40[\x10-\x1f]\x15|\x43[\x10-\x1f]\x4c\x08.[\x01\x07])",
    re.DOTALL,
)
_TAKES_FROM_TENTH = re.compile(
    rb"\xf0.{1,2}(?:\x43[\x10-\x1f]\x4c\0\0\x7e|\x7e.\x09\x03)", re.DOTALL
)
DrumChange = tuple[int, int, int, bool]
"""A tick, a track or -1 for all, a channel, and whether it holds drums from then on."""
_ALL = -1


def may_move(data: bytes, channel_B: IntArray | None, bank_B: IntArray | None) -> bool:
    """Return whether the drums of a file may lie elsewhere than on its tenth channel alone.

    Args:
        data: the file.
        channel_B: on which channel each bank is chosen, any multiple of 16 added; None for none.
        bank_B: their numbers.
    """
    if channel_B is None or bank_B is None:
        return messages_may_move(data, tenth=False)
    if np.count_nonzero(_IS_DRUM_BANK.take(bank_B)):  # `isin` takes as long as a small file
        return True
    return messages_may_move(data, tenth=bool((channel_B & 15 == DRUM_CHANNEL).any()))


def messages_may_move(data: bytes, tenth: bool) -> bool:
    """Return whether exclusive messages may move the drums of a file without banks of drums.

    Args:
        data: the file.
        tenth: whether a bank is chosen on the tenth channel.
    """
    # Most files have no exclusive message, and a byte is found sooner than a pattern.
    if b"\xf0" not in data:
        return False
    # A bank on the tenth channel takes its drums away only under some standards, which messages
    # set.
    if tenth and _TAKES_FROM_TENTH.search(data):
        return True
    return _SPEAKS_OF_PARTS.search(data) is not None


class DrumChanges:
    """Which channels of which tracks become drums and notes, and when.

    Attributes:
        rows: each change, in the order of the file.
    """

    def __init__(self) -> None:
        self.rows: list[DrumChange] = []
        self._standard = ""
        self._last: dict[tuple[int, int], bool] = {}

    def bank(self, tick: int, track: int, channel: int, number: int) -> None:
        """Take the choice of a bank."""
        if number in _BANKS[self._standard]:
            drums = True
        elif number in _NOTE_BANKS.get(self._standard, ()):
            drums = False
        elif self._standard == _GS or channel == DRUM_CHANNEL:
            return
        else:
            drums = False
        # Only changes are kept: files choose the same bank before every program.
        before = self._last.get((_ALL, channel), channel == DRUM_CHANNEL)
        if self._last.get((track, channel), before) != drums:
            self._add(tick, track, channel, drums)

    def message(self, tick: int, content: bytes) -> None:
        """Take an exclusive message, without its first byte."""
        if not _MEANT.match(content):
            return
        for form, standard in _ON.items():
            if form.match(content):
                self._standard = standard
                # Putting everything back changes nothing where nothing was changed.
                if self.rows:
                    for channel in range(16):
                        self._add(tick, _ALL, channel, channel == DRUM_CHANNEL)
                return
        if match := _GS_PART.match(content):
            # Block 0 is the tenth part, and those before it are counted from 1.
            block = match[1][0] & 15
            channel = block if block > DRUM_CHANNEL else (block - 1 if block else DRUM_CHANNEL)
            self._add(tick, _ALL, channel, match[2] != b"\0")
        elif match := _XG_PART.match(content):
            value, is_bank = match[3][0], match[2] == b"\x01"
            drums = value in _BANKS[_XG] if is_bank else value > 0
            self._add(tick, _ALL, match[1][0], drums)

    def _add(self, tick: int, track: int, channel: int, drums: bool) -> None:
        if track == _ALL:
            # What holds for all tracks replaces what was said of single ones.
            self._last = {place: so for place, so in self._last.items() if place[1] != channel}
        self._last[track, channel] = drums
        self.rows.append((tick, track, channel, drums))


def drums_of(rows: Sequence[DrumChange], channel_N: IntArray, onset_N: IntArray) -> BoolArray:
    """Return (N,) whether each note is one of drums.

    What a bank says holds for its track; where its track has no notes on the channel, and for a
    message, in all tracks.

    Args:
        rows: as `DrumChanges` has them.
        channel_N: of each note its track, the first being 0, × 16 + its channel.
        onset_N: ticks.
    """
    if not len(channel_N):
        return np.zeros(0, dtype=np.bool_)
    # Notes grouped by channel: the indices of each are one slice of the order.
    order = channel_N.argsort(kind="stable")
    channels, begins = np.unique(channel_N[order], return_index=True)
    notes_of = dict(zip(channels.tolist(), np.split(order, begins[1:]), strict=True))
    own: dict[int, list[_Ordered]] = {}
    common: dict[int, list[_Ordered]] = {}
    for place, (tick, track, channel, drums) in enumerate(rows):
        key = track * 16 + channel
        changes = own.setdefault(key, []) if key in notes_of else common.setdefault(channel, [])
        changes.append((tick, place, drums))
    drums_N: BoolArray = channel_N & 15 == DRUM_CHANNEL
    for channel, changes in common.items():
        (notes,) = ((channel_N & 15) == channel).nonzero()
        drums_N[notes] = _states(changes, channel, onset_N[notes])
    for key, changes in own.items():
        notes = notes_of[key]
        # `_states` sorts by tick and place, which merges the two in the order of the file.
        every = changes + common.get(key % 16, [])
        drums_N[notes] = _states(every, key % 16, onset_N[notes])
    return drums_N


def _states(changes: list[_Ordered], channel: int, onset_N: IntArray) -> BoolArray:
    """Return (N,) whether a channel holds drums at some ticks."""
    changes = sorted(changes)
    ticks = np.array([tick for tick, _, _ in changes])
    state = np.array([channel == DRUM_CHANNEL, *(drums for _, _, drums in changes)])
    # `state` has one entry more than changes: index 0 is before the first.
    found: BoolArray = state[ticks.searchsorted(onset_N, side="right")]
    return found
