from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers import beats, piano_roll, refused, seconds
from musengine.config.quantities import Meter
from musengine.encoding.pianoroll import MAX_GRID_STEPS
from musengine.errors import UnreadableError
from musengine.interfaces.encoder import DecodeSettings
from musengine.music.piece import Text
from musengine.music.score import Score, Track
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import few, scores

# Ticks of a quarter of a beat, and steps of the same: a tick is a step. Five rows, 60 to 64.
#   tick   0 1 2 3 4 5 6 7
#   64     x x . . . . . .    with 60 a chord
#   62     . . . . x x x .    struck at 4 and again at 6
#   60     x x x . . . . .
#   then nothing until the end at 8
TUNE = [(0, 2, 64), (0, 3, 60), (4, 2, 62), (6, 1, 62)]
SOUND = np.array(
    [
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ],
    dtype=np.uint8,
)
ONSET = np.zeros_like(SOUND)
ONSET[[0, 0, 4, 6], [0, 4, 2, 2]] = 1

FIVE = {"lowest": 60, "highest": 64, "step": beats("1/4")}


def test_merged_notes_are_one_run_of_ones():
    encoded = piano_roll(**FIVE).encode(score_of(TUNE, length=8))
    assert encoded.steps.dtype == np.uint8
    assert encoded.steps.shape == (8, 5, 1)
    assert (encoded.steps[..., 0] == SOUND).all()
    assert encoded.dropped == {}


def test_onsets_mark_every_strike():
    encoded = piano_roll(**FIVE, notes="onsets").encode(score_of(TUNE, length=8))
    assert encoded.steps.shape == (8, 5, 2)
    assert (encoded.steps[..., 0] == SOUND).all()
    assert (encoded.steps[..., 1] == ONSET).all()


def test_decoding_onsets_gives_back_the_repeated_note():
    roll = np.stack([SOUND, ONSET], axis=-1)
    found = piano_roll(**FIVE, notes="onsets").decode(roll, DecodeSettings())
    # 480 ticks to the beat: a step of a quarter beat is 120 ticks. Velocity is the default.
    assert found.ticks_per_beat == 480
    assert rows_of(found) == [
        (0, 360, 60, 80, 0),
        (0, 240, 64, 80, 0),
        (480, 240, 62, 80, 0),
        (720, 120, 62, 80, 0),
    ]
    assert found.length == 8 * 120


def test_decoding_merged_notes_joins_the_repeated_note():
    found = piano_roll(**FIVE).decode(SOUND[..., None], DecodeSettings())
    assert rows_of(found) == [(0, 360, 60, 80, 0), (0, 240, 64, 80, 0), (480, 360, 62, 80, 0)]


def test_a_decoded_score_has_the_tempo_and_meter_asked_for():
    found = piano_roll(**FIVE).decode(SOUND[..., None], DecodeSettings(90.0, Meter(6, 8)))
    assert (found.tempo_bpm.tolist(), found.meter.tolist()) == ([60e6 / 666_667], [[6, 8]])


def test_a_note_that_sounds_to_the_end_is_ended_there():
    found = piano_roll(**FIVE).decode(SOUND[:6, :, None], DecodeSettings())
    assert rows_of(found)[-1] == (480, 240, 62, 80, 0)
    assert found.length == 720


def test_an_onset_inside_an_overlapped_note_strikes_it_again():
    # The long note sounds through; the second one, of the same pitch, is struck at step 2.
    encoded = piano_roll(**FIVE, notes="onsets").encode(score_of([(0, 6, 60), (2, 1, 60)]))
    assert encoded.steps[:, 0, 0].tolist() == [1, 1, 1, 1, 1, 1]
    assert encoded.steps[:, 0, 1].tolist() == [1, 0, 1, 0, 0, 0]


one_note = st.tuples(st.integers(0, 7), st.integers(1, 8), st.integers(60, 62))


@given(notes=st.lists(one_note, min_size=1, max_size=30))
@few(200)
def test_a_cell_sounds_while_any_note_covers_it(notes):
    # Few notes cover less than the roll has cells, thirty cover it several times.
    sound_TP = piano_roll(**FIVE).encode(score_of(notes)).steps[..., 0]
    for step, row in np.ndindex(*sound_TP.shape):
        covered = any(on <= step < on + long and pitch == 60 + row for on, long, pitch in notes)
        assert sound_TP[step, row] == covered


def test_notes_that_lie_over_each_other_take_no_more_memory():
    # A note to a cell would be 40 million cells.
    score = score_of([(0, 2000, 60)] * 20_000)
    tracemalloc.start()
    try:
        piano_roll(**FIVE).encode(score)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


