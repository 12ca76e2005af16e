from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.music import timing
from musengine.music.score import Score
from musengine.testing import score_of
from musengine.testing.strategies import few

# 480 ticks to the beat; 120 quarters a minute to tick 960, 60 to tick 1440, then 240.
#   tick 480   480 ticks of 1/960 s            0.5 s
#   tick 960   960 / 960                       1.0 s
#   tick 1440  1.0 + 480 / 480                 2.0 s
#   tick 2400  2.0 + 960 / 1920                2.5 s
TEMPOS = [(0, 120.0), (960, 60.0), (1440, 240.0)]


def paced() -> Score:
    return score_of([(0, 2400, 60)], ticks_per_beat=480, tempos=TEMPOS)


def test_seconds_lead_back_to_ticks():
    score = paced()
    assert score.ticks([0.0, 0.5, 1.0, 2.0, 2.5]) == pytest.approx([0, 480, 960, 1440, 2400])
    # Half a second after the second tempo begins is half a beat of it: 240 ticks; fractions stay.
    assert float(score.ticks(1.5)) == pytest.approx(1200)
    assert float(score.ticks(0.0001)) == pytest.approx(0.096)


def test_maps_cannot_be_written_into_since_pieces_share_them():
    first, second = (score_of([(0, 24, 60)], meters=[(0, 3, 4)]) for _ in range(2))
    assert first.meter is second.meter
    several = score_of(
        [(0, 24, 60)], meters=[(0, 3, 4), (24, 4, 4)], tempos=TEMPOS, keys=[(0, 2, 1)]
    )
    for score in (first, several):
        for column in (score.tempo_tick, score.tempo_bpm, score.meter, score.key_tick, score.key):
            assert not column.flags.writeable


tempo_maps = st.lists(st.tuples(st.integers(0, 5000), st.floats(4.0, 1000.0)), max_size=5)


@given(tempo_maps, st.integers(1, 1000), st.lists(st.integers(0, 20_000), min_size=1, max_size=9))
@few(100)
def test_ticks_to_seconds_and_back(tempos, resolution, ticks):
    score = score_of([(0, 1, 60)], ticks_per_beat=resolution, tempos=tempos)
    assert score.ticks(score.seconds(ticks)) == pytest.approx(ticks, abs=1e-6)
    # The same in fractions, one stretch of constant tempo after another.
    changes = [*score.tempo_tick.tolist(), math.inf]
    for tick, found in zip(ticks, score.seconds(ticks).tolist(), strict=True):
        exact = Fraction(0)
        for index, bpm in enumerate(score.tempo_bpm.tolist()):
            here = max(min(tick, changes[index + 1]) - changes[index], 0)
            exact += Fraction(here * 60, resolution) / Fraction(bpm)
        assert found == pytest.approx(float(exact), rel=1e-12)


def test_a_tempo_is_kept_in_whole_microseconds_as_a_file_has_it():
    ticks, bpm = timing.tempo_map([(0, 130.0), (10, 130.00001), (20, 1e-320), (30, 1e300)])
    # 60e6 / 130 = 461538.46: 461538 microseconds, and at tick 10 the same, so no change. The
    # slowest has 2**24 - 1 microseconds, the fastest 1.
    assert ticks.tolist() == [0, 20, 30]
    assert bpm.tolist() == [60e6 / 461_538, 60e6 / (2**24 - 1), 60e6]


def test_nonsense_tempi_meters_and_keys_are_left_out():
    ticks, bpm = timing.tempo_map([(0, 0), (1, -3), (2, math.nan), (3, math.inf), (-9, 60)])
    assert (ticks.tolist(), bpm.tolist()) == ([0], [60.0])
    ticks, meter = timing.meter_map([(0, 0, 4), (1, 4, 0), (2, 2**15 + 1, 4), (3, 3, 8)])
    assert (ticks.tolist(), meter.tolist()) == ([0, 3], [[4, 4], [3, 8]])
    ticks, key = timing.key_map([(0, 8, False), (4, -7, True), (8, -7, True), (9, -7, False)])
    assert (ticks.tolist(), key.tolist()) == ([4, 9], [[-7, 1], [-7, 0]])
    ticks, key = timing.key_map([])
    assert (ticks.shape, key.shape) == ((0,), (0, 2))


# 4 ticks to the beat. 3/4 has 12 ticks a bar, 6/8 also 12, 2/4 has 8.
#   tick 0    3/4   bars 0, 1 at 0, 12
#   tick 30   2/4   the third bar of three is cut short after 6 of 12 ticks: bar 3 begins at 30
#   tick 46   6/8   two bars of 8 later: bar 5
METERS = [(0, 3, 4), (30, 2, 4), (46, 6, 8)]


def metered(length: int = 58) -> Score:
    return score_of([(0, 1, 60)], meters=METERS, length=length)


