"""Any score as one piano track at one tempo that sounds the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from musengine.api import (
    DEFAULT_BPM,
    LAST_TICK,
    FloatArray,
    IntArray,
    Length,
    Score,
    Track,
    key_map,
    meter_map,
    mute_tracks,
    one_note_per_key,
    tempo_map,
)
from musengine.errors import UnreadableError

WHOLE_NOTE = Length(4.0, "beats")
_MULTIPLE = 16
_FINEST = 2**15 - _MULTIPLE
"""The highest multiple of 16 that a MIDI file can have as its resolution."""


def flatten(
    score: Score, *, longest: Length | None = WHOLE_NOTE, keep_drums: bool = False
) -> Score:
    """Return all tracks as one piano track at a constant 120 quarter notes per minute.

    The tempo map is resolved: every onset sounds at the same second as before, within half a tick
    of the result. The resolution is the score's own, raised to a multiple of 16. A pitch struck by
    several tracks at once is one note, as long as the longest and as loud as the loudest; one
    struck while it sounds ends the earlier note. Keys and controllers are dropped. Time signatures
    stand at the moments they stood at, but where the tempo was not 120 their bars are no longer
    those of the music.

    Args:
        score: what is flattened.
        longest: notes held longer are ended; in the beats of the result. None for no limit.
        keep_drums: keep drums, as one drum track beside the piano; else they are dropped.

    Raises:
        UnreadableError: it lasts so long that ticks cannot count it.
    """
    if not keep_drums:
        drums = [index for index, track in enumerate(score.tracks) if track.is_drum]
        score = mute_tracks(score, drums)
    # 0 for the piano, 1 for the drums.
    place = np.array([track.is_drum for track in score.tracks], dtype=np.int64)
    tracks = (Track("piano"), Track("drums", is_drum=True))[: 1 + int(place.any())]
    even = at_constant_tempo(score)
    together = replace(even, track=place[even.track], tracks=tracks)
    one = one_note_per_key(together.in_order())
    return one if longest is None else shorten(one, longest)


def at_constant_tempo(score: Score) -> Score:
    """Return the score at 120 quarter notes per minute, everything at the second it was at.

    The resolution is raised to a multiple of 16; keys and controllers are dropped.

    Raises:
        UnreadableError: it lasts so long that ticks cannot count it.
    """
    # Rounded up to a multiple of 16, so that 64ths fall on whole ticks.
    resolution = min(-(-score.ticks_per_beat // _MULTIPLE) * _MULTIPLE, _FINEST)
    per_second = resolution * DEFAULT_BPM / 60.0
    if float(score.seconds(score.length)) * per_second > LAST_TICK:
        raise UnreadableError("it lasts too long to be written at one tempo", code="piece-too-long")

    def moved(ticks: npt.ArrayLike) -> IntArray:
        return np.floor(score.seconds(ticks) * per_second + 0.5).astype(np.int64)

    onset = moved(score.onset)
    duration = np.maximum(moved(score.end) - onset, 1)
    tempo_tick, tempo_bpm = tempo_map([(0, DEFAULT_BPM)])
    meters = zip(moved(score.meter_tick).tolist(), score.meter.tolist(), strict=True)
    meter_tick, meter = meter_map([(tick, *numbers) for tick, numbers in meters])
    key_tick, key = key_map([])
    changed = replace(
        score,
        onset=onset,
        duration=duration,
        ticks_per_beat=resolution,
        tempo_tick=tempo_tick,
        tempo_bpm=tempo_bpm,
        meter_tick=meter_tick,
        meter=meter,
        key_tick=key_tick,
        key=key,
        length=max(int(moved(score.length)), int((onset + duration).max(initial=0))),
        control_tick=score.control_tick[:0],
        control=score.control[:0],
    )
    return changed.in_order()


def shorten(score: Score, longest: Length) -> Score:
    """Return the score with every note that is held longer ended, none shorter than a tick.

    Args:
        score: what is shortened.
        longest: beats; bars, each as long as the one the note begins in; or seconds.

    Raises:
        ValueError: another unit.
    """
    # No note is longer than the last tick, and more would overflow.
    ticks = np.minimum(_ticks_of(score, longest), LAST_TICK)
    limit = np.maximum(np.floor(ticks + 0.5).astype(np.int64), 1)
    return replace(score, duration=np.minimum(score.duration, limit)).in_order()


def _ticks_of(score: Score, length: Length) -> FloatArray:
    """Return (N,) how many ticks a length is at each note."""
    if length.unit == "seconds":
        return score.ticks(score.seconds(score.onset) + length.number) - score.onset
    beats = np.ones(len(score))
    if length.unit == "bars":
        place = np.searchsorted(score.meter_tick, score.onset, side="right") - 1
        beats = score.meter[place, 0] * 4.0 / score.meter[place, 1]
    elif length.unit != "beats":
        raise ValueError(f"expected beats, bars or seconds, got {length.unit}")
    ticks: FloatArray = beats * length.number * score.ticks_per_beat
    return ticks
