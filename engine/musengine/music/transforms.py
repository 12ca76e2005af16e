"""Transforms of a Score: excerpts, selected tracks, quantisation, another resolution."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np

from musengine.config.quantities import GridStep
from musengine.music import timing
from musengine.music.note_tables import BEND
from musengine.music.score import Score
from musengine.music.texts import TextEvent
from musengine.utils.arrays import Array, FloatArray, IntArray

Unit = Literal["ticks", "beats", "bars", "seconds"]


def excerpt(score: Score, start: float, stop: float, unit: Unit = "beats") -> Score:
    """Return what sounds from `start` to before `stop`, beginning at tick 0.

    Notes that sound across a border are cut there. Tempo, meter, key and controllers are those in
    force; where the start lies within a bar, bars are counted from there.

    Args:
        score: what is cut.
        start: at least 0.
        stop: at least `start`; beyond the end means to the end.
        unit: of both; beats are quarter notes, bars go by the meter map.

    Raises:
        ValueError: a start below 0 or after the stop.
    """
    if not 0 <= start <= stop:
        raise ValueError(f"expected 0 <= start <= stop, got {start} and {stop}")
    first, after = _tick(score, start, unit), _tick(score, stop, unit)
    # Notes that sound, not those that begin there.
    within = score.take((score.onset < after) & (score.end > first))
    onset = np.maximum(within.onset, first)
    tempo_tick, tempo_bpm = _in_force(score.tempo_tick, score.tempo_bpm, first, after)
    meter_tick, meter = _in_force(score.meter_tick, score.meter, first, after)
    key_tick, key = _in_force(score.key_tick, score.key, first, after)
    controls = _controls_in_force(score, first, after)
    cut = replace(
        within,
        onset=onset - first,
        duration=np.minimum(within.end, after) - onset,
        tempo_tick=tempo_tick,
        tempo_bpm=tempo_bpm,
        meter_tick=meter_tick,
        meter=meter,
        key_tick=key_tick,
        key=key,
        length=after - first,
        control_tick=np.maximum(score.control_tick[controls] - first, 0),
        control=score.control[controls],
        texts=_texts_in_force(score.texts, first, after),
    )
    return cut.in_order()


def _tick(score: Score, value: float, unit: Unit) -> int:
    """Return the nearest tick, at most the length; half-way goes up."""
    if unit == "bars":
        ticks = float(score.ticks_of_bars(min(value, score.n_bars)))
    elif unit == "seconds":
        ticks = float(score.ticks(min(value, float(score.seconds(score.length)))))
    else:
        ticks = min(value * (score.ticks_per_beat if unit == "beats" else 1), score.length)
    return min(int(np.floor(ticks + 0.5)), score.length)


def _in_force(ticks: IntArray, values: Array, first: int, after: int) -> tuple[IntArray, Array]:
    """Return a map's part from `first` to before `after`, with what was in force at its start."""
    before = int(np.searchsorted(ticks, first, side="right"))
    begin, stop = max(before - 1, 0), max(int(np.searchsorted(ticks, after)), before)
    return np.maximum(ticks[begin:stop] - first, 0), values[begin:stop]


def _controls_in_force(score: Score, first: int, after: int) -> IntArray:
    """Return the indices of controllers from `first` to before `after`, and of those in force then.

    In force is the last of each track and number.
    """
    # Backwards, since `np.unique` gives the first index of each kind: that is then the last change.
    before = np.flatnonzero(score.control_tick <= first)[::-1]
    # One number for track and controller; BEND is the largest of the latter.
    kinds = score.control[before, 0] * (BEND + 1) + score.control[before, 1]
    last = before[np.unique(kinds, return_index=True)[1]]
    within = (score.control_tick > first) & (score.control_tick < after)
    return np.concatenate([np.sort(last), np.flatnonzero(within)])