def test_a_new_meter_begins_a_bar():
    score = metered()
    ticks = [0, 6, 12, 24, 29, 30, 34, 38, 46, 52]
    assert score.bars(ticks) == pytest.approx([0, 0.5, 1, 2, 2 + 5 / 12, 3, 3.5, 4, 5, 5.5])
    # Bar 5 from 46 to 58 is full, a tick more is part of a seventh bar.
    assert [metered(length).n_bars for length in (1, 12, 13, 30, 31, 58, 59)] == [
        *(1, 1, 2, 3, 4, 6, 7)
    ]


def test_bars_lead_back_to_ticks():
    score = metered()
    assert score.ticks_of_bars([0, 0.5, 2, 3, 3.5, 5, 6]) == pytest.approx(
        [0, 6, 24, 30, 34, 46, 58]
    )
    # Three quarters of the bar that is cut after a half: where it is cut.
    assert float(score.ticks_of_bars(2.75)) == 30


@pytest.mark.parametrize(
    ("meters", "upbeat"),
    [
        ([(0, 3, 4)], 0),
        ([(0, 1, 4), (4, 3, 4)], 4),
        ([(0, 1, 8), (2, 3, 4), (14, 4, 4)], 2),
        # Two bars of it, a longer one, one cut short: meters like any other.
        ([(0, 1, 4), (8, 3, 4)], 0),
        ([(0, 4, 4), (16, 3, 4)], 0),
        ([(0, 2, 4), (4, 3, 4)], 0),
    ],
)
def test_a_first_bar_alone_and_shorter_is_an_upbeat(meters, upbeat):
    assert score_of([(0, 40, 60)], meters=meters).upbeat == upbeat


def test_an_empty_piece_has_no_bars():
    assert score_of([]).n_bars == 0


meter_maps = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(1, 17), st.sampled_from([1, 2, 3, 4, 8, 16, 32])),
    max_size=5,
)


@given(meter_maps, st.integers(1, 480), st.lists(st.integers(0, 9000), min_size=1, max_size=9))
@few(100)
def test_ticks_to_bars_and_back(meters, resolution, ticks):
    score = score_of([(0, 1, 60)], ticks_per_beat=resolution, meters=meters)
    assert score.ticks_of_bars(score.bars(ticks)) == pytest.approx(ticks, abs=1e-6)
    # Bars counted one after another, in fractions.
    for tick, found in zip(ticks, score.bars(ticks).tolist(), strict=True):
        number, begin = 0, Fraction(0)
        changes = list(zip(score.meter_tick.tolist(), score.meter.tolist(), strict=True))
        while True:
            upper, lower = next(m for t, m in reversed(changes) if t <= begin)
            after = begin + Fraction(4 * upper * resolution, lower)
            after = min([after, *(Fraction(t) for t, _ in changes if t > begin)])
            if after > tick:
                share = (tick - begin) / Fraction(4 * upper * resolution, lower)
                break
            number, begin = number + 1, after
        assert found == pytest.approx(float(number + share), abs=1e-9)


@given(st.fractions(Fraction(1, 1000), 1000, max_denominator=1000), st.integers(1, 32_767))
@few(100)
def test_steps_and_ticks_are_rounded_exactly(size, resolution):
    steps = np.arange(0, 500, 7)
    ticks = timing.steps_to_ticks(steps, size, resolution)
    half = Fraction(1, 2)
    assert ticks.tolist() == [math.floor(int(n) * size * resolution + half) for n in steps]
    assert timing.round_ticks(ticks, size, resolution).tolist() == [
        math.floor(Fraction(int(t), resolution) / size + half) for t in ticks
    ]


def test_a_map_without_idle_changes_says_the_same():
    ticks, values = timing.without_idle_changes(
        np.array([0, 0, 5, 5, 9]), np.array([1.0, 2.0, 3.0, 2.0, 4.0])
    )
    # At 0 the 2 counts; at 5 the later 2 changes nothing.
    assert (ticks.tolist(), values.tolist()) == ([0, 9], [2.0, 4.0])
    nothing = timing.without_idle_changes(np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
    assert [array.shape for array in nothing] == [(0,), (0, 2)]


any_tempos = st.lists(
    st.tuples(
        st.integers(-3, 30), st.sampled_from([0, -3, 60, 119.99999, 120, 1e-320, 1e9, math.inf])
    )
)


@given(any_tempos)
def test_many_tempos_are_mapped_as_few_are(tempos):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "_FEW", len(tempos))
        few = timing.tempo_map(tempos)
        patch.setattr(timing, "_FEW", -1)
        many = timing.tempo_map(tempos)
    np.testing.assert_array_equal(many[0], few[0])
    assert many[1].tobytes() == few[1].tobytes()
