from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import beats, seconds
from musengine.music.note_tables import BEND
from musengine.music.score import Score, Track
from musengine.music.transforms import (
    at_resolution,
    excerpt,
    keep_tracks,
    mute_tracks,
    one_note_per_key,
    overlap,
    snap,
    tracks_on,
    until_next_strike,
)
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import few, scores

# 4 ticks to the beat: two bars of 3/4 (12 ticks each), then 2/4 (8 ticks a bar); 120 quarters a
# minute (1/8 s a tick), from tick 16 on 60 (1/4 s a tick).
MADE = score_of(
    [(0, 4, 60), (10, 10, 62, 70), (24, 4, 64), (30, 2, 65)],
    tempos=[(0, 120), (16, 60)],
    meters=[(0, 3, 4), (24, 2, 4)],
    keys=[(0, 2, False), (24, -3, True)],
    length=40,
)


def maps_of(score: Score) -> tuple[list[object], ...]:
    """The tempo, meter and key map of a score as plain lists."""
    maps = [(score.tempo_tick, score.tempo_bpm), (score.meter_tick, score.meter)]
    maps.append((score.key_tick, score.key))
    return tuple(list(zip(t.tolist(), v.tolist(), strict=True)) for t, v in maps)


def test_an_excerpt_by_bars_has_the_maps_that_were_in_force():
    cut = excerpt(MADE, 1, 3, "bars")
    # From tick 12 to the end of the first bar of 2/4, tick 32. The note at 10 is cut at 12.
    assert rows_of(cut) == [(0, 8, 62, 70, 0), (12, 4, 64, 80, 0), (18, 2, 65, 80, 0)]
    assert cut.length == 20
    assert maps_of(cut) == (
        [(0, 120.0), (4, 60.0)],
        [(0, [3, 4]), (12, [2, 4])],
        [(0, [2, 0]), (12, [-3, 1])],
    )


def test_an_excerpt_by_beats_cuts_the_notes_at_both_borders():
    cut = excerpt(MADE, 3, 4.5)
    # Ticks 12 to 18: of the note from 10 to 20 the middle is left.
    assert rows_of(cut) == [(0, 6, 62, 70, 0)]
    assert (cut.length, maps_of(cut)[0]) == (6, [(0, 120.0), (4, 60.0)])


def test_an_excerpt_by_seconds_goes_through_the_tempo_map():
    # Tick 16 is at 2 s; 3 s are 4 ticks of a quarter second later: tick 20. 4.5 s is tick 26.
    cut = excerpt(MADE, 3, 4.5, "seconds")
    assert rows_of(cut) == [(4, 2, 64, 80, 0)]
    assert (cut.length, maps_of(cut)[0]) == (6, [(0, 60.0)])


def test_an_excerpt_ends_with_the_piece_and_may_be_empty():
    whole = excerpt(MADE, 0, math.inf, "bars")
    assert (rows_of(whole), whole.length, maps_of(whole)) == (rows_of(MADE), 40, maps_of(MADE))
    for unit in ("ticks", "beats", "bars", "seconds"):
        assert excerpt(MADE, 0, 1e9, unit).fingerprint() == MADE.fingerprint()
        nothing = excerpt(MADE, 1e9, 1e9, unit)
        assert (len(nothing), nothing.length) == (0, 0)
        assert [len(kept) for kept in maps_of(nothing)] == [1, 1, 1]


def test_a_key_after_the_excerpt_is_not_in_it():
    later = score_of([(0, 40, 60)], keys=[(20, 1, False)])
    assert maps_of(excerpt(later, 0, 20, "ticks"))[2] == []
    assert maps_of(excerpt(later, 0, 21, "ticks"))[2] == [(20, [1, 0])]
    assert maps_of(excerpt(later, 30, 40, "ticks"))[2] == [(0, [1, 0])]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (math.nan, 2), (0, math.nan)])
def test_an_upside_down_excerpt_is_refused(start, stop):
    with pytest.raises(ValueError, match="expected 0 <= start <= stop"):
        excerpt(MADE, start, stop)


@given(scores(), st.integers(0, 150), st.integers(0, 150))
@few(80)
def test_an_excerpt_sounds_at_every_tick_as_the_piece_did(score, one, other):
    start, stop = sorted((one, other))
    cut = excerpt(score, start, stop, "ticks")
    assert cut.length == max(min(stop, score.length) - min(start, score.length), 0)
    for tick in range(cut.length):
        assert sounding(cut, tick) == sounding(score, tick + start)
    passed = score.seconds(start + np.arange(cut.length + 1)) - score.seconds(start)
    assert cut.seconds(np.arange(cut.length + 1)) == pytest.approx(passed, abs=1e-9)


