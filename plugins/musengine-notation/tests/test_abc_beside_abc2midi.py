"""Tunes beside abc2midi, where it is installed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from abc_rows import rows, tune
from beside_abc2midi import are_equal, compared, ours, theirs

from musengine_notation import abc_to_score

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "reading-abc.md"
RESULT = ROOT / "benchmarks" / "results" / "abc_agreement.json"

needs_abc2midi = pytest.mark.skipif(
    shutil.which("abc2midi") is None, reason="abc2midi is not installed (apt install abcmidi)"
)


def listed() -> list[str]:
    """The tunes that the page says are read otherwise."""
    return sorted(re.findall(r"^\| ([\w.-]+, X:\w+) \|", PAGE.read_text("utf-8"), re.MULTILINE))


@pytest.mark.skipif(not RESULT.is_file(), reason="no benchmarks")
def test_each_tune_that_was_found_to_differ_is_listed_with_who_is_right():
    figures = json.loads(RESULT.read_text(encoding="utf-8"))["figures"]
    assert listed() == sorted(
        name
        for collection in ("Nottingham", "airdsAirs")
        for name in figures[collection]["different"]
    )
    assert figures["all"]["equal with the signs of repeats written out"] >= 0.995


PLAIN = ("lengths", "octaves", "unit length changes", "modes", "ties", "tuplets", "rests")
"""Rows of the page in which nothing is left to a player."""


@needs_abc2midi
@pytest.mark.parametrize(
    ("what", "abc"), [row[:2] for row in rows("## What is understood") if row[0] in PLAIN]
)
def test_what_leaves_nothing_to_a_player_is_what_abc2midi_plays(tmp_path, what, abc):
    text = tune(abc)
    other = theirs(text, tmp_path)
    assert other is not None
    assert are_equal(ours(abc_to_score(text)), other), what


@needs_abc2midi
@pytest.mark.slow
def test_real_tunes_have_the_notes_that_abc2midi_plays(data_folder, tmp_path):
    music21 = pytest.importorskip("music21")
    books = sorted((data_folder / "nottingham" / "ABC_cleaned").glob("*.abc"))
    books += sorted((Path(music21.__file__).parent / "corpus" / "airdsAirs").glob("*.abc"))
    found = compared(books, tmp_path)
    assert found.tunes > 2000
    assert len(found.different) <= 0.005 * found.tunes, found.different
    if PAGE.is_file():
        assert listed() == sorted(found.different)
