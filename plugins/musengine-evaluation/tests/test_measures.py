"""The figures of single pieces: worked out by hand, and against plain loops over ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import Score, Track
from musengine.testing import score_of
from musengine.testing.strategies import few
from musengine_evaluation.features import pitch as pitches
from musengine_evaluation.features import polyphony as sounding
from musengine_evaluation.features import rhythm, structure, transitions
from musengine_evaluation.features.summary import HISTOGRAMS, SCALARS, histograms, statistics, table

DRUMS = (Track("piano"), Track("drums", 0, True))
C, D, E, F, G, A, B = 60, 62, 64, 65, 67, 69, 71


def melody(pitches: Iterable[int], **more) -> Score:
    """Quarter notes one after another, 4 ticks to a beat."""
    return score_of([(4 * i, 4, pitch) for i, pitch in enumerate(pitches)], **more)


def onsets(*ticks: int, **more) -> Score:
    """Notes of one tick on C at these ticks, 4 to a beat: a tick is a step of the grid."""
    return score_of([(tick, 1, C) for tick in ticks], **more)


NOTHING = score_of([])
SILENT = score_of([], length=16)
ONE_DRUM = score_of([(0, 4, 38, 80, 1)], tracks=DRUMS)


# Pitches


def test_entropies_of_known_shares() -> None:
    # C, C an octave higher, E, G: the classes 1/2, 1/4, 1/4 have 1/2·1 + 2·1/4·2 = 1.5 bits,
    # the four pitches 2 bits.
    score = melody([C, C + 12, E, G])
    assert pitches.pitch_class_entropy(score) == pytest.approx(1.5)
    assert pitches.pitch_entropy(score) == pytest.approx(2.0)
    assert pitches.pitch_class_entropy(melody([C, C])) == 0
    assert pitches.pitch_class_entropy(melody(range(60, 72))) == pytest.approx(math.log2(12))


def test_pitches_are_counted_and_drums_are_none() -> None:
    notes = [(0, 4, C), (4, 4, C + 12), (8, 4, E), (8, 4, E), (0, 4, 35, 80, 1)]
    score = score_of(notes, tracks=DRUMS)
    assert pitches.pitch_range(score) == 12
    assert pitches.pitches_used(score) == 3
    assert pitches.pitch_classes_used(score) == 2
    assert pitches.pitch_class_histogram(score).tolist() == [0.5, 0, 0, 0, 0.5, *[0] * 7]


def test_the_scale_that_holds_most_notes() -> None:
    # F major holds all of C D E F G A B flat; no scale holds both B and B flat.
    f_major = [C, D, E, F, G, A, B - 1]
    assert pitches.scale_consistency(melody(f_major)) == 1
    assert pitches.scale_consistency(melody([*f_major, B])) == pytest.approx(7 / 8)
    # Seven of twelve at most.
    assert pitches.scale_consistency(melody(range(60, 72))) == pytest.approx(7 / 12)


# What sounds


def test_polyphony_by_hand() -> None:
    # Ticks 0-3 one pitch, 4-7 two, 8-11 silence, 12-15 two notes of one pitch; 16 ticks in all.
    score = score_of([(0, 8, C), (4, 4, E), (12, 4, G), (12, 4, G, 80, 1)], tracks=(Track(),) * 2)
    # (4·1 + 4·2 + 4·1) / 12 and 4 / 16.
    assert sounding.polyphony(score) == pytest.approx(16 / 12)
    assert sounding.polyphony_rate(score) == pytest.approx(4 / 16)


def test_a_beat_is_empty_where_the_note_before_just_ends() -> None:
    # Beats 0 and 2 of three: the note of beat 0 ends at the line of beat 1.
    assert sounding.empty_beat_rate(melody([C])) == 0
    assert sounding.empty_beat_rate(score_of([(0, 4, C), (8, 4, C)])) == pytest.approx(1 / 3)
    # One tick more reaches into it.
    assert sounding.empty_beat_rate(score_of([(0, 5, C), (8, 4, C)])) == 0
    # Up to the length: beats 0 to 4, the last begun, three of five silent.
    assert sounding.empty_beat_rate(score_of([(0, 8, C)], length=17)) == pytest.approx(3 / 5)


def test_empty_bars_follow_the_meters() -> None:
    # 3/4 from 0, 2/4 from tick 24 (4 to a beat): bars at 0, 12, 24, 32, 40; the length is 48.
    meters = [(0, 3, 4), (24, 2, 4)]
    score = score_of([(0, 12, C), (24, 8, C), (36, 1, C)], meters=meters, length=48)
    # Sounding: bars 0, 2, 3. Silent: 1 and 4.
    assert sounding.empty_bar_rate(score) == pytest.approx(2 / 5)


def test_the_longest_silence_in_beats_and_in_seconds() -> None:
    # 60 BPM, then 240 from tick 16. Silent: 0-4 (1 beat, 1 s), 8-12 (1 beat), 20-32 (3 beats,
    # 3/4 s).
    tempos = [(0, 60), (16, 240)]
    score = score_of([(4, 4, C), (12, 8, C)], tempos=tempos, length=32)
    assert sounding.longest_silence_beats(score) == 3
    assert sounding.longest_silence_seconds(score) == pytest.approx(1.0)
    # A drum is no silence.
    drum = score_of([(4, 4, C), (12, 8, C), (24, 1, 38, 80, 1)], tracks=DRUMS, length=32)
    assert sounding.longest_silence_beats(drum) == 7 / 4


def test_the_longest_note_in_beats_and_in_seconds() -> None:
    # 6 ticks at 240 BPM are 3/8 s, 4 ticks at 60 BPM are 1 s; the drum does not count.
    notes = [(0, 4, C), (16, 6, C), (0, 99, 38, 80, 1)]
    score = score_of(notes, tracks=DRUMS, tempos=[(0, 60), (16, 240)])
    assert sounding.longest_note_beats(score) == 1.5
    assert sounding.longest_note_seconds(score) == pytest.approx(1.0)


# Rhythm


def test_times_go_to_the_nearest_note_value() -> None:
    values = rhythm.NOTE_VALUES
    assert rhythm.note_value(values).tolist() == list(range(12))
    beats = np.array([0.01, 0.9, 0.875, 1.6, 2.5, 100.0])
    # Half-way between a dotted eighth and a quarter, and between 2 and 3 beats: the longer.
    assert values[rhythm.note_value(beats)].tolist() == [0.25, 1, 1, 1.5, 3, 4]


def test_histograms_of_lengths_and_of_times_between_onsets() -> None:
    # Lengths: quarter, quarter, half, eighth, and a drum. Onsets at 0, 4, 12, 16 (the drum):
    # a quarter, a half, a quarter apart.
    notes = [(0, 4, C), (0, 4, E), (4, 8, C), (12, 2, C), (16, 9, 38, 80, 1)]
    score = score_of(notes, tracks=DRUMS)
    lengths = dict(zip(rhythm.NOTE_VALUES, rhythm.note_length_histogram(score), strict=True))
    assert {value: share for value, share in lengths.items() if share} == {
        0.5: 0.25,
        1.0: 0.5,
        2.0: 0.25,
    }
    apart = dict(zip(rhythm.NOTE_VALUES, rhythm.inter_onset_histogram(score), strict=True))
    assert {value: share for value, share in apart.items() if share} == {
        1.0: pytest.approx(2 / 3),
        2.0: pytest.approx(1 / 3),
    }
    # 16 ticks in three steps.
    assert rhythm.mean_inter_onset_beats(score) == pytest.approx(4 / 3)


def test_density_counts_all_notes_over_the_whole_length() -> None:
    # Six notes in 16 ticks, 4 beats, at 60 BPM until tick 8 and 120 after: 2 s + 1 s.
    notes = [(i, 1, C) for i in range(5)] + [(5, 1, 38, 80, 1)]
    score = score_of(notes, tracks=DRUMS, tempos=[(0, 60), (8, 120)], length=16)
    assert rhythm.notes(score) == 6
    assert rhythm.notes_per_beat(score) == 1.5
    assert rhythm.notes_per_second(score) == pytest.approx(2.0)


# Successions


def test_transitions_of_a_melody_are_those_from_note_to_note() -> None:
    # C→E, E→C, C→E, E→E.
    moves = transitions.pitch_class_transitions(melody([C, E, C, E, E + 12]))
    assert moves[0, 4] == 0.5
    assert moves[4, 0] == 0.25
    assert moves[4, 4] == 0.25
    assert moves.sum() == 1


def test_transitions_between_chords_share_out_one_step() -> None:
    # C E → G: half from each. G → C twice and D: two thirds and one. Two steps in all.
    notes = [(0, 4, C), (0, 4, E), (4, 4, G), (8, 4, C), (8, 4, D), (8, 4, C + 12)]
    moves = transitions.pitch_class_transitions(score_of(notes))
    wanted = np.zeros((12, 12))
    wanted[[0, 4], 7] = 1 / 4
    wanted[7, 0], wanted[7, 2] = 1 / 3, 1 / 6
    assert np.allclose(moves, wanted)


def test_transitions_between_note_lengths() -> None:
    # Quarter, quarter, half: 1 → 1 and 1 → 2. Quarters are value 6, halves value 9.
    moves = transitions.note_length_transitions(score_of([(0, 4, C), (4, 4, C), (8, 8, C)]))
    assert moves[6, 6] == moves[6, 9] == 0.5


def test_the_mean_interval_follows_the_highest_notes() -> None:
    # E over C, then D, then G over C: 2 down, 5 up.
    score = score_of([(0, 4, C), (0, 4, E), (4, 4, D), (8, 4, C), (8, 4, G)])
    assert transitions.mean_interval(score) == 3.5


# Bars


def test_groove_of_two_bars_that_differ_in_two_of_sixteen_steps() -> None:
    # Steps 12 and 14 of the bar.
    score = onsets(0, 4, 8, 12, 16, 20, 24, 30, length=32)
    assert structure.groove_consistency(score) == pytest.approx(1 - 2 / 16)


def test_groove_compares_bars_of_one_meter_only() -> None:
    # 3/4 at 0 and 12, 2/4 at 24 and 32: beats 0 1 2, 0 1 | 0 1, 0 1. One step of twelve differs
    # in one pair, nothing in the other; the pair of unlike meters is left out.
    meters = [(0, 3, 4), (24, 2, 4)]
    score = onsets(0, 4, 8, 12, 16, 24, 28, 32, 36, meters=meters, length=40)
    assert structure.groove_consistency(score) == pytest.approx(1 - (1 / 12) / 2)
    # With one bar of each there is no pair.
    lone = onsets(0, 12, meters=[(0, 3, 4), (12, 2, 4)], length=20)
    assert math.isnan(structure.groove_consistency(lone))


def test_groove_counts_silent_bars_between() -> None:
    # Four steps, nothing, four steps: 4 of 16 differ in both pairs.
    assert structure.groove_consistency(onsets(0, 4, 8, 12, 32, 36, 40, 44, length=48)) == 0.75


def test_an_onset_just_before_the_bar_line_belongs_to_the_next_bar() -> None:
    # 480 ticks to a beat, 1,920 to a bar: played 20 ticks early, nearest to the line.
    early = score_of([(0, 400, C), (1900, 400, C)], ticks_per_beat=480, length=3840)
    assert structure.groove_consistency(early) == 1
    assert structure.repetition_rate(early) == 0.5
    # So too where the piece ends before that line is reached: the next bar is a bar nevertheless.
    cut_off = score_of([(0, 400, C), (1900, 1, C)], ticks_per_beat=480)
    assert structure.groove_consistency(cut_off) == 1
    # Likewise before a change of meter that cuts a bar short: both 4/4 bars have one onset, the
    # second nothing else, and the 3/4 bar begins with what came early.
    meters = [(0, 4, 4), (2880, 3, 4)]
    cut = [(0, 100, C), (1920, 100, C), (2870, 100, C)]
    score = score_of(cut, ticks_per_beat=480, meters=meters, length=4320)
    assert structure.groove_consistency(score) == 1


def test_onsets_within_one_step_are_one() -> None:
    # A step has 12 ticks here and a bar 192: all of 6 to 17 go to step 1, 18 to step 2.
    first = [(6, 1, C), (12, 1, C), (17, 1, C)]
    alike = score_of([*first, (192 + 12, 1, C)], ticks_per_beat=48)
    assert structure.groove_consistency(alike) == 1
    unlike = score_of([*first, (192 + 18, 1, C)], ticks_per_beat=48)
    assert structure.groove_consistency(unlike) == 1 - 2 / 16


def test_repetition_is_the_share_of_bars_that_occurred_before() -> None:
    # Bars of C E G C: A B A A, then a silent bar, then A with one pitch other.
    first, other = [C, E, G, C], [C, E, G, D]
    notes = [
        (16 * bar + 4 * i, 4, pitch)
        for bar, tune in ((0, first), (1, other), (2, first), (3, first), (5, [C, F, G, C]))
        for i, pitch in enumerate(tune)
    ]
    # Five bars with notes, of which the third and the fourth repeat the first.
    assert structure.repetition_rate(score_of(notes)) == pytest.approx(2 / 5)
    # Lengths do not count, nor a drum for a note of its number.
    longer = [(0, 4, C), (16, 8, C)]
    assert structure.repetition_rate(score_of(longer)) == 0.5
    drum = [(0, 4, C), (16, 8, C, 80, 1)]
    assert structure.repetition_rate(score_of(drum, tracks=DRUMS)) == 0


def test_bars_of_unlike_meters_repeat_nothing() -> None:
    score = onsets(0, 16, meters=[(0, 4, 4), (16, 3, 4)])
    assert structure.repetition_rate(score) == 0
    back = onsets(0, 16, 28, meters=[(0, 4, 4), (16, 3, 4), (28, 4, 4)])
    assert structure.repetition_rate(back) == pytest.approx(1 / 3)


# Edge cases

UNDEFINED_WITHOUT_NOTES = {
    "pitch_class_entropy",
    "pitch_entropy",
    "pitch_range",
    "scale_consistency",
    "mean_interval",
    "polyphony",
    "groove_consistency",
    "repetition_rate",
    "mean_inter_onset_beats",
    "longest_note_beats",
    "longest_note_seconds",
}


def undefined(figures: dict[str, float]) -> set[str]:
    return {name for name, value in figures.items() if math.isnan(value)}


def test_a_silent_piece() -> None:
    found = statistics(SILENT)
    assert undefined(found) == UNDEFINED_WITHOUT_NOTES
    # 16 ticks, 4 beats, one bar of 4/4, two seconds at 120 BPM.
    assert {name: value for name, value in found.items() if not math.isnan(value)} == {
        "pitches_used": 0,
        "pitch_classes_used": 0,
        "polyphony_rate": 0,
        "empty_beat_rate": 1,
        "empty_bar_rate": 1,
        "notes": 0,
        "notes_per_beat": 0,
        "notes_per_second": 0,
        "longest_silence_beats": 4,
        "longest_silence_seconds": 2,
    }


def test_nothing_at_all() -> None:
    found = statistics(NOTHING)
    rates = {"polyphony_rate", "empty_beat_rate", "empty_bar_rate"}
    densities = {"notes_per_beat", "notes_per_second"}
    assert undefined(found) == UNDEFINED_WITHOUT_NOTES | rates | densities
    assert found["longest_silence_beats"] == found["longest_silence_seconds"] == 0


@pytest.mark.parametrize("score", [NOTHING, SILENT])
def test_histograms_of_no_notes_are_undefined(score: Score) -> None:
    assert all(np.isnan(shares).all() for shares in histograms(score).values())


def test_drums_alone_have_rhythm_and_no_pitch() -> None:
    found = statistics(ONE_DRUM)
    pitchless = UNDEFINED_WITHOUT_NOTES - {"repetition_rate"}
    assert undefined(found) == pitchless
    assert found["pitches_used"] == found["polyphony_rate"] == found["empty_beat_rate"] == 0
    assert found["notes_per_beat"] == 1


def test_one_note() -> None:
    found = statistics(score_of([(0, 4, C)]))
    # One bar, one onset: nothing to compare.
    assert undefined(found) == {"mean_interval", "groove_consistency", "mean_inter_onset_beats"}
    assert found["pitch_range"] == found["pitch_entropy"] == found["repetition_rate"] == 0
    assert found["polyphony"] == found["scale_consistency"] == found["longest_note_beats"] == 1
    assert found["longest_silence_beats"] == found["empty_bar_rate"] == 0
    shares = histograms(score_of([(0, 4, C)]))
    assert {name for name, share in shares.items() if np.isnan(share).any()} == {
        "pitch_class_transitions",
        "note_length_transitions",
        "inter_onset_histogram",
    }


def test_all_notes_at_one_onset() -> None:
    found = statistics(score_of([(0, 4, C), (0, 4, E), (0, 8, G)]))
    assert undefined(found) == {"mean_interval", "groove_consistency", "mean_inter_onset_beats"}
    # Three for a beat, one for another.
    assert found["polyphony"] == 2
    assert found["polyphony_rate"] == 0.5


def test_notes_shorter_than_any_step() -> None:
    # One tick of 480, a thousandth of a beat: exact, not lost to a grid.
    score = score_of([(0, 1, C), (0, 1, E), (960, 1, C)], ticks_per_beat=480)
    found = statistics(score)
    assert found["polyphony"] == 1.5
    assert found["polyphony_rate"] == pytest.approx(1 / 961)
    assert found["empty_beat_rate"] == pytest.approx(1 / 3)
    assert found["longest_note_beats"] == pytest.approx(1 / 480)
    assert rhythm.note_length_histogram(score)[0] == 1


def test_bars_shorter_than_a_step() -> None:
    # 1/32 is half a sixteenth: every bar has one step, and each of these bars has its onset.
    score = score_of([(i, 1, C) for i in range(8)], ticks_per_beat=8, meters=[(0, 1, 32)])
    assert structure.groove_consistency(score) == 1
    assert structure.repetition_rate(score) == 7 / 8


def test_a_piece_of_absurd_length_takes_no_memory() -> None:
    # 2**40 ticks at one tick to a beat: 10**12 beats, most of them silent.
    score = score_of([(0, 1, C), (2**40, 1, C)], ticks_per_beat=1)
    found = statistics(score)
    assert found["empty_beat_rate"] == pytest.approx(1)
    assert found["groove_consistency"] == pytest.approx(1)
    assert found["longest_silence_beats"] == 2**40 - 1


# Against plain loops


@st.composite
def metered(draw: st.DrawFn) -> Score:
    """Random scores, 12 ticks to a beat, of several meters and with drums."""
    meter = st.tuples(
        st.integers(0, 150), st.integers(1, 5), st.sampled_from([1, 2, 4, 8, 16, 32, 3])
    )
    note = st.tuples(
        st.integers(0, 200), st.integers(1, 40), st.integers(58, 63), st.just(80), st.integers(0, 1)
    )
    notes = draw(st.lists(note, min_size=1, max_size=14))
    meters = draw(st.lists(meter, max_size=4))
    length = draw(st.integers(0, 300))
    return score_of(notes, ticks_per_beat=12, meters=meters, length=length, tracks=DRUMS)


def same(first: float, second: float) -> bool:
    return bool(np.isclose(first, second, atol=1e-9, equal_nan=True))


def sounding_at(score: Score, tick: int) -> list[int]:
    on = (score.onset <= tick) & (tick < score.end) & ~score.is_drum
    return sorted(set(score.pitch[on].tolist()))


@given(score=metered())
@few(100)
def test_what_sounds_equals_a_loop_over_ticks(score: Score) -> None:
    counts = [len(sounding_at(score, tick)) for tick in range(score.length)]
    busy = [count for count in counts if count]
    assert same(sounding.polyphony(score), sum(busy) / len(busy) if busy else math.nan)
    several = sum(count > 1 for count in counts)
    assert same(sounding.polyphony_rate(score), several / score.length)
    silent = [not ((score.onset <= t) & (t < score.end)).any() for t in range(score.length)]
    empty = [all(silent[t : t + 12]) for t in range(0, score.length, 12)]
    assert same(sounding.empty_beat_rate(score), sum(empty) / len(empty))
    run = longest = 0
    for still in silent:
        run = run + 1 if still else 0
        longest = max(longest, run)
    assert sounding.longest_silence_beats(score) == longest / 12


Bar = tuple[int, Fraction, Fraction]
"""A meter's number, first tick, and the tick after the last."""


