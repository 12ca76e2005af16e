"""Time and memory for a large corpus: read and encoded, and started again from the cache."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from common import data_folder, peak_memory, stored_figures, write_result

ARCHIVE = "nottingham/nottingham-midi.tar.gz"
COMMAND = "python benchmarks/large_corpus.py --files 1000 10000 100000"
BEATS = 32
"""Length of the pieces that are cut from the tunes."""


def make(folder: Path, count: int) -> None:
    """Write so many different files: real tunes, each cut and transposed in many ways."""
    from musengine.builtin.midi.reader import MidiReader
    from musengine.interfaces.reader import Item
    from musengine.music.transforms import excerpt
    from musengine.plugins.declarations import NoSettings
    from musengine.testing import write_midi

    own, reader = folder / "originals", MidiReader(NoSettings())
    with tarfile.open(data_folder() / ARCHIVE) as archive:
        archive.extractall(own, filter="data")
    scores = []
    for path in sorted(own.rglob("*.mid")):
        (piece,) = reader.read(Item(path, path.name))
        scores.append(piece.content)
    for number in range(count):
        turn, index = divmod(number, len(scores))
        shift, start = turn % 11 - 5, turn // 11 * 4
        cut = excerpt(scores[index], start, start + BEATS)
        write_midi(cut.transpose(shift), folder / "music" / f"{number // 1000}/{number:06}.mid")
    time.sleep(3)  # files of the last two seconds are not known again


def prepared(folder: Path) -> dict[str, float]:
    """Return the seconds and the most memory, in MiB, of preparing a corpus in this process.

    Processor seconds are those of its workers, too: on a busy machine they tell more.
    """
    from musengine.data.dataset import prepare, read_corpus
    from musengine.pipeline.resolve import load_pipeline
    from musengine.plugins import manager

    registry = manager.load().registry
    file = folder / "large.toml"
    file.write_text(
        '[corpus]\npath = "music"\ncache = "cache"\n[model]\ntype = "frequencies"\n',
        encoding="utf-8",
    )
    built = load_pipeline(file, registry)
    began, before = time.monotonic(), sum(os.times()[:4])
    dataset = prepare(built, read_corpus(built, registry), built.encoder.create())
    pieces = sum(map(len, dataset.parts.values()))
    return {
        "seconds": round(time.monotonic() - began, 2),
        "processor seconds": round(sum(os.times()[:4]) - before, 2),
        "peak memory, MiB": round(peak_memory(), 1),
        "pieces": pieces,
    }


def measured(count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return the figures of a corpus of so many files, each of a process of its own.

    Args:
        count: how many files.
        folder: where they are, or are made.
    """
    if not (folder / "music").is_dir():
        make(folder, count)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    context = multiprocessing.get_context("spawn")
    found = {}
    for what in ("read and encoded", "started again"):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found[what] = pool.submit(prepared, folder).result()
    files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    found["read and encoded"]["cache, MiB"] = round(size / 2**20, 1)
    return found


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--work", type=Path, help="where the files are kept for another time")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = (parsed.work or Path(name)).resolve()
        for count in parsed.files:
            figures = stored_figures("large_corpus")
            for what, row in measured(count, work / str(count)).items():
                figures[f"{count:,} files, {what}"] = row
            write_result("large_corpus", COMMAND, figures, ("musengine",))


if __name__ == "__main__":
    main()
