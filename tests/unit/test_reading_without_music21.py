"""A folder of several kinds of music, where the library for one of them is not installed."""

from __future__ import annotations

import sys

from helpers import score_of, write_midi
from musengine.data.reading import read_sources
from musengine.pipeline.values import Source
from musengine.plugins import manager


def test_what_needs_no_library_is_read_and_the_rest_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    write_midi(score_of([(0, 4, 60)]), tmp_path / "a.mid")
    (tmp_path / "b.abc").write_text("X:1\nM:4/4\nK:C\nC|\n", encoding="utf-8")
    (tmp_path / "c.xml").write_text("<score-partwise/>", encoding="utf-8")
    registry = manager.load_from([]).registry
    reading = read_sources([Source(str(tmp_path))], registry, accepts=("score",))
    assert [piece.id for piece in reading.pieces] == ["a.mid"]
    reason = (
        "reader 'notation' needs a library that is not installed: "
        'pip install "musengine[music21]"'
    )
    assert [(skipped.path, skipped.reason) for skipped in reading.skipped] == [
        (str(tmp_path / name), reason) for name in ("b.abc", "c.xml")
    ]