def bar_lines(score: Score) -> list[Bar]:
    """Every bar until well after the end, laid one after another."""
    found: list[Bar] = []
    begins = [*score.meter_tick.tolist(), score.length + 400]
    for meter, (numerator, denominator) in enumerate(score.meter.tolist()):
        line, until = Fraction(begins[meter]), Fraction(begins[meter + 1])
        while line < until:
            after = line + Fraction(numerator * 4 * 12, denominator)
            found.append((meter, line, min(after, until)))
            line = after
    return found


def place(tick: int, lines: list[Bar]) -> tuple[int, int]:
    """The bar and the step of three ticks nearest to a tick, half-way up."""
    bar = max(number for number, (_, line, _) in enumerate(lines) if line <= tick)
    _, line, after = lines[bar]
    step = math.floor((tick - line) / 3 + Fraction(1, 2))
    return (bar + 1, 0) if line + 3 * step >= after else (bar, step)


def beginnings(score: Score, of: Callable[[int], tuple[int, ...]]) -> list[tuple[int, frozenset]]:
    """Of every bar up to the length: its meter and what begins in it."""
    lines = bar_lines(score)
    content: dict[int, set[tuple[int, ...]]] = {}
    for index, tick in enumerate(score.onset.tolist()):
        bar, step = place(tick, lines)
        content.setdefault(bar, set()).add((step, *of(index)))
    last, step = place(score.length, lines)
    count = max(last + (step > 0), max(content) + 1)
    return [(lines[bar][0], frozenset(content.get(bar, ()))) for bar in range(count)]


