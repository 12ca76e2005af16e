"""The parts of a song: which notes are of one program on one channel, and whose controllers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musengine.builtin.midi.drums import DRUM_CHANNEL
from musengine.utils.arrays import IntArray

_FEW = 16
"""Controllers; arrays pay for themselves only where there are more."""


class Part(NamedTuple):
    """The notes of one program on one channel of one of the file's tracks.

    Attributes:
        channel: as in Events.
        program: 0 to 127.
        drums: whether they are drums; None for what its channel holds by default.
    """

    channel: int
    program: int
    drums: bool | None = None

    @property
    def is_drum(self) -> bool:
        """Whether they are drums."""
        return self.channel % 16 == DRUM_CHANNEL if self.drums is None else self.drums


def divide_notes(
    channel_N: IntArray,
    note_on: IntArray,
    changes: Sequence[tuple[int, int, int]],
    part_N: IntArray,
) -> list[Part]:
    """Return the parts by channel, those of one channel by their first notes.

    A note has the program that its channel has when it begins, at the event `note_on`; `changes`
    are as in Events. `part_N` is filled with the index of each note's part.
    """
    counts = np.bincount(channel_N)
    (channels,) = counts.nonzero()
    if len(channels) == 1:  # half of what people have
        part_N.fill(0)
        begins = {int(channels[0]): int(note_on[0])}
    else:
        place_of = np.zeros_like(counts)
        place_of[channels] = np.arange(len(channels))
        place_of.take(channel_N, out=part_N, mode="clip")
        first = np.empty(len(channels), dtype=np.int64)
        first[part_N[::-1]] = note_on[::-1]  # of several values for one place the last one stays
        begins = dict(zip(channels.tolist(), first.tolist(), strict=True))
    programs = dict.fromkeys(begins, 0)
    for position, channel, program in changes:
        if channel in begins:
            # A change after the channel's first note, which is rare, takes the slower way.
            if position > begins[channel]:
                return _divide_again(channel_N, note_on, changes, part_N)
            programs[channel] = program
    return [Part(*each) for each in programs.items()]


def _divide_again(
    channel_N: IntArray,
    note_on: IntArray,
    changes: Sequence[tuple[int, int, int]],
    part_N: IntArray,
) -> list[Part]:
    """Return the parts where a channel changes its program between its notes; as `divide_notes`."""
    position, channel, program = np.array(changes, dtype=np.int64).T
    order = np.lexsort((position, channel))
    channel, program = channel[order], program[order]
    width = max(int(position.max()), int(note_on.max())) + 1
    place = channel * width + position[order]
    # Channel and place in one number, so that one search finds for every note the last change
    # before it; it may be another channel's, which the line below sorts out.
    last = place.searchsorted(channel_N * width + note_on, side="right") - 1
    program_N = np.where((last >= 0) & (channel[last] == channel_N), program[last], 0)
    voices, first, number_N = np.unique(
        channel_N * 128 + program_N, return_index=True, return_inverse=True
    )
    by_first = np.lexsort((first, voices // 128))
    # The argsort of a permutation is its inverse: from the number of a voice to its place.
    np.argsort(by_first).take(number_N, out=part_N)
    return [Part(voice // 128, voice % 128) for voice in voices[by_first].tolist()]


def divide_drums(
    drums_N: npt.NDArray[np.bool_], parts: Sequence[Part], part_N: IntArray
) -> list[Part]:
    """Return the parts, those with drums and other notes divided in two; `part_N` is changed."""
    keys, first, number_N = np.unique(part_N * 2 + drums_N, return_index=True, return_inverse=True)
    order = np.lexsort((first, keys // 2))
    np.argsort(order).take(number_N, out=part_N)
    return [parts[key // 2]._replace(drums=bool(key % 2)) for key in keys[order].tolist()]


def assign_controls(
    controls: IntArray,
    parts: Sequence[Part],
    channel_N: IntArray,
    note_on: IntArray,
    part_N: IntArray,
    n_tracks: int,
) -> IntArray:
    """Return controllers as in Song; they are changed.

    One belongs to the part of its channel in its track; where several programs make several parts,
    to that of the next note, else of the last. The other arguments are as for `divide_notes`.
    """
    channels = [part.channel for part in parts]
    order_C, _, channel_C, _, _ = controls
    if len(order_C) <= _FEW and len(set(channels)) == len(channels):
        place_of = {channel: place for place, channel in enumerate(channels)}
        controls[2] = [place_of.get(each, -1 - each % 16) for each in channel_C.tolist()]
        return controls[1:]
    part_of = np.full(16 * n_tracks, -1)
    part_of[channels] = range(len(channels))
    part_C = part_of.take(channel_C)
    absent = part_C < 0
    if np.count_nonzero(absent):
        # Marked for the Score, which gives them to another track's part of that channel.
        part_C[absent] = -1 - channel_C[absent] % 16
    # Several parts on one channel: the note that follows decides.
    if len(set(channels)) < len(channels):
        width = max(int(note_on.max()), int(order_C.max())) + 1
        by_channel = channel_N.argsort(kind="stable")
        place_N = (channel_N * width + note_on)[by_channel]
        found = np.minimum(place_N.searchsorted(channel_C * width + order_C), len(place_N) - 1)
        # Past the last note of its channel the search ends on the next channel's first: one back.
        found -= (channel_N[by_channel[found]] != channel_C) & (found > 0)
        np.copyto(part_C, part_N[by_channel[found]], where=~absent)
    controls[2] = part_C
    return controls[1:]
