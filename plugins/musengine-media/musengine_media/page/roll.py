"""A score as the page has it: numbers for the script, and a picture for where none runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from musengine.api import GENERAL_MIDI, FloatArray, IntArray, Score, shown_pitches
from musengine_media.page.markup import Markup, element
from musengine_media.synthesis.controls import Controls

COLOURS = 8
"""How many colours the style has for parts; further parts begin again with the first."""
WIDTH, ROW, DRUM_ROW, GAP = 1000, 5, 5, 6
"""Of the picture: its width, the heights of a pitch and of a drum, and the room between both."""
_BLACK_KEYS = (1, 3, 6, 8, 10)
LONGEST_RING = 10_000
"""Milliseconds for which a pedal holds a note at most."""
_MOST_BARS = 2000


def part_name(score: Score, track: int) -> str:
    """Return what a part is called: by its name, else its instrument."""
    told = score.tracks[track].name.strip()
    if score.tracks[track].is_drum:
        return told or "Drums"
    return told or GENERAL_MIDI[score.tracks[track].program]


def parts_of(score: Score) -> list[int]:
    """Return the tracks that have notes, the pitched ones before the drums."""
    used = np.unique(score.track).tolist()
    return sorted(used, key=lambda track: score.tracks[track].is_drum)


def score_data(score: Score) -> dict[str, Any]:
    """Return what the script plays and draws, times in milliseconds.

    Of each part `on` holds the time from each onset to the next, `len` how long each note is, and
    `ring` how long it is heard where a pedal holds notes.
    """
    on, end = _milliseconds(score, score.onset), _milliseconds(score, score.end)
    bars = score.ticks_of_bars(np.arange(min(score.n_bars, _MOST_BARS)))
    return {
        "length": int(_milliseconds(score, np.array([score.length]))[0]),
        "bars": _milliseconds(score, bars).tolist(),
        "parts": [_part_data(score, track, on, end) for track in parts_of(score)],
    }


def _part_data(score: Score, track: int, on: IntArray, end: IntArray) -> dict[str, Any]:
    own = score.track == track
    data = {
        "name": part_name(score, track),
        "program": score.tracks[track].program,
        "drum": score.tracks[track].is_drum,
        "on": np.diff(on[own], prepend=0).tolist(),
        "len": np.maximum(end[own] - on[own], 1).tolist(),
        "pitch": score.pitch[own].tolist(),
        "vel": score.velocity[own].tolist(),
    }
    let_go = np.minimum(Controls(score, track, 1000).released(end[own]), end[own] + LONGEST_RING)
    if (let_go > end[own]).any():
        data["ring"] = (let_go - on[own]).tolist()
    return data


def _milliseconds(score: Score, ticks: IntArray | FloatArray) -> IntArray:
    return np.rint(score.seconds(ticks) * 1000).astype(np.int64)


def roll_svg(score: Score, title: str, prompt_seconds: float = 0.0) -> Markup:
    """Return a piano-roll as small as can be: a path for each part, drums in rows of their own."""
    low, high = shown_pitches(score.take(~score.is_drum))
    drums = np.unique(score.pitch[score.is_drum])
    top = (high - low + 1) * ROW
    height = top + (GAP + len(drums) * DRUM_ROW if len(drums) else 0)
    end = max(float(score.seconds(score.length)), 0.001)
    scale = WIDTH / end
    start = score.seconds(score.onset) * scale
    width = np.maximum(score.seconds(score.end) * scale - start - 0.4, 0.6)
    # (N,) the middle of each note's row; drums have rows of their own below.
    y = np.where(
        score.is_drum,
        top + GAP + (np.searchsorted(drums, score.pitch) + 0.5) * DRUM_ROW,
        (high - score.pitch + 0.5) * ROW,
    )
    return element(
        "svg",
        element("title", title),
        element("path", class_="black", d=_black_keys(low, high), stroke_width=ROW),
        _prompt(prompt_seconds * scale, height),
        element("path", class_="bars", d=_bars(score, scale, height)),
        _notes(score, start, width, y),
        viewBox=f"0 0 {WIDTH} {height}",
        preserveAspectRatio="none",
        role="img",
    )


def _black_keys(low: int, high: int) -> str:
    rows = (pitch for pitch in range(low, high + 1) if pitch % 12 in _BLACK_KEYS)
    return "".join(f"M0 {(high - pitch + 0.5) * ROW:g}h{WIDTH}" for pitch in rows)


def _prompt(width: float, height: int) -> Markup | None:
    if not width:
        return None
    return element("rect", class_="prompt", width=f"{width:.1f}", height=height)


def _bars(score: Score, scale: float, height: int) -> str:
    every = max(1, score.n_bars // 100)
    ticks = score.ticks_of_bars(np.arange(0, score.n_bars, every))
    return "".join(f"M{x:g} 0v{height}" for x in (score.seconds(ticks) * scale).round(1).tolist())


def _notes(score: Score, start: FloatArray, width: FloatArray, y: FloatArray) -> Iterator[Markup]:
    for index, track in enumerate(parts_of(score)):
        own = score.track == track
        columns = (start[own].round(1), y[own], width[own].round(1))
        lines = zip(*(column.tolist() for column in columns), strict=True)
        path = "".join(f"M{x:g} {row:g}h{wide:g}" for x, row, wide in lines)
        yield element("path", class_=f"part-{index % COLOURS}", d=path, stroke_width=ROW - 1)