@given(score=metered())
@few(200)
def test_groove_equals_a_loop_over_bars(score: Score) -> None:
    found = beginnings(score, lambda index: ())
    steps = [math.ceil(Fraction(n * 16, d)) for n, d in score.meter.tolist()]
    likeness = [
        1 - len(first ^ second) / steps[meter]
        for (meter, first), (other, second) in pairwise(found)
        if meter == other
    ]
    wanted = sum(likeness) / len(likeness) if likeness else math.nan
    assert same(structure.groove_consistency(score), wanted)


@given(score=metered())
@few(200)
def test_repetition_equals_a_loop_over_bars(score: Score) -> None:
    found = beginnings(score, lambda index: (int(score.pitch[index]), bool(score.is_drum[index])))
    seen: set[tuple[object, ...]] = set()
    repeated = filled = 0
    for meter, content in found:
        if content:
            key = (*score.meter[meter].tolist(), content)
            filled, repeated = filled + 1, repeated + (key in seen)
            seen.add(key)
    assert same(structure.repetition_rate(score), repeated / filled)


@given(score=metered())
@few(100)
def test_empty_bars_equal_a_loop_over_bars(score: Score) -> None:
    lines = [(line, after) for _, line, after in bar_lines(score) if line < score.length]
    empty = [
        not ((score.onset < math.ceil(after)) & (score.end > line)).any() for line, after in lines
    ]
    assert same(sounding.empty_bar_rate(score), sum(empty) / len(empty))


