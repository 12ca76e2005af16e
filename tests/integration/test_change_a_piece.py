"""The page about changing a piece, its commands given one after another."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("musengine_notes")

from musengine.api import Score, Track
from musengine.testing import read_midi, rows_of, run_command, write_midi

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "change-a-piece.md"
SMALL = ("model.width=16", "model.hidden=8", "model.layers=1", "training.steps=4")
SMALL += (
    "training.batch_size=4",
    "training.sequence_length=32",
    "corpus.jobs=1",
    "generate.count=0",
)
FEW = ("generate.passages=2", "generate.count=4", "sampler.0.copy=0.0", "generate.seed=1")
BAR = 4 * 480


def song(seed: int, *, strings: bool) -> Score:
    """Eight bars of a piano, a bass and drums, and perhaps strings."""
    drawn = np.random.default_rng(seed)
    rows = [(480 * beat, 480, 60 + drawn.integers(0, 12), 80, 0) for beat in range(32)]
    rows += [(960 * half, 900, 36 + drawn.integers(0, 12), 80, 1) for half in range(16)]
    rows += [(480 * beat, 60, 36, 100, 2) for beat in range(32)]
    rows += [(BAR * bar, BAR, 70, 60, 3) for bar in range(8) if strings]
    tracks = [Track("piano", 0), Track("bass", 33), Track("drums", 0, is_drum=True)]
    tracks += [Track("strings", 44)] * strings
    return Score.from_notes(*np.array(rows).T, ticks_per_beat=480, tracks=tracks)


@pytest.mark.slow
def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text("utf-8")
    pipeline, commands = (
        "\n".join(re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        for kind in ("toml", "console")
    )
    Path("change.toml").write_text(pipeline)
    for seed in range(6):
        write_midi(song(seed, strings=True), Path("songs", f"{seed}.mid"))
    write_midi(song(9, strings=False), Path("song.mid"))
    for line in filter(None, commands.splitlines()):
        words = shlex.split(line.removeprefix("$ musengine "))
        more = SMALL if words[0] == "run" else FEW
        done = run_command(*words, settings=more)
        assert done.status == 0, (line, done.err)

    before = read_midi(Path("song.mid"))
    for folder, first, after, tracks in (
        ("bars", 4 * BAR, 8 * BAR, {0, 1, 2}),
        ("bass", 4 * BAR, 8 * BAR, {1}),
        ("strings", 0, 8 * BAR, {3}),
        ("low", 0, 4 * BAR, {0, 1, 2}),
    ):
        files = sorted(Path(folder).glob("*.mid"))
        assert len(files) == 4
        for path in files:
            piece = read_midi(path)
            old, new = Counter(rows_of(before)), Counter(rows_of(piece))
            for onset, *_, track in ((old - new) + (new - old)).elements():
                assert first <= onset < after
                assert track in tracks
    assert any(read_midi(path).tracks[3:] for path in Path("strings").glob("*.mid"))
    assert len(list(Path("rhythm").glob("*.mid"))) == 4
