"""Names of pitches and the MIDI numbers they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.music.pitch_names import parse_pitch, parse_pitches, pitch_name


@pytest.mark.parametrize(
    ("name", "number"),
    # Middle C is C4 = 60; a piano goes from A0 = 21 to C8 = 108; MIDI from C-1 to G9.
    [("C4", 60), ("A0", 21), ("C8", 108), ("C-1", 0), ("G9", 127), ("Bb3", 58), ("f#3", 54)],
)
def test_names_stand_for_numbers(name: str, number: int) -> None:
    assert parse_pitch(name) == number


@given(st.integers(0, 127))
def test_every_number_is_what_its_name_says(number: int) -> None:
    assert parse_pitch(pitch_name(number)) == number
    assert parse_pitch(str(number)) == number


@pytest.mark.parametrize("text", ["", "H4", "128", "G#9", "Cb-1", "C", "c##4", "60.5"])
def test_no_pitches(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a pitch|is not from 0"):
        parse_pitch(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("21-108", (21, 108)), ("A0-C8", (21, 108)), ("C-1-G9", (0, 127)), ("C-1-C-1", (0, 0))],
)
def test_ranges(text: str, ends: tuple[int, int]) -> None:
    assert parse_pitches(text) == ends


@pytest.mark.parametrize("text", ["21", "108-21", "A0:C8", "-", "21-", "-108"])
def test_no_ranges(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a|upside down"):
        parse_pitches(text)
