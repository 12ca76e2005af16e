from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import beats, seconds
from musengine.config.quantities import GridStep
from musengine.music.note_tables import BEND
from musengine.music.piece import Piece, Text
from musengine.music.score import Score, Track
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import few, scores


def test_notes_are_sorted_by_onset_then_pitch_then_track():
    score = score_of(
        [(8, 1, 60), (0, 4, 64), (0, 4, 60, 70, 1), (0, 4, 60, 90, 0)],
        tracks=[Track("a"), Track("b")],
    )
    assert rows_of(score) == [
        (0, 4, 60, 90, 0),
        (0, 4, 60, 70, 1),
        (0, 4, 64, 80, 0),
        (8, 1, 60, 80, 0),
    ]


columns = st.tuples(*[st.integers(0, 2)] * 5)


@given(rows=st.lists(columns, max_size=30), wide=st.booleans(), shape=st.sampled_from([1, 7]))
@few(200)
def test_notes_are_sorted_by_all_their_columns(rows, wide, shape):
    # Few values, so that many notes are alike but for the last columns; wide ones fit into no
    # number of 63 bits together.
    far = 2**38 if wide else shape
    notes = [(o * far, 1 + d * far, 60 + p, 80 + v, t) for o, d, p, v, t in rows]
    table = np.array(notes, dtype=np.int64).reshape(-1, 5).T
    before = table.copy()
    tracks = [Track(name) for name in "abc"]
    by_hand = sorted(notes, key=lambda row: (row[0], row[2], row[4], row[1], row[3]))
    score = Score.from_table(table, ticks_per_beat=4, tracks=tracks)
    assert rows_of(score) == by_hand
    assert score.length == max((onset + duration for onset, duration, *_ in notes), default=0)
    assert np.array_equal(table, before)
    again = Score.from_notes(*table, ticks_per_beat=4, tracks=tracks)
    assert again.fingerprint() == score.fingerprint()


def test_a_table_of_notes_without_length_is_refused():
    table = np.array([[0], [0], [60], [80], [0]])
    with pytest.raises(ValueError, match="duration must lie between 1 and"):
        Score.from_table(table, ticks_per_beat=4, tracks=[Track()])


def test_scalars_stand_for_every_note_and_no_note_is_shorter_than_a_tick():
    score = Score.from_notes([0, 4], 0, [60, 62], ticks_per_beat=4)
    assert rows_of(score) == [(0, 1, 60, 80, 0), (4, 1, 62, 80, 0)]
    assert score.length == 5


def test_length_reaches_at_least_to_the_end_of_the_last_note():
    notes = [(0, 10, 60), (4, 1, 62)]
    assert score_of(notes).length == 10
    assert score_of(notes, length=7).length == 10
    assert score_of(notes, length=16).length == 16


@pytest.mark.parametrize(
    ("notes", "wrong"),
    [
        ([(-1, 4, 60)], "onset must lie between 0 and"),
        ([(2**40 + 1, 4, 60)], "onset must lie between 0 and"),
        ([(0, 2**40 + 1, 60)], "duration must lie between"),
        ([(0, 4, 128)], "pitch must lie between 0 and 127"),
        ([(0, 4, -1)], "pitch must lie between 0 and 127"),
        ([(0, 4, 60, 0)], "velocity must lie between 1 and 127"),
        ([(0, 4, 60, 128)], "velocity must lie between 1 and 127"),
        ([(0, 4, 60, 80, 1)], "track must lie between 0 and 0"),
        ([(0, 4, 60, 80, -1)], "track must lie between 0 and 0"),
    ],
)
def test_values_outside_their_range_are_refused(notes, wrong):
    with pytest.raises(ValueError, match=wrong):
        score_of(notes)


def test_controllers_are_kept_in_order_of_time():
    score = score_of(
        [(0, 4, 60)],
        tracks=[Track("a"), Track("b")],
        controls=[(9, 1, 64, 0), (2, 0, BEND, -8192), (2, 1, 64, 127), (0, 0, 7, 100)],
    )
    assert score.control_tick.tolist() == [0, 2, 2, 9]
    assert score.control.tolist() == [[0, 7, 100], [0, BEND, -8192], [1, 64, 127], [1, 64, 0]]
    assert score.length == 4
    # What is heard of the notes alone is the same.
    assert score.fingerprint() == score_of([(0, 4, 60)], tracks=score.tracks).fingerprint()