def _texts_in_force(texts: tuple[TextEvent, ...], first: int, after: int) -> tuple[TextEvent, ...]:
    """Return the texts from `first` to before `after`, the title, and the chord symbol in force."""
    kept = [each for each in texts if first < each.tick < after]
    before = [each for each in texts if each.tick <= first]
    here = [each for each in before if each.kind == "title" or each.tick == first]
    chords = [each for each in before if each.kind == "chord"]
    if chords and chords[-1] not in here:
        here.append(chords[-1])
    return tuple(each._replace(tick=max(each.tick - first, 0)) for each in [*here, *kept])


def keep_tracks(score: Score, indices: Collection[int]) -> Score:
    """Return the score with only these tracks, by index; the others are gone from the list too."""
    kept = sorted(set(indices) & set(range(len(score.tracks))))
    # Old index to new; -1 for tracks that go.
    new_index = np.full(max(len(score.tracks), 1), -1, dtype=np.int64)
    new_index[kept] = np.arange(len(kept))
    chosen = score.take(new_index[score.track] >= 0)
    control = score.control.copy()
    control[:, 0] = new_index[control[:, 0]]
    kept_C = control[:, 0] >= 0
    return replace(
        chosen,
        track=new_index[chosen.track],
        tracks=tuple(score.tracks[index] for index in kept),
        control_tick=score.control_tick[kept_C],
        control=control[kept_C],
    )


def mute_tracks(score: Score, indices: Collection[int]) -> Score:
    """Return the score without these tracks, by index."""
    return keep_tracks(score, set(range(len(score.tracks))) - set(indices))


def tracks_on(score: Score, channels: Collection[int]) -> list[int]:
    """Return the indices of the tracks on these MIDI channels (0 to 15; drums are on 9)."""
    return [index for index, track in enumerate(score.tracks) if track.channel in set(channels)]


def one_note_per_key(score: Score) -> Score:
    """Return the score with each pitch of a track sounding once at a time.

    Of notes struck together the longest and loudest is kept; a note ends where its pitch is
    struck again.
    """
    if not len(score):
        return score
    order = np.lexsort((score.onset, score.pitch, score.track))
    by_key = score.take(order)
    begins = np.ones(len(by_key), dtype=bool)
    begins[1:] = (
        (np.diff(by_key.onset) != 0) | (np.diff(by_key.pitch) != 0) | (np.diff(by_key.track) != 0)
    )
    first = np.nonzero(begins)[0]
    # `first` are the places where groups begin: one value for each group.
    duration = np.maximum.reduceat(by_key.duration, first)
    velocity = np.maximum.reduceat(by_key.velocity, first)
    struck = replace(by_key.take(first), duration=duration, velocity=velocity)
    return replace(struck, duration=np.minimum(duration, until_next_strike(struck))).in_order()


def until_next_strike(score: Score) -> IntArray:
    """Return (N,) the ticks from each onset to the next later one of its pitch and track.

    Where there is none, more than any note lasts.
    """
    key = score.track * 128 + score.pitch
    order = np.lexsort((score.onset, key))
    key, onset = key[order], score.onset[order]
    # Notes of one key that are struck together have the same next strike.
    strikes = np.append(True, (np.diff(onset) != 0) | (np.diff(key) != 0))[: len(key)]
    first = np.nonzero(strikes)[0]
    wait = np.full(len(first), np.iinfo(np.int64).max)
    again = key[first[1:]] == key[first[:-1]]
    wait[:-1][again] = np.diff(onset[first])[again]
    result = np.empty(len(key), dtype=np.int64)
    # Back into the order in which the notes came.
    result[order] = wait[np.cumsum(strikes) - 1]
    return result


def overlap(score: Score) -> FloatArray:
    """Return (K,) for each track the share of its sounding time in which several notes sound.

    0 for a strictly monophonic track, and for one without notes; 1 where chords are never left.
    """
    shares = np.zeros(len(score.tracks))
    if not len(score):
        return shares
    time = np.concatenate([score.onset, score.end])
    change = np.repeat([1, -1], len(score))
    track = np.concatenate([score.track, score.track])
    # Ends before starts at one tick: the running sum is then never too high.
    order = np.lexsort((change, time, track))
    time, change, track = time[order], change[order], track[order]
    sounding = np.cumsum(change)
    # What lies between the end of one track and the start of the next is silence, and not counted.
    span = np.append(np.diff(time), 0)
    # Each track's changes add up to 0, so that the running sum begins anew with every track.
    one = np.bincount(track, span * (sounding > 0), len(shares))
    several = np.bincount(track, span * (sounding > 1), len(shares))
    np.divide(several, one, out=shares, where=one > 0)
    return shares