def sounding(score: Score, tick: int) -> Counter[tuple[int, ...]]:
    """What sounds at a tick: pitch, velocity and track of each note."""
    return Counter(
        (pitch, velocity, track)
        for onset, duration, pitch, velocity, track in rows_of(score)
        if onset <= tick < onset + duration
    )


BAND = score_of(
    [(0, 4, 60, 80, 0), (0, 4, 36, 81, 1), (4, 4, 62, 82, 2), (8, 4, 64, 83, 3)],
    tracks=[
        Track("flute", 73, channel=4),
        Track("kit", 0, True, channel=9),
        Track("bass", 32, channel=4),
        Track("choir", 52),
    ],
)


PEDALLED = score_of(
    [(0, 40, 60, 80, 0), (0, 40, 62, 80, 1)],
    tracks=[Track("a"), Track("b")],
    controls=[
        (0, 0, 7, 90),
        (0, 1, 7, 50),
        (4, 0, 64, 127),
        (6, 0, 7, 100),
        (12, 0, 64, 0),
        (20, 1, BEND, 5),
    ],
)


def controls_of(score: Score) -> list[tuple[int, ...]]:
    ticks, changes = score.control_tick.tolist(), score.control.tolist()
    return [(tick, *change) for tick, change in zip(ticks, changes, strict=True)]


def test_an_excerpt_has_the_controllers_that_were_in_force():
    # From tick 8 to before tick 20.
    assert controls_of(excerpt(PEDALLED, 2, 5)) == [
        (0, 1, 7, 50),
        (0, 0, 64, 127),
        (0, 0, 7, 100),
        (4, 0, 64, 0),
    ]
    assert controls_of(excerpt(PEDALLED, 0, 99)) == controls_of(PEDALLED)


def test_controllers_go_with_their_tracks():
    assert controls_of(keep_tracks(PEDALLED, [1])) == [(0, 0, 7, 50), (20, 0, BEND, 5)]
    assert controls_of(mute_tracks(PEDALLED, [0, 1])) == []


def test_controllers_at_another_resolution():
    ticks = at_resolution(PEDALLED, 2).control_tick.tolist()
    assert ticks == [0, 0, 2, 3, 6, 10]


def test_tracks_are_kept_and_muted_by_index():
    kept = keep_tracks(BAND, [3, 1, 7, -1])
    assert [track.name for track in kept.tracks] == ["kit", "choir"]
    assert rows_of(kept) == [(0, 4, 36, 81, 0), (8, 4, 64, 83, 1)]
    assert kept.length == BAND.length
    muted = mute_tracks(BAND, {0, 2})
    assert (rows_of(muted), muted.tracks) == (rows_of(kept), kept.tracks)
    silent = keep_tracks(BAND, [])
    assert (len(silent), silent.tracks, silent.length) == (0, (), BAND.length)


def test_tracks_are_found_by_their_channel():
    assert tracks_on(BAND, [4]) == [0, 2]
    assert tracks_on(BAND, [9, 4]) == [0, 1, 2]
    assert tracks_on(BAND, [0]) == []


@given(scores())
@few(100)
def test_one_note_per_key_is_what_a_keyboard_would_play(score):
    expected = []
    struck: dict[tuple[int, int], dict[int, list[tuple[int, int]]]] = defaultdict(dict)
    for onset, duration, pitch, velocity, track in rows_of(score):
        struck[track, pitch].setdefault(onset, []).append((duration, velocity))
    for (track, pitch), times in struck.items():
        onsets = sorted(times)
        for onset, following in zip(onsets, [*onsets[1:], math.inf], strict=True):
            duration = min(max(held for held, _ in times[onset]), following - onset)
            expected.append((onset, duration, pitch, max(v for _, v in times[onset]), track))
    played = one_note_per_key(score)
    assert Counter(rows_of(played)) == Counter(expected)
    assert rows_of(played) == rows_of(played.in_order())
    assert rows_of(one_note_per_key(played)) == rows_of(played)


