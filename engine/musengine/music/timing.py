"""The maps that give ticks their meaning: tempo to seconds, meter to bars and beats, and keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from musengine.music import compiled
from musengine.utils.arrays import Array, FloatArray, IntArray

_Change = TypeVar("_Change", tuple[int, float], tuple[int, int, int], tuple[int, int, bool])
_Values = TypeVar("_Values", bound=Array)
Tempos = Sequence[tuple[int, float]] | FloatArray
"""Tick and quarter notes per minute of some tempos; pairs, or an array (K, 2)."""
DEFAULT_BPM = 120.0
"""Quarter notes to a minute where a piece has no tempo."""
LONGEST_BEAT_US = 2**24 - 1
"""The slowest tempo that MIDI can write, in microseconds per quarter note; the fastest is 1."""
_SAID_AGAIN = 5
"""Changes, of which so many are hardly the same one in several tracks."""
_FEW = 20
"""Changes of tempo, of which more take less time as arrays; played music has a thousand."""
LARGEST_METER = 2**15
"""Larger numerators and denominators mean nothing and would overflow."""


def _read_only(ticks: IntArray, values: _Values) -> tuple[IntArray, _Values]:
    ticks.flags.writeable = values.flags.writeable = False
    return ticks, values


def _shared(
    make: Callable[[Sequence[_Change]], tuple[IntArray, _Values]],
) -> Callable[[Sequence[_Change]], tuple[IntArray, _Values]]:
    """Let maps be read-only, and those of few changes at the beginning alone be made once.

    Most pieces have one tempo, one meter and one key, perhaps said once in each track, and those of
    a collection the same ones: one array then serves them all.
    """

    def made(changes: Sequence[_Change]) -> tuple[IntArray, _Values]:
        return _read_only(*make(changes))

    usual = functools.lru_cache(maxsize=1024)(made)

    @functools.wraps(make)
    def shared(changes: Sequence[_Change]) -> tuple[IntArray, _Values]:
        few = len(changes) < 2 or (len(changes) < _SAID_AGAIN and not changes[-1][0])
        return usual(tuple(changes)) if few else made(changes)

    return shared


def tempo_map(tempos: Tempos) -> tuple[IntArray, FloatArray]:
    """Return (K,) ticks and (K,) quarter notes per minute, the first at tick 0, both read-only.

    A tempo is kept as MIDI keeps it, in whole microseconds per quarter note, so that a written
    file reads back as the same; 120 where none is given at tick 0, nonsense is left out.
    """
    if not isinstance(tempos, np.ndarray):
        return _tempos(tempos)
    if len(tempos) < 2:
        return _tempos([(int(tick), bpm) for tick, bpm in tempos.tolist()])
    return _tempos_of_array(tempos)


def _tempos_of_array(tempos_K2: FloatArray) -> tuple[IntArray, FloatArray]:
    if compiled.order is not None:
        tick_K = np.empty(len(tempos_K2) + 1, dtype=np.int64)
        bpm_K = np.empty(len(tick_K))
        count = compiled.order.tempo_changes(tempos_K2, DEFAULT_BPM, LONGEST_BEAT_US, tick_K, bpm_K)
        if count >= 0:
            if count < len(tick_K):
                # Not views, which would hold what is left out.
                tick_K, bpm_K = tick_K[:count].copy(), bpm_K[:count].copy()
            return _read_only(tick_K, bpm_K)
    return _without_nonsense(tempos_K2[:, 0].astype(np.int64), tempos_K2[:, 1])


@_shared
def _tempos(tempos: Sequence[tuple[int, float]]) -> tuple[IntArray, FloatArray]:
    entries: list[tuple[int, Any]] = [(0, DEFAULT_BPM)]
    if len(tempos) <= _FEW:
        entries += [(tick, _whole_beat(bpm)) for tick, bpm in tempos if 0 < bpm < np.inf]
        kept = _changes(entries)
        ticks = np.array([tick for tick, _ in kept], dtype=np.int64)
        return ticks, np.array([bpm for _, bpm in kept], dtype=np.float64)
    tick_K = np.array([tick for tick, _ in tempos], dtype=np.int64)
    return _without_nonsense(tick_K, np.array([bpm for _, bpm in tempos], dtype=np.float64))


def _without_nonsense(tick_K: IntArray, bpm_K: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the tempo map of many tempos."""
    tick_K = np.maximum(np.append(0, tick_K), 0)
    bpm_K = np.append(DEFAULT_BPM, bpm_K)
    sound_K = (bpm_K > 0) & (bpm_K < np.inf)
    tick_K, bpm_K = tick_K[sound_K], bpm_K[sound_K]
    with np.errstate(over="ignore"):  # the slowest of tempos has an endless beat
        beat_us_K = np.rint(np.clip(60e6 / bpm_K, 1, LONGEST_BEAT_US))
    order = tick_K.argsort(kind="stable")  # what stands at one tick keeps its order
    return _read_only(*without_idle_changes(tick_K[order], (60e6 / beat_us_K)[order]))