def test_most_scores_have_no_controllers():
    score = score_of([(0, 4, 60)])
    assert (score.control_tick.shape, score.control.shape) == ((0,), (0, 3))
    assert score.control.dtype == score.control_tick.dtype == np.int64


@pytest.mark.parametrize(
    "control",
    [
        (-1, 0, 7, 0),
        (2**40 + 1, 0, 7, 0),
        (0, -1, 7, 0),
        (0, 1, 7, 0),
        (0, 0, -1, 0),
        (0, 0, 129, 0),
        (0, 0, 7, -1),
        (0, 0, 7, 128),
        (0, 0, BEND, -8193),
        (0, 0, BEND, 8192),
    ],
)
def test_impossible_controllers_are_refused(control):
    with pytest.raises(ValueError, match="controller"):
        score_of([(0, 4, 60)], controls=[control])


def test_a_resolution_of_nothing_is_refused():
    with pytest.raises(ValueError, match="ticks_per_beat must be at least 1, got 0"):
        score_of([(0, 4, 60)], ticks_per_beat=0)


def test_a_score_may_hold_no_notes_and_no_tracks():
    score = score_of([], tracks=[])
    assert (len(score), score.length) == (0, 0)
    assert score.is_drum.shape == (0,)
    assert score.transpose(3).fingerprint() == score.fingerprint()


def test_tempo_and_meter_begin_at_once_even_where_none_is_given():
    plain = score_of([(0, 4, 60)])
    assert (plain.tempo_tick.tolist(), plain.tempo_bpm.tolist()) == ([0], [120.0])
    assert (plain.meter_tick.tolist(), plain.meter.tolist()) == ([0], [[4, 4]])
    later = score_of([(0, 4, 60)], tempos=[(8, 60)], meters=[(8, 3, 4)])
    assert (later.tempo_tick.tolist(), later.tempo_bpm.tolist()) == ([0, 8], [120.0, 60.0])
    assert (later.meter_tick.tolist(), later.meter.tolist()) == ([0, 8], [[4, 4], [3, 4]])


def test_maps_are_sorted_the_last_entry_of_a_tick_counts_and_no_tempo_stands_still():
    score = score_of(
        [(0, 4, 60)],
        tempos=[(8, 90), (0, 50), (0, 60), (4, 0), (12, -5)],
        meters=[(8, 6, 8), (0, 2, 4), (0, 3, 4)],
    )
    assert (score.tempo_tick.tolist(), score.tempo_bpm.tolist()) == ([0, 8], [60.0, 60e6 / 666_667])
    assert (score.meter_tick.tolist(), score.meter.tolist()) == ([0, 8], [[3, 4], [6, 8]])


def test_seconds_go_through_both_tempo_changes():
    # 480 ticks to the beat. 120 BPM: 1/960 s per tick; from tick 960, 60 BPM: 1/480 s; from
    # tick 1440, 240 BPM: 1/1920 s.
    #   tick  480  480 / 960                           = 0.5
    #   tick  960  960 / 960                           = 1.0
    #   tick 1200  1.0 + 240 / 480                     = 1.5
    #   tick 1440  1.0 + 480 / 480                     = 2.0
    #   tick 2400  2.0 + 960 / 1920                    = 2.5
    score = score_of([(0, 1, 60)], ticks_per_beat=480, tempos=[(0, 120), (960, 60), (1440, 240)])
    found = score.seconds([0, 480, 960, 1200, 1440, 2400])
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], abs=1e-12)
    assert float(score.seconds(1200)) == pytest.approx(1.5, abs=1e-12)