def test_the_next_strike_of_a_key_is_found_in_its_own_track():
    score = score_of(
        [(0, 1, 60), (0, 9, 60), (3, 1, 60), (5, 1, 60, 80, 1), (4, 1, 61)],
        tracks=[Track(), Track()],
    )
    never = np.iinfo(np.int64).max
    # In order: the two at 0, then 3, 4, 5.
    assert until_next_strike(score).tolist() == [3, 3, never, never, never]
    assert until_next_strike(score_of([])).tolist() == []


def test_very_late_notes_on_every_key_are_told_apart():
    pitches = np.tile(np.arange(128), 3)
    onsets = np.repeat([0, 2**39, 2**40], 128)
    score = Score.from_notes(onsets, 2**40, pitches, ticks_per_beat=4)
    found = one_note_per_key(score)
    assert found.duration.tolist() == [2**39] * 256 + [2**40] * 128


def test_overlap_is_the_share_of_sounding_time_with_several_notes():
    # Track 0: one note 0 to 8, another 6 to 12: 12 ticks sound, 2 of them twice: 1/6.
    # Track 1: two notes that only touch. Track 2: a chord of three. Track 3: nothing.
    score = score_of(
        [
            *((0, 8, 60), (6, 6, 62)),
            *((2, 4, 60, 80, 1), (6, 4, 60, 80, 1)),
            *((0, 4, 60, 80, 2), (0, 4, 64, 80, 2), (0, 4, 67, 80, 2)),
        ],
        tracks=[Track(str(index)) for index in range(4)],
    )
    assert overlap(score).tolist() == pytest.approx([1 / 6, 0, 1, 0])
    assert overlap(score_of([], tracks=[Track(), Track()])).tolist() == [0, 0]
    assert overlap(score_of([], tracks=[])).tolist() == []


@given(scores())
@few(80)
def test_overlap_counted_tick_by_tick(score):
    for track, share in enumerate(overlap(score).tolist()):
        held = Counter(
            tick
            for onset, duration, _, _, where in rows_of(score)
            if where == track
            for tick in range(onset, onset + duration)
        )
        several = sum(count > 1 for count in held.values())
        assert share == pytest.approx(several / len(held) if held else 0)


def test_snapping_moves_to_the_nearest_step_and_keeps_a_step_at_least():
    # 12 ticks to the beat, steps of a quarter beat: 3 ticks. 1 goes to 0, 2 to 3; 8 (2.67 steps)
    # to 9, and its end at 9 is the same step, so it lasts to 12. The length 13 goes to 12.
    score = score_of([(1, 4, 60), (2, 9, 62), (8, 1, 64)], ticks_per_beat=12, length=13)
    snapped = snap(score, beats("1/4"))
    assert [row[:3] for row in rows_of(snapped)] == [(0, 6, 60), (3, 9, 62), (9, 3, 64)]
    assert snapped.length == 12


def test_snapped_triplets_keep_no_remainder():
    # 100 ticks to the beat: a third is 33 1/3 ticks. The thousandth is at 33333, not 33000.
    onsets = np.arange(1000) * 33 + 5
    snapped = snap(Score.from_notes(onsets, 20, 60, ticks_per_beat=100), beats("1/3"))
    steps = Fraction(100, 3)
    nearest = {math.floor(round(onset / steps) * steps + Fraction(1, 2)) for onset in onsets}
    assert snapped.onset.tolist() == sorted(nearest)


def test_snapping_to_seconds_goes_through_the_tempo_map():
    # 4 ticks to the beat at 60 a minute: a quarter second a tick; from tick 8 at 120, an eighth.
    # Steps of 0.5 s: 2 ticks, then 4. Tick 3 is at 0.75 s, half-way: to 1 s, tick 4. Tick 9 is at
    # 2.125 s: to 2 s, tick 8. Tick 15, at 2.875 s: to 3 s, tick 16.
    score = score_of([(3, 1, 60), (9, 6, 62)], tempos=[(0, 60), (8, 120)], length=15)
    snapped = snap(score, seconds("0.5"))
    assert [row[:3] for row in rows_of(snapped)] == [(4, 2, 60), (8, 8, 62)]
    assert snapped.length == 16


def test_steps_that_fall_between_two_long_ticks_do_not_drift():
    # Ticks of 0.3 s, three of them, then ticks as long as a step, 0.5 s: the step at 1.0 s falls
    # at 0.9 + 0.1, a fifth of a tick. With two ticks of 0.25 s and one more, 0.75 s, it falls in
    # the middle of the next. Snapping must not move a note on by a tick each time.
    for bpm in (200, 240):
        score = score_of(
            [(t, 1, 60) for t in range(12)], ticks_per_beat=1, tempos=[(0, bpm), (3, 120)]
        )
        once = snap(score, seconds("0.5"))
        assert rows_of(snap(once, seconds("0.5"))) == rows_of(once)