def _whole_beat(bpm: float) -> float:
    """Return the nearest tempo whose beat is a whole number of microseconds that MIDI can write."""
    # Bounded before it is rounded: the slowest of tempos has an endless beat.
    return 60e6 / round(min(max(60e6 / float(bpm), 1), LONGEST_BEAT_US))


@_shared
def meter_map(meters: Sequence[tuple[int, int, int]]) -> tuple[IntArray, IntArray]:
    """Return (M,) ticks and (M, 2) numerators and denominators, the first at tick 0, read-only.

    4/4 where none is given at tick 0; nonsense (0/4) is left out.
    """
    entries: list[tuple[int, Any]] = [
        (tick, (num, den))
        for tick, num, den in meters
        if 1 <= num <= LARGEST_METER and 1 <= den <= LARGEST_METER
    ]
    kept = _changes([(0, (4, 4)), *entries])
    ticks = np.array([tick for tick, _ in kept], dtype=np.int64)
    return ticks, np.array([meter for _, meter in kept], dtype=np.int64)


@_shared
def key_map(keys: Sequence[tuple[int, int, bool]]) -> tuple[IntArray, IntArray]:
    """Return (J,) ticks and (J, 2) sharps (flats negative) and 0 major or 1 minor, read-only.

    Empty where no key is given; more than 7 sharps or flats are left out.
    """
    entries: list[tuple[int, Any]] = [
        (tick, (sharps, int(minor))) for tick, sharps, minor in keys if -7 <= sharps <= 7
    ]
    if not entries:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
    kept = _changes(entries)
    ticks = np.array([tick for tick, _ in kept], dtype=np.int64)
    return ticks, np.array([key for _, key in kept], dtype=np.int64)


