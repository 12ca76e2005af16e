"""The melody encoder: which tracks are taken, what becomes of their notes, and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import DecodeSettings, GridStep, Piece, Score, Text, Tokens, Track
from musengine.errors import UnreadableError
from musengine.testing import problem
from musengine.testing.strategies import few
from musengine_melody.config import HOLD, MelodyEncoderConfig
from musengine_melody.encoder import Melody

SIXTEENTH = GridStep(Fraction(1, 4), "beat")
QUARTER_SECOND = GridStep(Fraction(1, 4), "seconds")
H, R = HOLD, 0


def encoder(**options) -> Melody:
    return Melody(MelodyEncoderConfig(**{"fewest_notes": 1, **options}))


ONE = (Track(),)


def score_of(*notes: tuple[int, ...], tracks=ONE, ticks_per_beat=4, **more) -> Score:
    """A score from (onset, duration, pitch[, track]) rows; by default a tick is a sixteenth."""
    rows = np.array([(*note, 0)[:4] for note in notes], dtype=np.int64).reshape(-1, 4)
    onset, duration, pitch, track = rows.T
    return Score.from_notes(
        onset, duration, pitch, 80, track, ticks_per_beat=ticks_per_beat, tracks=tracks, **more
    )


def tokens(score: Score, **options) -> list[int]:
    return encoder(**options).encode(score).steps.tolist()


def p(pitch: int) -> int:
    """The class of a pitch."""
    return pitch + 1


def test_classes() -> None:
    plain, held = encoder(hold=False).layout, encoder().layout
    assert isinstance(plain, Tokens)
    assert isinstance(held, Tokens)
    assert (plain.size, held.size) == (129, 130)
    assert plain.meanings[0] == ("rest", 0)
    assert plain.meanings[61] == held.meanings[61] == ("pitch", 60)
    assert held.meanings[129] == ("hold", 0)
    assert 129 not in plain.meanings
    assert held.step == SIXTEENTH
    assert held.end is None


def test_a_note_struck_again_survives_with_hold_and_merges_without() -> None:
    # C for two sixteenths, struck again for one, a rest, then E.
    score = score_of((0, 2, 60), (2, 1, 60), (4, 2, 64))
    assert tokens(score) == [p(60), H, p(60), R, p(64), H]
    assert tokens(score, hold=False) == [p(60), p(60), p(60), R, p(64), p(64)]
    two_a_second = DecodeSettings(tempo=120.0)
    again = encoder().decode(encoder().encode(score).steps, two_a_second)
    assert again.onset.tolist() == [0, 240, 480]
    assert again.duration.tolist() == [240, 120, 240]
    merged = encoder(hold=False).decode(encoder(hold=False).encode(score).steps, two_a_second)
    assert (merged.onset.tolist(), merged.duration.tolist()) == ([0, 480], [360, 240])


def test_silence_around_the_melody_is_trimmed_that_within_is_kept() -> None:
    score = score_of((5, 1, 60), (8, 1, 62), length=100)
    assert tokens(score) == [p(60), R, R, p(62)]


def test_times_go_to_the_nearest_step_and_the_next_note_ends_the_one_before() -> None:
    # Steps of 4 ticks: 0-6 is steps 0 to 1.5, so 2; 5 goes to step 1; 9-20 to steps 2 to 5.
    score = score_of((0, 6, 60), (5, 4, 62), (9, 11, 64), ticks_per_beat=16)
    assert tokens(score, hold=False) == [p(60), p(62), p(64), p(64), p(64)]
    # A note of no length to speak of still has a step.
    assert tokens(score_of((0, 1, 60), (4, 8, 62), ticks_per_beat=16)) == [p(60), p(62), H]


def test_of_notes_that_begin_in_one_step_the_longest_is_taken_then_the_highest() -> None:
    grace = score_of((0, 1, 72), (1, 15, 60), ticks_per_beat=16)
    encoded = encoder().encode(grace)
    assert encoded.steps.tolist() == [p(60), H, H, H]
    assert encoded.dropped == {"notes beside the melody": 1}
    chord = score_of((0, 2, 60), (0, 2, 67), (0, 2, 64))
    assert tokens(chord) == [p(67), H]


def test_steps_in_seconds_follow_the_tempo() -> None:
    # A beat of 4 ticks lasts a second at first, half a second from tick 8 on: the notes begin at
    # 0, 1, 2 and 2.5 s and the last one ends at 3 s, which are steps 0, 4, 8, 10 and 12 of 250 ms.
    score = score_of((0, 4, 60), (4, 4, 62), (8, 4, 64), (12, 4, 65), tempos=[(0, 60), (8, 120)])
    expected = [*[p(60)] * 4, *[p(62)] * 4, *[p(64)] * 2, *[p(65)] * 2]
    assert tokens(score, step=QUARTER_SECOND, hold=False) == expected


def test_the_top_line_by_hand() -> None:
    # A tune over held chords:
    #   0-2 C5 with C3 and G3 held 0-8 below; 2-4 E5; 4-5 nothing above the chord;
    #   5-6 C4, higher than the chord, so it is the top; 6-8 A4; at 7 F4 is struck below it.
    score = score_of(
        *((0, 8, 48), (0, 8, 55), (0, 2, 72), (2, 2, 76), (5, 1, 60), (6, 2, 69), (7, 3, 65))
    )
    # The chord below is not taken up where the tune is silent, nor F4 when A4 has ended.
    assert tokens(score, skyline=True) == [p(72), H, p(76), H, R, p(60), p(69), H]
    # A note alone is its own top, however low.
    low = score_of((0, 1, 72), (2, 2, 40), (3, 1, 76))
    assert tokens(low, skyline=True) == [p(72), R, p(40), p(76)]
    # The same pitch struck again while it sounds is struck again.
    again = score_of((0, 4, 60), (2, 2, 60))
    assert tokens(again, skyline=True) == [p(60), H, p(60), H]


THREE = (Track("tune", 73), Track("chords", 0), Track("drums", 0, is_drum=True))


def three_tracks() -> Score:
    tune = [(4 * k, 4, 60 + k, 0) for k in range(4)]
    # Two notes at once for two of four steps: half of the time in which the track sounds.
    chords = [(0, 4, 48, 1), (2, 2, 52, 1)]
    drums = [(k, 1, 36, 2) for k in range(16)]
    return score_of(*tune, *chords, *drums, tracks=THREE)


def test_monophonic_tracks_become_pieces_of_their_own() -> None:
    piece = Piece("a/b.mid", three_tracks(), style="waltz", part="valid")
    (tune,) = encoder().pieces(piece)
    assert (tune.id, tune.style, tune.part) == ("a/b.mid#1", "waltz", "valid")
    assert isinstance(tune.content, Score)
    assert [track.name for track in tune.content.tracks] == ["tune"]
    assert tune.content.pitch.tolist() == [60, 61, 62, 63]
    assert [found.id for found in encoder(tolerance=49.0).pieces(piece)] == ["a/b.mid#1"]
    both = ["a/b.mid#1", "a/b.mid#2"]
    assert [found.id for found in encoder(tolerance=50.0).pieces(piece)] == both
    assert [found.id for found in encoder(skyline=True).pieces(piece)] == both
    # The chords have two notes.
    assert [found.id for found in encoder(skyline=True, fewest_notes=3).pieces(piece)] == both[:1]


def test_a_file_of_one_track_keeps_its_id() -> None:
    piece = Piece("a.mid", score_of((0, 1, 60)))
    assert list(encoder().pieces(piece)) == [piece]


@pytest.mark.parametrize(
    ("score", "options", "reason"),
    [
        (three_tracks(), {"fewest_notes": 5}, "encoder.fewest_notes = 5"),
        (score_of((0, 4, 60), (2, 2, 64)), {}, "encoder.skyline = true"),
        (score_of((0, 4, 36), tracks=(Track(is_drum=True),)), {}, "encoder.fewest_notes = 1"),
    ],
)
def test_why_nothing_is_taken(score: Score, options: dict, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        list(encoder(**options).pieces(Piece("x", score)))


def test_what_cannot_be_encoded() -> None:
    with problem("text-not-score"):
        encoder().encode(Text("C D E"))
    drums = score_of((0, 4, 36), tracks=(Track(is_drum=True),))
    with problem("no-notes"):
        encoder().encode(drums)
    with problem("piece-too-long"):
        encoder().encode(score_of((0, 1, 60), (2**20, 1, 60)))


def test_copies_are_the_same_pitches_in_the_same_order() -> None:
    played = score_of((0, 3, 60), (4, 4, 62), (8, 4, 62), (12, 2, 64))
    timed_otherwise = score_of((1, 2, 60), (3, 9, 62), (12, 3, 64))
    other = score_of((0, 3, 60), (4, 4, 64), (8, 4, 62))
    keys = [encoder().copy_key(score) for score in (played, timed_otherwise, other)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("step", [SIXTEENTH, QUARTER_SECOND, GridStep(Fraction(1, 3), "beat")])
@pytest.mark.parametrize("hold", [True, False])
@given(
    notes=st.lists(
        st.tuples(st.integers(0, 80), st.integers(1, 30), st.integers(0, 127)), min_size=1
    ),
    tempo=st.floats(30.0, 300.0),
    skyline=st.booleans(),
)
@few(30)
def test_encoding_what_was_decoded_gives_the_same(step, hold, notes, tempo, skyline) -> None:
    melody = encoder(step=step, hold=hold)
    score = score_of(*notes, ticks_per_beat=12)
    first = encoder(step=step, hold=hold, skyline=skyline).encode(score).steps
    # It begins and ends with a note, and holds nothing that is not a note's.
    assert 1 <= first[0] <= 128
    assert first[-1] != R
    if hold:
        assert not ((first[1:] == H) & (first[:-1] == R)).any()
    decoded = melody.decode(first, DecodeSettings(tempo=tempo))
    np.testing.assert_array_equal(melody.encode(decoded).steps, first)
    # Only one note at a time.
    assert (decoded.end[:-1] <= decoded.onset[1:]).all()


@given(steps=st.lists(st.integers(0, 129)))
def test_decoding_never_fails(steps: list[int]) -> None:
    decoded = encoder().decode(np.array(steps, dtype=np.int64), DecodeSettings())
    assert decoded.length == 120 * len(steps)
    # What is held with nothing before it is silent.
    assert len(decoded) == sum(1 <= token <= 128 for token in steps)


def test_musical_time() -> None:
    one_a_second, steps = DecodeSettings(tempo=60.0), np.zeros(4)
    beats = encoder().elapsed(steps, "beats", one_a_second)
    np.testing.assert_allclose(beats, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(encoder().elapsed(steps, "seconds", one_a_second), beats)
    in_seconds = encoder(step=QUARTER_SECOND)
    np.testing.assert_allclose(in_seconds.elapsed(steps, "beats", DecodeSettings())[-1], 2.0)