def test_a_note_lasts_a_step_even_where_the_next_step_has_no_tick():
    # Ticks at 0 and 0.2 s, then, after a long one, at 1.55, 1.67, 1.79, 1.91 and 2.03 s. In steps
    # of a second a note from 0 to 0.2 s must last to the next; no tick is nearest to 1 s, so it
    # lasts to 2 s, which the sixth tick is nearest to.
    score = score_of([(0, 1, 60)], ticks_per_beat=1, tempos=[(0, 300), (1, 60 / 1.35), (2, 500)])
    once = snap(score, seconds("1"))
    assert rows_of(once) == [(0, 6, 60, 80, 0)]
    assert rows_of(snap(once, seconds("1"))) == rows_of(once)


steps = st.one_of(
    st.fractions(Fraction(1, 50), 5, max_denominator=1000).map(lambda size: beats(str(size))),
    st.fractions(Fraction(1, 1000), 5, max_denominator=1000).map(lambda size: seconds(str(size))),
    st.sampled_from([beats("1/4"), beats("1/3"), seconds("0.5"), seconds("0.25")]),
)
round_tempos = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from([4, 30, 60, 120, 240, 1000, 77.7])), max_size=4
)


@given(scores(), round_tempos, st.integers(1, 24), steps)
@few(300)
def test_snapping_again_changes_nothing(score, tempos, resolution, step):
    score = score_of(
        rows_of(score),
        ticks_per_beat=resolution,
        tracks=score.tracks,
        tempos=tempos,
        length=score.length,
    )
    once = snap(score, step)
    twice = snap(once, step)
    assert rows_of(twice) == rows_of(once)
    assert twice.length == once.length
    assert once.duration.min(initial=1) >= 1
    assert once.length >= once.end.max(initial=0)


@given(scores(), st.fractions(Fraction(1, 12), 3, max_denominator=100))
@few(100)
def test_snapped_notes_are_within_half_a_step_and_half_a_tick(score, size):
    # Every note of a pitch and track of its own, so that none is joined with another.
    apart = replace(score, pitch=np.arange(len(score)) + 40)
    snapped = snap(apart, beats(str(size)))
    by_pitch = {pitch: (on, on + dur) for on, dur, pitch, _, _ in rows_of(snapped)}
    for onset, duration, pitch, _, _ in rows_of(apart):
        first, after = by_pitch[pitch]
        bound = size * 12 / 2 + Fraction(1, 2)
        assert abs(first - onset) <= bound
        assert abs(after - onset - duration) <= bound or after - first <= size * 12 + 1


def test_another_resolution_keeps_times_to_the_nearest_tick():
    # From 480 to 100: 480 ticks become 100; 7 become 1.458: 1; 12 are 2.5: 3. One tick stays one.
    score = score_of(
        [(7, 1, 60), (480, 480, 62)],
        ticks_per_beat=480,
        tempos=[(0, 60), (12, 90)],
        meters=[(960, 3, 4)],
        keys=[(480, 1, False)],
        length=1920,
    )
    coarse = at_resolution(score, 100)
    assert coarse.ticks_per_beat == 100
    assert [row[:3] for row in rows_of(coarse)] == [(1, 1, 60), (100, 100, 62)]
    tempos, meters, keys = maps_of(coarse)
    assert [tick for tick, _ in tempos] == [0, 3]
    assert (meters, keys) == ([(0, [4, 4]), (200, [3, 4])], [(100, [1, 0])])
    assert coarse.length == 400


def test_changes_that_fall_on_one_tick_leave_the_last():
    score = score_of([(0, 480, 60)], ticks_per_beat=480, tempos=[(0, 60), (1, 90), (2, 120)])
    assert maps_of(at_resolution(score, 4))[0] == [(0, 120.0)]


@given(scores(), st.integers(1, 9))
@few(60)
def test_a_multiple_of_the_resolution_and_back_is_the_same(score, factor):
    finer = at_resolution(score, score.ticks_per_beat * factor)
    assert finer.seconds(finer.onset) == pytest.approx(score.seconds(score.onset), abs=1e-9)
    assert at_resolution(finer, score.ticks_per_beat).fingerprint() == score.fingerprint()