def test_quantising_in_beats_goes_to_the_nearest_step_and_halves_to_the_later():
    # 12 ticks to the beat, steps of 1/3 beat: 4 ticks. Ticks 1, 2, 3, 5, 6 lie 0.25, 0.5, 0.75,
    # 1.25, 1.5 steps from the start and go to 0, 1, 1, 1, 2.
    score = score_of([(t, 8, 60 + t) for t in (1, 2, 3, 5, 6)], ticks_per_beat=12)
    first, after, total = score.quantise(beats("1/3"))
    assert first.tolist() == [0, 1, 1, 1, 2]
    # Ends at ticks 9, 10, 11, 13, 14: 2.25, 2.5, 2.75, 3.25, 3.5 steps.
    assert after.tolist() == [2, 3, 3, 3, 4]
    assert total == 4


def test_every_note_keeps_at_least_one_step():
    # A tick of a hundredth of a beat, steps of a beat: onset 149 goes to step 1, end 150 to
    # step 2 (the half); onset 10 and end 11 both go to step 0, so the note ends at 1.
    score = score_of([(10, 1, 60), (149, 1, 60), (20, 1, 61)], ticks_per_beat=100)
    first, after, total = score.quantise(beats("1"))
    assert (first.tolist(), after.tolist(), total) == ([0, 0, 1], [1, 1, 2], 2)


def test_a_thousand_triplets_stay_on_their_grid():
    # At 480 ticks to the beat an eighth triplet is 160 ticks, and a third of a beat is exact.
    onsets = np.arange(1000) * 160
    score = Score.from_notes(onsets, 160, 60, ticks_per_beat=480)
    first, after, total = score.quantise(beats("1/3"))
    assert first.tolist() == list(range(1000))
    assert after.tolist() == list(range(1, 1001))
    assert total == 1000


def test_a_thousand_triplets_that_do_not_divide_the_beat_keep_no_remainder():
    # At 100 ticks to the beat a triplet is 33 1/3 ticks, written as the nearest tick; each of
    # them is at most 1/3 tick, a hundredth of a step, from the grid.
    onsets = [round(Fraction(100 * n, 3)) for n in range(1001)]
    score = Score.from_notes(onsets[:-1], np.diff(onsets), 60, ticks_per_beat=100)
    first, after, _ = score.quantise(beats("1/3"))
    assert first.tolist() == list(range(1000))
    assert after.tolist() == list(range(1, 1001))


def test_quantising_in_seconds_goes_through_the_tempo_map():
    # 4 ticks to the beat. Until tick 8, 60 BPM: 0.25 s per tick, so tick 8 is at 2 s; then
    # 120 BPM: 0.125 s per tick. Steps of 0.5 s.
    #   note 1: ticks 0 to 4    0 s to 1 s             steps 0 to 2
    #   note 2: ticks 8 to 10   2 s to 2.25 s          steps 4 to 4.5, the half goes to 5
    #   note 3: ticks 9 to 16   2.125 s to 3 s         steps 4.25 to 6: 4 to 6
    score = score_of([(0, 4, 60), (8, 2, 61), (9, 7, 62)], tempos=[(0, 60), (8, 120)], length=20)
    first, after, total = score.quantise(seconds("0.5"))
    assert first.tolist() == [0, 4, 4]
    assert after.tolist() == [2, 5, 6]
    # The piece ends at tick 20: 2 + 12 / 8 = 3.5 s, step 7.
    assert total == 7