def test_notes_out_of_range_are_left_out_and_counted():
    score = score_of([(0, 4, 59), (0, 4, 60), (0, 4, 64), (0, 4, 65), (4, 4, 100)])
    encoded = piano_roll(**FIVE).encode(score)
    assert encoded.dropped == {"notes out of range": 3}
    # The piece keeps its length: the last note out of range ends it.
    assert encoded.steps[..., 0].sum(axis=1).tolist() == [2, 2, 2, 2, 0, 0, 0, 0]


def test_drums_are_left_out_unless_they_are_wanted():
    tracks = [Track(), Track("kit", 0, True)]
    score = score_of([(0, 4, 60), (0, 4, 62, 80, 1)], tracks=tracks)
    without = piano_roll(**FIVE).encode(score)
    assert without.steps[0, :, 0].tolist() == [1, 0, 0, 0, 0]
    assert without.dropped == {}
    with_drums = piano_roll(**FIVE, drums=True).encode(score)
    assert with_drums.steps[0, :, 0].tolist() == [1, 0, 1, 0, 0]


def test_the_silence_marker_stands_in_empty_steps_and_is_read_back_as_silence():
    encoder = piano_roll(lowest=59, highest=64, step=beats("1/4"), silence_marker=True)
    encoded = encoder.encode(score_of(TUNE, length=8))
    # Steps 3 and 7 are silent; row 0 is 59, below the tune's lowest note.
    assert encoded.steps[:, 0, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert (encoded.steps[:, 1:, 0] == SOUND).all()
    found = encoder.decode(encoded.steps, DecodeSettings())
    assert rows_of(found) == [(0, 360, 60, 80, 0), (0, 240, 64, 80, 0), (480, 360, 62, 80, 0)]


def test_the_marker_beside_other_notes_is_a_note():
    encoder = piano_roll(**FIVE, silence_marker=True)
    roll = np.zeros((2, 5, 1), dtype=np.uint8)
    roll[0, [0, 3], 0] = 1  # a chord of 60 and 63
    roll[1, 0, 0] = 1  # the marker
    found = encoder.decode(roll, DecodeSettings())
    assert rows_of(found) == [(0, 120, 60, 80, 0), (0, 120, 63, 80, 0)]
    assert roll.sum() == 3  # the array handed in is as it was


def test_steps_of_seconds():
    # At 60 BPM and 10 ticks to the beat a tick is 0.1 s. Steps of 0.3 s: tick 4 is at 0.4 s,
    # 1.33 steps, so step 1; tick 14 is at 1.4 s, 4.67 steps, so step 5.
    score = score_of([(4, 10, 60)], ticks_per_beat=10, tempos=[(0, 60)])
    encoder = piano_roll(lowest=60, highest=60, step=seconds("0.3"))
    steps = encoder.encode(score).steps
    assert steps[:, 0, 0].tolist() == [0, 1, 1, 1, 1]
    # At 100 BPM 480 ticks last 0.6 s, so a step is 240 ticks.
    found = encoder.decode(steps, DecodeSettings(tempo=100.0))
    assert rows_of(found) == [(240, 960, 60, 80, 0)]
    # At 110 BPM a step is 264 ticks; time in seconds is what stays.
    found = encoder.decode(steps, DecodeSettings(tempo=110.0))
    assert found.seconds([found.onset[0], found.end[0]]) == pytest.approx([0.3, 1.5])


def test_steps_that_do_not_divide_the_beat_gather_no_remainder():
    # A seventh of a beat is 68 4/7 of 480 ticks; the 700th step begins at 100 whole beats.
    encoder = piano_roll(lowest=60, highest=60, step=beats("1/7"))
    roll = np.zeros((701, 1, 1), dtype=np.uint8)
    roll[::2] = 1
    found = encoder.decode(roll, DecodeSettings())
    assert found.onset.tolist() == [round(480 * n / 7) for n in range(0, 701, 2)]
    assert found.onset[-1] == 48000
    assert (encoder.encode(found).steps == roll).all()


def test_elapsed_time_in_beats_and_seconds():
    settings = DecodeSettings(tempo=90.0)
    roll = np.zeros((3, 5, 1), dtype=np.uint8)
    quarter = piano_roll(**FIVE)
    assert quarter.elapsed(roll, "beats", settings) == pytest.approx([0.25, 0.5, 0.75])
    # At 90 BPM a beat lasts 2/3 s, a quarter of it 1/6 s.
    assert quarter.elapsed(roll, "seconds", settings) == pytest.approx([1 / 6, 1 / 3, 1 / 2])
    timed = piano_roll(lowest=60, highest=64, step=seconds("0.3"))
    assert timed.elapsed(roll, "seconds", settings) == pytest.approx([0.3, 0.6, 0.9])
    # 0.3 s at 90 BPM are 0.45 beats.
    assert timed.elapsed(roll, "beats", settings) == pytest.approx([0.45, 0.9, 1.35])


def test_a_piece_too_long_is_refused_before_room_is_made_for_it():
    # 2**18 beats and a quarter, in quarter steps: one step more than there may be. Its roll of
    # 88 pitches would take 92 million bytes.
    score = score_of([(2**20, 1, 60)])
    encoder = piano_roll(step=beats("1/4"))
    tracemalloc.start()
    try:
        with refused("piece-too-long", 1048577, 1048576):
            encoder.encode(score)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def test_the_longest_piece_is_taken():
    steps = piano_roll(lowest=60, highest=60, step=beats("1/4")).encode(
        score_of([(2**20 - 1, 1, 60)])
    )
    assert len(steps.steps) == MAX_GRID_STEPS == 2**20


def test_the_latest_of_notes_is_refused():
    with refused("piece-too-long"):
        piano_roll(**FIVE).encode(score_of([(2**40, 1, 60)]))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (score_of([]), "no-notes"),
        (score_of([(0, 4, 59), (0, 4, 65)]), "no-notes"),
        (score_of([(0, 4, 60)], tracks=[Track("kit", 0, True)]), "only-drums"),
    ],
    ids=["no notes", "none in range", "drums alone"],
)
def test_nothing_that_fits_is_said(content, code):
    with refused(code):
        piano_roll(**FIVE).encode(content)


