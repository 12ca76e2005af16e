"""Memory does not grow with the corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import spread, write_random_midi
from musengine.testing import unpack

PEAK = """
from pathlib import Path
import resource

def peak() -> int:
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts in ru_maxrss what the process that started this one had.
        (line,) = [each for each in status.read_text().splitlines() if each.startswith("VmHWM:")]
        return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""
"""A function that gives the most memory a process has taken, in a unit of the system's."""

SCRIPT = f"""{PEAK}
import sys
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins import manager
from musengine.data.dataset import prepare, read_corpus, total_steps

if __name__ == "__main__":
    registry = manager.load_from([]).registry
    loaded = load_pipeline(Path("pipeline.toml"), registry, [f"corpus.path={{sys.argv[1]}}"])
    dataset = prepare(loaded, read_corpus(loaded, registry), loaded.encoder.create())
    pieces = dataset.parts["train"]
    # Twice over all the arrays, as training does.
    sounding = sum(int(piece.encoded.steps.sum()) for _ in range(2) for piece in pieces)
    assert sounding > 0
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(total_steps(pieces), peak(), workers)
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="asks POSIX for the peak of memory")
def test_ten_times_the_files_take_a_fifth_more_memory_at_most(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    figures = {}
    for name, count in (("few", 60), ("many", 600)):
        # Of two minutes each.
        write_random_midi(tmp_path / name, count, beats=240, notes=300)
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


RUN = f"""{PEAK}
import sys
from musengine.cli.main import main

if __name__ == "__main__":
    arguments = ["run", "pipeline.toml", "--quiet", "--run-dir", f"run {{sys.argv[1]}}"]
    status = main([*arguments, "--set", f"corpus.path={{sys.argv[1]}}"])
    print(status, peak())
"""

WHOLE = """
[corpus]
path = "few"
jobs = 1
cache = false

[generate]
count = 2
length = "8 bars"

"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="asks POSIX for the peak of memory")
@pytest.mark.parametrize(
    "model",
    [
        '[model]\ntype = "frequencies"',
        '[model]\ntype = "lstm3"\nlayers = [16, 16, 16]\n[training]\nsteps = 1\nthreads = 1',
    ],
    ids=["frequencies", "lstm3"],
)
def test_a_whole_run_over_ten_times_the_real_files_takes_a_fifth_more_at_most(
    data_folder: Path, tmp_path: Path, model: str
) -> None:
    if "lstm3" in model:
        pytest.importorskip("musengine_lstm3")
    archive = data_folder / "pop909" / "pop909-versions-001-808.tar.gz"
    many = unpack(archive, tmp_path / "many", 600)
    for path in spread(many, 60):
        target = tmp_path / "few" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "pipeline.toml").write_text(WHOLE + model, encoding="utf-8")
    (tmp_path / "script.py").write_text(RUN, encoding="utf-8")
    peaks = []
    for name in ("few", "many"):
        done = subprocess.run(
            [sys.executable, "script.py", name],
            cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
        status, peak = done.stdout.split()
        assert status == "0", done.stderr
        peaks.append(int(peak))
    few, more = peaks
    assert more < 1.2 * few, f"{few:,} KiB over 60 files, {more:,} over 600"
