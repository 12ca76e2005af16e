"""A passage made anew: which notes give way, by the piece's own bars, and all else unchanged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.errors import UserError
from musengine.generation.infill import infill_of, ticks_between, tracks_called, with_passage
from musengine.interfaces.steering import Infill, Steering
from musengine.music.score import Score, Track
from musengine.music.timing import meter_map
from musengine.pipeline.sections import GenerateConfig
from musengine.pipeline.values import BarRange
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import few, scores

# 4 ticks to the beat: two bars of 3/4 (12 ticks), one of 2/4 cut short after 6 ticks, then 4/4.
METERS = [(0, 3, 4), (24, 2, 4), (30, 4, 4)]
BAND = (Track("Lead", 0), Track("bass", 33), Track("", 24), Track("Kit", 0, is_drum=True))
LEAD = [(0, 4, 60), (10, 8, 62), (12, 2, 64), (23, 3, 65), (24, 6, 67), (30, 4, 69), (46, 4, 71)]
OTHERS = [(12, 12, 40, 80, 1), (24, 2, 41, 80, 1), (28, 2, 36, 80, 3), (26, 2, 50, 80, 2)]
SONG = score_of(
    [*LEAD, *OTHERS],
    tracks=BAND,
    meters=METERS,
    length=62,
)


def asked(**keys: object) -> GenerateConfig:
    return GenerateConfig(infill=Path("song.mid"), **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bars", "ticks"),
    [((1, 1), (0, 12)), ((2, 3), (12, 30)), ((3, 3), (24, 30)), ((4, 5), (30, 62))],
)
def test_bars_count_by_the_meter_map_from_one(bars: tuple[int, int], ticks: tuple[int, int]):
    assert ticks_between(SONG, BarRange(*bars)) == ticks


def test_all_bars_go_to_the_end_of_the_last():
    assert ticks_between(replace(SONG, length=50), None) == (0, 62)


def test_bars_beyond_the_end_are_refused():
    with pytest.raises(UserError, match="the piece has 5 bars") as caught:
        ticks_between(SONG, BarRange(5, 6))
    assert caught.value.code == "bars-beyond-end"


def test_notes_that_begin_in_the_bars_give_way_and_those_that_sound_into_them_stay():
    infill = infill_of(SONG, asked(bars=BarRange(2, 3)), Steering())
    # The note at 10 sounds into bar 2; that at 23 begins in it and sounds into bar 3.
    assert sorted(rows_of(infill.score)) == [
        (0, 4, 60, 80, 0),
        (10, 8, 62, 80, 0),
        (30, 4, 69, 80, 0),
        (46, 4, 71, 80, 0),
    ]
    assert (infill.first, infill.after, infill.tracks) == (12, 30, (0, 1, 2, 3))


def test_of_a_part_its_notes_alone_give_way():
    infill = infill_of(SONG, asked(bars=BarRange(2, 2), part="Bass"), Steering())
    gone = Counter(rows_of(SONG)) - Counter(rows_of(infill.score))
    assert list(gone) == [(12, 12, 40, 80, 1)]
    assert infill.tracks == (1,)


def test_for_a_part_that_is_added_nothing_gives_way():
    infill = infill_of(SONG, asked(add_part="flute"), Steering())
    assert rows_of(infill.score) == rows_of(SONG)
    assert (infill.first, infill.after, infill.tracks, infill.added) == (0, 62, (), "flute")


@pytest.mark.parametrize(
    ("name", "track"),
    [("lead", 0), ("BASS", 1), ("acoustic guitar (nylon)", 2), ("drums", 3), ("3", 2), ("kit", 3)],
)
def test_a_part_is_called_by_its_name_its_instrument_or_its_number(name: str, track: int):
    assert tracks_called(SONG, name) == (track,)


def test_a_part_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UserError, match=r"there are: Lead, bass, .*did you mean 'bass'") as caught:
        tracks_called(SONG, "bas")
    assert caught.value.code == "unknown-part"


def test_new_notes_end_with_the_passage_and_where_their_pitch_is_struck():
    infill = Infill(score_of([(8, 8, 60), (20, 2, 62)], length=40), 10, 24, (0,))
    new = score_of([(12, 4, 60), (12, 20, 62), (16, 50, 60), (9, 1, 50), (24, 1, 51)])
    # 60 is held until 16; 62 is struck at 20; what begins outside is left out.
    assert rows_of(with_passage(infill, new)) == [
        (8, 8, 60, 80, 0),
        (12, 8, 62, 80, 0),
        (16, 8, 60, 80, 0),
        (20, 2, 62, 80, 0),
    ]


def test_parts_on_one_channel_do_not_strike_each_others_pitches():
    both = (Track("a", 0, channel=2), Track("b", 0, channel=2))
    infill = Infill(score_of([(0, 8, 60)], tracks=both, length=8), 0, 8, (1,))
    new = score_of([(4, 2, 60, 80, 1), (4, 2, 61, 80, 1)], tracks=both)
    assert rows_of(with_passage(infill, new)) == [(0, 8, 60, 80, 0), (4, 2, 61, 80, 1)]


METER_CHANGES = st.lists(
    st.tuples(st.integers(0, 90), st.integers(1, 7), st.sampled_from([2, 4, 8])), max_size=3
)


@few(200)
@given(data=st.data(), score=scores(), new=scores(), meters=METER_CHANGES)
def test_every_other_note_and_all_maps_stay(
    data: st.DataObject, score: Score, new: Score, meters: list[tuple[int, int, int]]
):
    ticks, values = meter_map(meters)
    score = replace(score, meter_tick=ticks, meter=values)
    bars = score.n_bars
    if not bars:
        return
    last = data.draw(st.integers(1, bars))
    chosen = BarRange(data.draw(st.integers(1, last)), last)
    infill = infill_of(score, asked(bars=chosen), Steering())
    made = with_passage(infill, replace(new, tracks=score.tracks, track=new.track * 0))
    first, after = ticks_between(score, chosen)
    outside = (score.onset < first) | (score.onset >= after)
    kept = Counter(rows_of(score.take(outside)))
    added = Counter(rows_of(made)) - kept
    assert kept <= Counter(rows_of(made))
    assert all(first <= onset < onset + length <= after for onset, length, *_ in added)
    for name in ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key", "control", "tracks"):
        assert np.array_equal(getattr(made, name), getattr(score, name))


class TestBarRange:
    @pytest.mark.parametrize(
        ("written", "bars"), [("5-8", (5, 8)), (" 5 - 8 ", (5, 8)), ("7", (7, 7)), (7, (7, 7))]
    )
    def test_read(self, written: object, bars: tuple[int, int]) -> None:
        assert BarRange.from_toml(written, Path()) == BarRange(*bars)
        assert BarRange.from_toml(BarRange(*bars).to_toml(), Path()) == BarRange(*bars)

    @pytest.mark.parametrize("written", ["8-5", "0-4", 0, "5-", "a", True, 2.5, "1-2-3", None])
    def test_refused(self, written: object) -> None:
        with pytest.raises(ValueError, match="expected bars"):
            BarRange.from_toml(written, Path())


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"bars": BarRange(1, 2)}, "bars"),
        ({"part": "bass"}, "part"),
        ({"add_part": "bass"}, "add_part"),
        ({"infill": Path("a.mid")}, "infill"),
        ({"infill": Path("a.mid"), "part": "a", "add_part": "b"}, "add_part"),
        ({"infill": Path("a.mid"), "add_part": "b", "instruments": ("c",)}, "instruments"),
    ],
)
def test_what_does_not_go_together_is_named(keys: dict[str, object], key: str):
    config = GenerateConfig(**keys)  # type: ignore[arg-type]
    assert [each[0] for each in config.problems()] == [key]