def test_text_is_refused():
    with refused("text-not-score"):
        piano_roll().encode(Text("X:1"))


def test_no_steps_decode_to_no_notes():
    for notes in ("merged", "onsets"):
        encoder = piano_roll(**FIVE, notes=notes)
        assert encoder.empty().shape == (0, 5, 1 if notes == "merged" else 2)
        found = encoder.decode(encoder.empty(), DecodeSettings())
        assert (len(found), found.length) == (0, 0)
        assert len(encoder.elapsed(encoder.empty(), "beats", DecodeSettings())) == 0


def _rolls(channels: int) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(0, 24), st.just(4), st.just(channels))
    return hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))


STEPS = st.sampled_from(
    [beats("1/4"), beats("1/3"), beats("2/7"), beats("1"), seconds("0.3"), seconds("1/7")]
)
SETTINGS = st.builds(DecodeSettings, st.sampled_from([30.0, 84.0, 120.0, 117.3]))


@given(_rolls(2), STEPS, SETTINGS, st.booleans())
@few(150)
def test_any_array_decodes_to_notes_that_stand_where_it_says(roll, step, settings, marked):
    # Onsets without a sound, sounds without an onset and arrays of no steps included.
    merged = piano_roll(lowest=60, highest=63, step=step, silence_marker=marked)
    joined = merged.decode(roll[..., :1], settings)
    struck = piano_roll(lowest=60, highest=63, step=step, notes="onsets").decode(roll, settings)
    for score in (joined, struck):
        assert isinstance(score, Score)
        assert ((score.pitch >= 60) & (score.pitch <= 63)).all()
        assert (score.end <= score.length).all()
        # The piece is as long as its steps, to the nearest tick.
        beat = step.size if step.unit == "beat" else float(step.size) * settings.tempo / 60
        assert abs(score.length - 480 * len(roll) * beat) <= 0.5
    # With onsets nothing that sounds is lost and nothing sounds that was silent.
    if struck.onset.size:
        again = piano_roll(lowest=60, highest=63, step=step).encode(struck).steps
        assert (again == roll[..., :1]).all()
    else:
        assert not roll[..., 0].any()


@given(_rolls(1), STEPS, SETTINGS)
@few(150)
def test_encoding_what_was_decoded_gives_the_same_roll(roll, step, settings):
    encoder = piano_roll(lowest=60, highest=63, step=step)
    if not roll.any():
        return
    again = encoder.encode(encoder.decode(roll, settings)).steps
    assert (again == roll).all()


@given(_rolls(2), STEPS, SETTINGS)
@few(150)
def test_encoding_what_was_decoded_gives_the_same_onsets(roll, step, settings):
    encoder = piano_roll(lowest=60, highest=63, step=step, notes="onsets")
    sound = roll[..., 0]
    if not sound.any():
        return
    # A run of ones is struck where it begins, and an onset needs a sound.
    begins = sound.copy()
    begins[1:] &= 1 - sound[:-1]
    roll[..., 1] = (roll[..., 1] | begins) & sound
    again = encoder.encode(encoder.decode(roll, settings)).steps
    assert (again == roll).all()


@given(scores(), st.sampled_from(["merged", "onsets"]), st.booleans())
@few(100)
def test_encode_decode_encode_is_stable(score, notes, drums):
    encoder = piano_roll(lowest=40, highest=90, step=beats("1/4"), notes=notes, drums=drums)
    try:
        first = encoder.encode(score).steps
    except UnreadableError:
        return
    again = encoder.encode(encoder.decode(first, DecodeSettings())).steps
    assert (again == first).all()