def test_halves_in_seconds_go_to_the_later_step_though_seconds_are_rounded():
    # At 100 BPM and 5 ticks to the beat a tick is 0.12 s. In steps of 0.08 s it is 1.5 steps,
    # so every odd tick t lies half-way between two steps and belongs to (3 t + 1) / 2.
    ticks = np.arange(1, 2001, 2)
    score = Score.from_notes(ticks, 2, 60, ticks_per_beat=5, tempos=[(0, 100)])
    first, after, _ = score.quantise(seconds("0.08"))
    assert first.tolist() == ((3 * ticks + 1) // 2).tolist()
    assert after.tolist() == ((3 * (ticks + 2) + 1) // 2).tolist()


@pytest.mark.parametrize("step", ["1/1000 beat", "1001/999999 beat", "0.999999 beat"])
def test_the_latest_of_notes_is_quantised_without_overflow(step):
    # The finest steps a pipeline may ask for; the same rounding in Python's own numbers.
    step = GridStep.from_toml(step, Path())
    score = score_of([(2**40, 480, 60)], ticks_per_beat=480)
    first, after, _ = score.quantise(step)
    assert first.tolist() == [round(Fraction(2**40, 480) / step.size)]
    assert after.tolist() == [round(Fraction(2**40 + 480, 480) / step.size)]


def test_a_step_finer_than_ticks_can_be_counted_in_is_refused():
    with pytest.raises(ValueError, match="denominator may be a million at most"):
        GridStep.from_toml("1001000/3000001 beat", Path())


@given(scores(), st.fractions(Fraction(1, 24), 3, max_denominator=10**6))
@few(60)
def test_quantised_beats_are_the_nearest_steps(score, size):
    first, after, total = score.quantise(beats(str(size)))
    for onset, end, start, stop in zip(
        score.onset.tolist(), score.end.tolist(), first.tolist(), after.tolist(), strict=True
    ):
        # The same rounding in exact fractions, one time after another.
        exact = Fraction(onset, score.ticks_per_beat) / size + Fraction(1, 2)
        assert start == exact.numerator // exact.denominator
        exact = Fraction(end, score.ticks_per_beat) / size + Fraction(1, 2)
        assert stop == max(exact.numerator // exact.denominator, start + 1)
        assert total >= stop


@given(scores(), st.integers(0, 60), st.integers(0, 60))
@few(60)
def test_seconds_only_ever_go_on(score, one, other):
    early, late = sorted((one, other))
    assert score.seconds(early) <= score.seconds(late)
    assert (score.seconds(early) == score.seconds(late)) == (early == late)


def test_transposing_moves_what_is_pitched_and_drops_what_leaves_the_range():
    score = score_of(
        [(0, 4, 60), (1, 4, 120), (2, 4, 42, 80, 1)],
        tracks=[Track("piano"), Track("kit", 0, True)],
        length=40,
    )
    up = score.transpose(8)
    # 120 + 8 = 128 is no MIDI pitch; the drum stays where it is.
    assert rows_of(up) == [(0, 4, 68, 80, 0), (2, 4, 42, 80, 1)]
    assert up.length == 40
    assert up.tracks == score.tracks
    assert rows_of(score.transpose(7))[1] == (1, 4, 127, 80, 0)
    assert rows_of(score.transpose(-61)) == [(1, 4, 59, 80, 0), (2, 4, 42, 80, 1)]


def test_transposing_keeps_the_order_of_notes():
    # The piano's 40 is struck together with the drum's 42, below it; five semitones up it is
    # above it.
    score = score_of([(0, 4, 40), (0, 4, 42, 80, 1)], tracks=[Track(), Track("kit", 0, True)])
    up = score.transpose(5)
    assert rows_of(up) == [(0, 4, 42, 80, 1), (0, 4, 45, 80, 0)]


@given(scores(), st.integers(-127, 127))
@few(60)
def test_transposing_there_and_back_changes_nothing_that_stays_in_range(score, shift):
    inside = score.is_drum | ((score.pitch + shift >= 0) & (score.pitch + shift <= 127))
    assert rows_of(score.transpose(shift).transpose(-shift)) == rows_of(score.take(inside))
    expected = sorted(
        (on, pitch if track == 2 else pitch + shift, track, dur, vel)
        for on, dur, pitch, vel, track in rows_of(score.take(inside))
    )
    found = [(on, p, t, dur, vel) for on, dur, p, vel, t in rows_of(score.transpose(shift))]
    assert found == expected


def test_select_keeps_chosen_notes_and_everything_else():
    score = score_of([(0, 4, 60), (4, 4, 62), (8, 4, 64)], tempos=[(0, 90)], length=99)
    chosen = score.take(score.pitch != 62)
    assert rows_of(chosen) == [(0, 4, 60, 80, 0), (8, 4, 64, 80, 0)]
    assert (chosen.length, chosen.tempo_bpm.tolist()) == (99, [60e6 / 666_667])


@given(scores(), st.randoms(use_true_random=False))
@few(60)
def test_the_order_in_which_notes_are_given_does_not_matter(score, random):
    rows = rows_of(score)
    random.shuffle(rows)
    tempos = list(zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True))
    again = score_of(
        rows, ticks_per_beat=12, tracks=score.tracks, tempos=tempos, length=score.length
    )
    assert rows_of(again) == rows_of(score)
    assert again.fingerprint() == score.fingerprint()


def test_a_fingerprint_tells_apart_all_that_is_heard():
    def made(notes=((0, 4, 60), (4, 4, 62)), **more) -> str:
        return score_of(notes, **more).fingerprint()

    prints = [
        made(),
        made(((0, 4, 60), (4, 4, 63))),
        made(((0, 4, 60), (4, 5, 62))),
        made(((0, 4, 60), (5, 4, 62))),
        made(((0, 4, 60, 81), (4, 4, 62))),
        made(((0, 4, 60), (4, 4, 62), (4, 4, 64))),
        made(((0, 4, 60, 80, 1), (4, 4, 62)), tracks=[Track(), Track()]),
        made(tracks=[Track("", 19)]),
        made(tracks=[Track("", 0, True)]),
        made(tempos=[(0, 90)]),
        made(tempos=[(4, 90)]),
        made(ticks_per_beat=8),
        made(length=12),
    ]
    assert len(set(prints)) == len(prints)
    assert made() == made(((4, 4, 62), (0, 4, 60)))


def test_text_fingerprints_tell_notation_and_text_apart():
    texts = [Text("abc"), Text("abd"), Text("abc", "abc"), Text("", "plain")]
    assert len({text.fingerprint() for text in texts}) == len(texts)
    assert Text("abc").fingerprint() == Text("abc", "plain").fingerprint()


def test_a_piece_changes_by_making_another():
    piece = Piece("a", Text("x"))
    assert replace(piece, part="test") == Piece("a", Text("x"), part="test")
    assert piece.part is None


def test_key_signatures_move_with_the_notes():
    keys = [(0, 0, False), (4, -3, True), (8, 7, False)]
    score = score_of([(0, 12, 60)], keys=keys)
    # C major, C minor and C sharp major, two semitones higher: D major (2 sharps), D minor (1
    # flat), D sharp major, which is written as E flat major (3 flats).
    assert score.transpose(2).key.tolist() == [[2, 0], [-1, 1], [-3, 0]]
    # An octave changes no key, nor how it is written.
    assert score.transpose(-12).key.tolist() == [[0, 0], [-3, 1], [7, 0]]
    assert score.key.tolist() == [[0, 0], [-3, 1], [7, 0]]


def test_copies_are_known_by_their_written_notes():
    kit = [Track("a"), Track("kit", 0, True)]
    notes = [(0, 4, 60), (4, 2, 62, 80, 1)]

    def made(rows=notes, tracks=kit, **more) -> str:
        return score_of(rows, tracks=tracks, **more).notes_fingerprint()

    same = [
        made(tempos=[(0, 90)], meters=[(0, 3, 4)], length=99),
        made([(0, 4, 60, 33), (4, 2, 62, 44, 1)]),
        # Three times as fine; silence before it; parts in another order.
        made([(0, 12, 60), (12, 6, 62, 80, 1)], ticks_per_beat=12),
        made([(8, 4, 60), (12, 2, 62, 80, 1)]),
        made([(0, 4, 60, 80, 1), (4, 2, 62, 80, 0)], [kit[1], Track("b", 19)]),
    ]
    assert set(same) == {made()}
    others = [
        made([(0, 4, 60), (4, 3, 62, 80, 1)]),
        made([(0, 4, 60), (5, 2, 62, 80, 1)]),
        made([(0, 4, 61), (4, 2, 62, 80, 1)]),
        made([(0, 4, 60), (4, 2, 62, 80, 0)]),
        made([(0, 4, 60)]),
        made([]),
        made(ticks_per_beat=8),
    ]
    assert len({made(), *others}) == 1 + len(others)
    assert Text("a b\n").notes_fingerprint() == Text("ab").notes_fingerprint()
    assert Text("a").notes_fingerprint() != Text("a", "abc").notes_fingerprint()


@given(scores())
@few(40)
def test_a_score_travels_between_processes_as_it_is(score):
    again = copy.deepcopy(score)
    assert again.fingerprint() == score.fingerprint()
    for name in ("onset", "duration", "pitch", "velocity", "track", "meter", "key"):
        assert getattr(again, name).dtype == np.int64
