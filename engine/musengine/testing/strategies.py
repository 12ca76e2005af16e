"""Strategies for Hypothesis: small random scores."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from musengine.music.note_tables import BEND
from musengine.music.score import Score, Track
from musengine.testing.scores import score_of


def few(examples: int) -> settings:
    """Return settings for so many examples; a slow machine is no failure.

    Where `MUSENGINE_EXAMPLES` is set, to 0.25 for instance, it is that share of them.
    """
    share = float(os.environ.get("MUSENGINE_EXAMPLES", "1"))
    return settings(
        max_examples=max(1, round(share * examples)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def scores(*, drums: bool = True) -> st.SearchStrategy[Score]:
    """Return a strategy for scores of up to three tracks; notes may overlap and coincide.

    They have up to 12 notes of any pitch, up to 3 tempo changes and up to 4 controllers, 12 ticks
    to a beat, and last up to 10 beats or to the end of the last note.

    Args:
        drums: whether the third track is one of drums.
    """
    note = st.tuples(
        st.integers(0, 60),
        st.integers(1, 30),
        st.integers(0, 127),
        st.integers(1, 127),
        st.integers(0, 2),
    )
    programs = st.tuples(st.integers(0, 127), st.integers(0, 127))
    tracks = programs.map(
        lambda drawn: (Track("lead", drawn[0]), Track("", drawn[1]), Track("drums", 0, drums))
    )
    tempos = st.lists(st.tuples(st.integers(0, 50), st.integers(20, 300)), max_size=3)
    return st.builds(
        lambda notes, tracks, tempos, controls, length: score_of(
            notes,
            ticks_per_beat=12,
            tracks=tracks,
            tempos=tempos,
            controls=controls,
            length=length,
        ),
        st.lists(note, max_size=12),
        tracks,
        tempos,
        st.lists(controls(3), max_size=4),
        st.integers(0, 120),
    )


def controls(tracks: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
    """Return a strategy for controllers and bends: tick up to 100, track, number and value.

    Args:
        tracks: how many tracks there are.
    """
    controller = st.tuples(st.integers(0, 119), st.integers(0, 127))
    bend = st.tuples(st.just(BEND), st.integers(-8192, 8191))
    drawn = st.tuples(st.integers(0, 100), st.integers(0, tracks - 1), controller | bend)
    return drawn.map(lambda row: (row[0], row[1], *row[2]))