# Summaries


@given(score=metered(), semitones=st.integers(-20, 20))
@few(60)
def test_every_figure_keeps_within_its_range(score: Score, semitones: int) -> None:
    found, shares = statistics(score), histograms(score)
    assert set(found) == set(SCALARS)
    assert set(shares) == set(HISTOGRAMS)
    for name in (n for n in found if n.endswith(("_rate", "_consistency"))):
        assert math.isnan(found[name]) or 0 <= found[name] <= 1
    for share in shares.values():
        assert np.isnan(share).all() or (same(share.sum(), 1) and (share >= 0).all())
    # None depends on the key.
    moved = statistics(score.transpose(semitones))
    assert all(same(found[name], moved[name]) for name in found)


@given(score=metered())
@few(60)
def test_no_figure_depends_on_the_resolution(score: Score) -> None:
    finer = replace(
        score,
        onset=score.onset * 40,
        duration=score.duration * 40,
        ticks_per_beat=480,
        tempo_tick=score.tempo_tick * 40,
        meter_tick=score.meter_tick * 40,
        length=score.length * 40,
    )
    coarse, fine = statistics(score), statistics(finer)
    assert all(same(coarse[name], fine[name]) for name in coarse)


def test_a_table_has_a_row_for_each_piece() -> None:
    found = table([melody([C, E]), SILENT])
    assert found["pitch_range"].tolist()[0] == [4]
    assert np.isnan(found["pitch_range"][1]).all()
    assert found["pitch_class_transitions"].shape == (2, 144)
    assert found["pitch_class_transitions"][0, 4] == 1  # from C, row 0, to E
    assert {rows.shape for rows in table([]).values()} == {(0, 1)}
