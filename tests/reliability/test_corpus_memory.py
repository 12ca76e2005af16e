"""Memory does not grow with the corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musengine.builtin.midi.writer import MidiWriter
from musengine.declarations import NoSettings
from musengine.score import Score

SCRIPT = """
import resource, sys
from pathlib import Path
from musengine import pipeline, plugins
from musengine.corpus import prepare, read_corpus, total_steps

if __name__ == "__main__":
    registry = plugins.load_from([]).registry
    loaded = pipeline.load(Path("pipeline.toml"), registry, [f"corpus.path={sys.argv[1]}"])
    dataset = prepare(loaded, read_corpus(loaded, registry), loaded.encoder.create())
    pieces = dataset.parts["train"]
    # Twice over all the arrays, as training does.
    sounding = sum(int(piece.encoded.steps.sum()) for _ in range(2) for piece in pieces)
    assert sounding > 0
    own, workers = (
        resource.getrusage(whose).ru_maxrss
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(total_steps(pieces), own, workers)
"""

PIPELINE = """
[corpus]
path = "few"
transpose = "-3..3"
cache = false
valid = 0.0

[model]
type = "frequencies"
"""


def music(folder: Path, count: int) -> None:
    """MIDI files of two minutes each."""
    drawn = np.random.default_rng(5)
    folder.mkdir()
    for number in range(count):
        score = Score.from_notes(
            np.sort(drawn.integers(0, 240 * 24, 300)),
            drawn.integers(1, 48, 300),
            drawn.integers(30, 90, 300),
            ticks_per_beat=24,
        )
        MidiWriter(NoSettings()).write(score, folder / f"{number:03}.mid")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="asks POSIX for the peak of memory")
def test_ten_times_the_files_take_a_fifth_more_memory_at_most(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    figures = {}
    for name, count in (("few", 60), ("many", 600)):
        music(tmp_path / name, count)
        done = subprocess.run(
            [sys.executable, "script.py", name],
            cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
        figures[name] = [int(word) for word in done.stdout.split()]
    few, many = figures["few"], figures["many"]
    # 600 pieces in seven keys, 960 sixteenths of 88 bytes each: 350 MB of arrays.
    assert many[0] == pytest.approx(600 * 7 * 960, rel=0.02)
    assert many[1] < 1.2 * few[1]
    assert many[2] < 1.2 * few[2]
