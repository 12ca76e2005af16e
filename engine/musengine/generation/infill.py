"""A passage of a piece that is made anew: which notes give way, and how new ones are put in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from musengine.config.general_midi import GENERAL_MIDI
from musengine.errors import UserError, did_you_mean
from musengine.interfaces.steering import Infill, Steering
from musengine.music.note_tables import COLUMNS
from musengine.music.score import Score, Track
from musengine.music.transforms import one_note_per_key
from musengine.pipeline.sections import GenerateConfig
from musengine.pipeline.values import BarRange
from musengine.utils.arrays import IntArray
from musengine.utils.format import counted


def infill_of(score: Score, config: GenerateConfig, steering: Steering) -> Infill:
    """Return what is made anew of a piece, by the settings, and what is asked of the new notes.

    Raises:
        UserError: the piece has no such bars, or no such part.
    """
    first, after = ticks_between(score, config.bars)
    if config.add_part is not None:
        return Infill(score, first, after, (), config.add_part, steering)
    every = tuple(np.unique(score.track).tolist())
    tracks = every if config.part is None else tracks_called(score, config.part)
    # By onset: a note that was struck before and reaches into the passage stays.
    gives_way = (score.onset >= first) & (score.onset < after) & np.isin(score.track, tracks)
    return Infill(score.take(~gives_way), first, after, tracks, steering=steering)


def ticks_between(score: Score, bars: BarRange | None) -> tuple[int, int]:
    """Return the first tick of some bars, or of all, and the tick after them.

    Raises:
        UserError: the piece has fewer bars.
    """
    count = score.n_bars
    if bars is not None and bars.last > count:
        raise UserError(
            f"generate.bars: {bars.to_toml()} is beyond the end; the piece has "
            f"{counted(count, 'bar')}",
            code="bars-beyond-end",
        )
    first, last = (1, count) if bars is None else (bars.first, bars.last)
    # The slack keeps a bar that begins on a tick there despite rounding.
    start, stop = (math.ceil(float(score.ticks_of_bars(bar)) - 1e-6) for bar in (first - 1, last))
    return start, stop


def tracks_called(score: Score, name: str) -> tuple[int, ...]:
    """Return the indices of the tracks that have a name, else an instrument, else a number.

    Raises:
        UserError: none has.
    """
    wanted = " ".join(name.lower().split())
    # At most three digits, since `int` takes its time with thousands of them.
    number = int(wanted) - 1 if wanted.isdecimal() and len(wanted) < 4 else -1
    by_name = [i for i, each in enumerate(score.tracks) if _plain(each.name) == wanted]
    by_instrument = [i for i, each in enumerate(score.tracks) if _instrument(each) == wanted]
    by_number = [number] if 0 <= number < len(score.tracks) else []
    found = by_name or by_instrument or by_number
    if not found:
        known = list(dict.fromkeys(track.name or _instrument(track) for track in score.tracks))
        raise UserError(
            f"generate.part: no part is called {name!r}; there are: {', '.join(known)}"
            f"{did_you_mean(wanted, map(_plain, known))}",
            code="unknown-part",
        )
    return tuple(found)


def _plain(name: str) -> str:
    return " ".join(name.lower().split())


def _instrument(track: Track) -> str:
    return "drums" if track.is_drum else GENERAL_MIDI[track.program].lower()


def with_passage(infill: Infill, new: Score) -> Score:
    """Return the piece with new notes in it; what was there stays as it is.

    New notes begin within the passage and end with it. Where a part holds a pitch, or strikes it
    at once, there is no new note of that pitch, and a new note ends before its pitch is struck.

    Args:
        infill: what is made anew.
        new: the notes, in the piece's ticks; its tracks are the piece's, and then new ones.
    """
    score = replace(infill.score, tracks=new.tracks)
    within = (new.onset >= infill.first) & (new.onset < infill.after)
    new = one_note_per_key(new.take(within))
    end = np.minimum(new.end, infill.after)
    fits = np.ones(len(new), dtype=bool)
    place_of_old, place_of_new = _places(score, new.tracks), _places(new, new.tracks)
    # A loop, since each new note also ends before those of the piece: a passage has few.
    for k in range(len(new)):
        same = (place_of_old == place_of_new[k]) & (score.pitch == new.pitch[k])
        held = same & (score.onset <= new.onset[k]) & (score.end > new.onset[k])
        fits[k] = not held.any()
        # Notes are sorted by onset, so that the first of them is the next.
        later = score.onset[same & (score.onset > new.onset[k])]
        end[k] = min([int(end[k]), *later[:1].tolist()])
    new = replace(new, duration=np.maximum(end - new.onset, 1)).take(fits)
    onset, duration, pitch, velocity, track = (
        np.concatenate([getattr(score, name), getattr(new, name)]) for name in COLUMNS
    )
    whole = replace(
        score,
        onset=onset,
        duration=duration,
        pitch=pitch,
        velocity=velocity,
        track=track,
        length=max(score.length, int(new.end.max(initial=0))),
    )
    return whole.in_order()


def _places(score: Score, tracks: Sequence[Track]) -> IntArray:
    """Return for each note which of the tracks it is on, those of one MIDI channel being one."""
    channels: dict[int, int] = {}
    place = [
        index if each.channel is None else channels.setdefault(each.channel, index)
        for index, each in enumerate(tracks)
    ]
    return np.array(place, dtype=np.int64)[score.track]
