from __future__ import annotations

from pathlib import Path

import pytest

from musengine.config.general_midi import GENERAL_MIDI, near_instruments
from musengine.config.quantities import Instrument

# The sixteen families of General MIDI Level 1, eight programs each, by their first instrument.
FAMILIES = [
    "Acoustic Grand Piano",
    "Celesta",
    "Drawbar Organ",
    "Acoustic Guitar (nylon)",
    "Acoustic Bass",
    "Violin",
    "String Ensemble 1",
    "Trumpet",
    "Soprano Sax",
    "Piccolo",
    "Lead 1 (square)",
    "Pad 1 (new age)",
    "FX 1 (rain)",
    "Sitar",
    "Tinkle Bell",
    "Guitar Fret Noise",
]


def test_there_are_128_different_names():
    assert len(GENERAL_MIDI) == 128
    assert len({name.lower() for name in GENERAL_MIDI}) == 128


def test_the_families_begin_where_the_standard_says():
    assert list(GENERAL_MIDI[::8]) == FAMILIES
    assert GENERAL_MIDI[19] == "Church Organ"
    assert GENERAL_MIDI[73] == "Flute"
    assert GENERAL_MIDI[127] == "Gunshot"


@pytest.mark.parametrize("program", range(128))
def test_every_instrument_is_found_by_number_and_by_name(program):
    base = Path()
    assert Instrument.from_toml(program, base) == Instrument(program)
    name = Instrument(program).to_toml()
    assert Instrument.from_toml(name, base) == Instrument(program)
    assert Instrument.from_toml(f" {name.upper()} ", base) == Instrument(program)


def test_an_unknown_instrument_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'church organ'"):
        Instrument.from_toml("chruch organ", Path())
    with pytest.raises(ValueError, match=r"got 'zither'$"):
        Instrument.from_toml("zither", Path())
    for wrong in (128, -1, True, 1.0, None):
        with pytest.raises(ValueError, match="General MIDI program number"):
            Instrument.from_toml(wrong, Path())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        # A word of the name, or its beginning, says more than the spelling of the whole.
        ("tenor", ["tenor sax"]),
        ("grand PIANO", ["acoustic grand piano", "electric grand piano"]),
        ("nylon guitar", ["acoustic guitar (nylon)"]),
        ("string ens", ["string ensemble 1", "string ensemble 2"]),
        ("organ", ["drawbar organ", "percussive organ", "rock organ", "church organ"]),
        ("harmonika", ["harmonica"]),
        ("qqq", []),
        ("", []),
    ],
)
def test_near_names_share_words_or_spelling(name, near):
    found = near_instruments(name)
    assert found[: len(near)] == near
    assert near or not found