def _changes(entries: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Sort, keep the last entry at each tick, and drop those that change nothing."""
    if len(entries) == 1:
        ((tick, value),) = entries
        return [(max(int(tick), 0), value)]
    # Sorting keeps the order of what stands at one tick, the default first.
    last_at = dict(sorted([(max(int(t), 0), v) for t, v in entries], key=itemgetter(0)))
    kept: list[tuple[int, Any]] = []
    for tick, value in last_at.items():
        if not kept or kept[-1][1] != value:
            kept.append((tick, value))
    return kept


def without_idle_changes(ticks: IntArray, values: Array) -> tuple[IntArray, Array]:
    """Return a map with the last entry at each tick, and of those only the ones that change it."""
    # Cut to the length, since an empty map would else get an entry.
    last = np.append(np.diff(ticks) > 0, True)[: len(ticks)]
    ticks, values = ticks[last], values[last]
    changed = np.ones(len(ticks), dtype=bool)
    differs = values[1:] != values[:-1]
    changed[1:] = differs if values.ndim == 1 else differs.any(axis=1)
    return ticks[changed], values[changed]


def _tempo_starts(tempo_tick: IntArray, seconds_per_tick: FloatArray) -> FloatArray:
    """Return (K,) the seconds at which the tempos begin."""
    return np.concatenate([[0.0], np.cumsum(np.diff(tempo_tick) * seconds_per_tick[:-1])])


def ticks_to_seconds(
    ticks: npt.ArrayLike, tempo_tick: IntArray, tempo_bpm: FloatArray, ticks_per_beat: int
) -> FloatArray:
    """Return the times (N,) in seconds from the start of the music at which ticks lie."""
    tick = np.asarray(ticks, dtype=np.float64)
    seconds_per_tick = 60.0 / (tempo_bpm * ticks_per_beat)
    # (N,) which tempo each tick lies under: the last that begins at or before it.
    segment = np.maximum(np.searchsorted(tempo_tick, tick, side="right") - 1, 0)
    starts = _tempo_starts(tempo_tick, seconds_per_tick)
    result: FloatArray = starts[segment] + (tick - tempo_tick[segment]) * seconds_per_tick[segment]
    return result


def seconds_to_ticks(
    seconds: npt.ArrayLike, tempo_tick: IntArray, tempo_bpm: FloatArray, ticks_per_beat: int
) -> FloatArray:
    """Return the times in ticks, fractions kept, of seconds."""
    time = np.asarray(seconds, dtype=np.float64)
    seconds_per_tick = 60.0 / (tempo_bpm * ticks_per_beat)
    starts = _tempo_starts(tempo_tick, seconds_per_tick)
    segment = np.maximum(np.searchsorted(starts, time, side="right") - 1, 0)
    result: FloatArray = tempo_tick[segment] + (time - starts[segment]) / seconds_per_tick[segment]
    return result


def _bar_starts(meter_tick: IntArray, bar_ticks: FloatArray) -> FloatArray:
    """Return (M,) the number of the bar that each meter begins; a change begins a new bar."""
    # The slack keeps a bar that is full but for a rounding error from counting as a new one.
    # Rounded up: a change amid a bar cuts that bar short.
    bars = np.ceil(np.diff(meter_tick) / bar_ticks[:-1] - 1e-9)
    return np.concatenate([[0.0], np.cumsum(bars)])


def _bar_ticks(meter: IntArray, ticks_per_beat: int) -> FloatArray:
    result: FloatArray = meter[:, 0] * 4.0 * ticks_per_beat / meter[:, 1]
    return result


def ticks_to_bars(
    ticks: npt.ArrayLike, meter_tick: IntArray, meter: IntArray, ticks_per_beat: int
) -> FloatArray:
    """Return the times in bars: 2.5 is the middle of the third bar. A new meter begins a bar."""
    tick = np.asarray(ticks, dtype=np.float64)
    bar_ticks = _bar_ticks(meter, ticks_per_beat)
    segment = np.maximum(np.searchsorted(meter_tick, tick, side="right") - 1, 0)
    starts = _bar_starts(meter_tick, bar_ticks)
    result: FloatArray = starts[segment] + (tick - meter_tick[segment]) / bar_ticks[segment]
    return result


def bars_to_ticks(
    bars: npt.ArrayLike, meter_tick: IntArray, meter: IntArray, ticks_per_beat: int
) -> FloatArray:
    """Return the times in ticks, fractions kept, of bars; within a bar cut short, its end."""
    bar = np.asarray(bars, dtype=np.float64)
    bar_ticks = _bar_ticks(meter, ticks_per_beat)
    starts = _bar_starts(meter_tick, bar_ticks)
    segment = np.maximum(np.searchsorted(starts, bar, side="right") - 1, 0)
    tick = meter_tick[segment] + (bar - starts[segment]) * bar_ticks[segment]
    # (M,) where each meter ends.
    after = np.append(meter_tick[1:].astype(np.float64), np.inf)
    result: FloatArray = np.minimum(tick, after[segment])
    return result


def round_ticks(ticks: IntArray, size: Fraction, ticks_per_beat: int) -> IntArray:
    """Return the nearest step, of `size` beats each, to each tick; half-way goes up; exact."""
    # nearest(ticks / (size * tpb)) = floor((2 * ticks * den + tpb * num) / (2 * tpb * num))
    per_step = ticks_per_beat * size.numerator
    result: IntArray = (2 * ticks * size.denominator + per_step) // (2 * per_step)
    return result


def steps_to_ticks(steps: IntArray, size: Fraction, ticks_per_beat: int) -> IntArray:
    """Return the nearest tick to each step, of `size` beats each; half-way goes up; exact."""
    result: IntArray = (2 * steps * ticks_per_beat * size.numerator + size.denominator) // (
        2 * size.denominator
    )
    return result
