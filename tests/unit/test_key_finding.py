from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from musengine.music.key_finding import MAJOR, MINOR, find_key, tonic_shift
from musengine.music.score import Score, Track
from musengine.testing import score_of
from musengine.testing.strategies import few, scores

# Scales of equal notes, the tonic at both ends and the tonic's triad once more: keys that share
# their pitches are told apart by what is heard most.
C_MAJOR = [60, 62, 64, 65, 67, 69, 71, 72, 60, 64, 67]
A_MINOR = [57, 59, 60, 62, 64, 65, 68, 69, 57, 60, 64]


def scale(pitches: list[int], shift: int = 0) -> Score:
    return score_of([(4 * n, 4, pitch + shift) for n, pitch in enumerate(pitches)])


def weighted(weights: list[float] | np.ndarray) -> Score:
    """The twelve pitch classes from middle C on, each as long as its weight."""
    return score_of([(0, round(100 * weight), 60 + n) for n, weight in enumerate(weights)])


def test_scales_are_in_their_keys():
    assert find_key(scale(C_MAJOR)) == (0, False)
    assert find_key(scale(C_MAJOR, 7)) == (7, False)  # G major
    assert find_key(scale(A_MINOR)) == (9, True)


@pytest.mark.parametrize("tonic", range(12))
def test_every_key_is_found_in_its_own_profile(tonic):
    # What sounds exactly as long as the ratings say correlates with them perfectly.
    assert find_key(weighted(np.roll(MAJOR, tonic))) == (tonic, False)
    assert find_key(weighted(np.roll(MINOR, tonic))) == (tonic, True)


def test_octaves_do_not_matter_and_lengths_do():
    spread = score_of([(0, 4, pitch + 12 * (n % 3)) for n, pitch in enumerate(C_MAJOR)])
    assert find_key(spread) == (0, False)
    # The same seven white keys: a long C, E and G, or a long A, C and E.
    white = [60, 62, 64, 65, 67, 69, 71]
    major = score_of([(0, 40 if pitch in (60, 64, 67) else 4, pitch) for pitch in white])
    minor = score_of([(0, 40 if pitch in (69, 60, 64) else 4, pitch) for pitch in white])
    assert find_key(major) == (0, False)
    assert find_key(minor) == (9, True)


def test_drums_do_not_count():
    tracks = [Track(), Track("kit", 0, True)]
    pitched = [(4 * n, 4, pitch + 7, 80, 0) for n, pitch in enumerate(C_MAJOR)]
    drums = [(0, 4000, pitch, 80, 1) for pitch in (60, 64, 67)]
    assert find_key(score_of(pitched + drums, tracks=tracks)) == (7, False)


@pytest.mark.parametrize(
    "score",
    [
        score_of([]),
        score_of([(0, 4, 60, 80, 0)], tracks=[Track("kit", 0, True)]),
        weighted([1.0] * 12),
    ],
    ids=["no notes", "drums alone", "all alike"],
)
def test_what_tells_no_key_stays_where_it_is(score):
    assert find_key(score) == (0, False)
    assert tonic_shift(score) == 0


# Semitones from each tonic, C to B, to the nearest C; a tritone goes down. To the nearest A the
# same, counted from A.
TO_C = [0, -1, -2, -3, -4, -5, -6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("tonic", range(12))
def test_pieces_move_the_short_way_to_c_major_or_a_minor(tonic):
    assert tonic_shift(scale(C_MAJOR, tonic)) == TO_C[tonic]
    assert tonic_shift(scale(A_MINOR, tonic)) == TO_C[tonic]


@given(scores())
@few(60)
def test_no_score_moves_further_than_half_an_octave(score):
    tonic, minor = find_key(score)
    assert tonic in range(12)
    assert -6 <= tonic_shift(score) <= 5
    assert (tonic + tonic_shift(score)) % 12 == (9 if minor else 0)


# The melodies of two of Bach's chorales, pitch:eighths. BWV 269, "Aus meines Herzens Grunde", up to
# the repeat, is in G major; BWV 10.7, "Lob und Preis sei Gott", in G minor.
GRUNDE = """
    67:2 67:4 74:2 71:3 69:1 67:2 67:3 69:1 71:2 69:4 71:2 74:4 72:2 71:2 69:4
    67:4
"""
LOB = """
    74:4 77:4 74:2 74:2 74:2 74:2 75:4 74:4 72:4 72:4 70:8 74:4 77:4 72:2 72:2
    72:2 67:2 70:4 69:4 67:8 74:4 77:4 74:2 74:2 74:2 74:2 75:4 74:4 72:4 72:4
    70:8 74:4 77:4 72:2 72:2 72:2 72:2 72:4 67:2 69:2 70:4 69:4 67:32
"""


@pytest.mark.parametrize(
    ("melody", "key"), [(GRUNDE, (7, False)), (LOB, (7, True))], ids=["BWV 269", "BWV 10.7"]
)
def test_a_real_melody_is_in_the_key_it_is_printed_in(melody, key):
    pitches, lengths = np.array([note.split(":") for note in melody.split()], dtype=int).T
    notes = zip(lengths.cumsum() - lengths, lengths, pitches, strict=True)
    assert find_key(score_of(notes)) == key