def snap(score: Score, step: GridStep) -> Score:
    """Return the score with every note on the grid: nearest step, at least one step long.

    Snapping again changes nothing. Steps that are no whole number of ticks are rounded to the
    nearest tick, each by itself. A pitch then struck twice at once by one track is one note.
    """
    first, after = (score.nearest_steps(ticks, step) for ticks in (score.onset, score.end))
    # `first + 1` would not do: where a tick is longer than a step no tick may belong to that step.
    after = np.where(after > first, after, _following(score, first, step))
    onset, end = _on_ticks(score, first, step), _on_ticks(score, after, step)
    total = score.nearest_steps(np.array([score.length]), step)
    length = max(int(_on_ticks(score, total, step)[0]), int(end.max(initial=0)))
    snapped = replace(score, onset=onset, duration=end - onset, length=length)
    return one_note_per_key(snapped.in_order())


def _on_ticks(score: Score, steps: IntArray, step: GridStep) -> IntArray:
    """Return the tick nearest to each step, one that belongs to it if there is any."""
    if step.unit == "beat":
        ticks = timing.steps_to_ticks(steps, step.size, score.ticks_per_beat)
    else:
        ticks = np.floor(score.ticks(steps * float(step.size)) + 0.5).astype(np.int64)
    # Half-way between two ticks of a step's length the later one is already the next step's.
    result: IntArray = ticks + np.sign(steps - score.nearest_steps(ticks, step))
    return result


def _following(score: Score, steps: IntArray, step: GridStep) -> IntArray:
    """Return for each step the next one to which a tick belongs: where ticks are long, a later."""
    if step.unit == "beat":
        # The border between two steps is (2 * step + 1) * size / 2 beats; ticks are rounded up from
        # there, in whole numbers.
        border = steps * step.size.numerator * 2 + step.size.numerator
        ticks = -(-border * score.ticks_per_beat // (2 * step.size.denominator))
    else:
        ticks = np.ceil(score.ticks((steps + 0.5) * float(step.size))).astype(np.int64)
    found = score.nearest_steps(ticks, step)
    return np.where(found > steps, found, score.nearest_steps(ticks + 1, step))


def at_resolution(score: Score, ticks_per_beat: int) -> Score:
    """Return the score with another number of ticks to a beat, each time to the nearest."""

    def rescaled(ticks: IntArray) -> IntArray:
        return timing.steps_to_ticks(ticks, Fraction(1, score.ticks_per_beat), ticks_per_beat)

    tempo_tick, tempo_bpm = timing.without_idle_changes(rescaled(score.tempo_tick), score.tempo_bpm)
    meter_tick, meter = timing.without_idle_changes(rescaled(score.meter_tick), score.meter)
    key_tick, key = timing.without_idle_changes(rescaled(score.key_tick), score.key)
    onset = rescaled(score.onset)
    duration = np.maximum(rescaled(score.end) - onset, 1)
    changed = replace(
        score,
        onset=onset,
        duration=duration,
        ticks_per_beat=ticks_per_beat,
        tempo_tick=tempo_tick,
        tempo_bpm=tempo_bpm,
        meter_tick=meter_tick,
        meter=meter,
        key_tick=key_tick,
        key=key,
        length=max(
            int(rescaled(np.array([score.length]))[0]), int((onset + duration).max(initial=0))
        ),
        control_tick=rescaled(score.control_tick),
        texts=tuple(
            each._replace(tick=int(rescaled(np.array([each.tick]))[0])) for each in score.texts
        ),
    )
    return changed.in_order()
