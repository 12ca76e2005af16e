"""How fast MIDI files and tunes in ABC are read, beside other libraries, and in what memory."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.metadata
import io
import multiprocessing
import statistics
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from common import data_folder, peak_memory, write_result

from musengine.data.reading import read_sources
from musengine.data.storage.cache import Cache
from musengine.music import compiled as compiled_module
from musengine.pipeline.values import Source
from musengine.plugins import manager

ARCHIVES = ("pop909/pop909-main-001-808.tar.gz", "pop909/pop909-versions-001-808.tar.gz")
RUNS = 3
SLOW = 20
"""Libraries in Python get every so many-th file; the rate is that of these."""
TUNES = 1000
"""In ABC, which both readers get."""
MEMORY = (60, 600)
"""How many files the two runs have whose memory is compared."""


def pretty_midi_reads(path: Path) -> None:
    """Read one file with pretty_midi."""
    import pretty_midi

    pretty_midi.PrettyMIDI(str(path))


def pretty_midi_encodes(path: Path) -> None:
    """Read one file and make its piano-roll with pretty_midi."""
    import pretty_midi

    pretty_midi.PrettyMIDI(str(path)).get_piano_roll(fs=8)


def miditoolkit_reads(path: Path) -> None:
    """Read one file with miditoolkit."""
    import miditoolkit

    miditoolkit.MidiFile(str(path))


def symusic_reads(path: Path) -> None:
    """Read one file with symusic."""
    import symusic

    symusic.Score(str(path))


def symusic_reads_arrays(path: Path) -> Any:
    """Read one file with symusic, and put the notes and controllers of its tracks into arrays."""
    import numpy as np
    import symusic

    tracks = symusic.Score(str(path)).tracks
    notes = _columns([track.notes for track in tracks], "time", "duration", "pitch", "velocity")
    controls = _columns([track.controls for track in tracks], "time", "number", "value")
    bends = _columns([track.pitch_bends for track in tracks], "time", "value")
    part = [np.repeat(np.arange(len(tracks)), counts) for _, counts in (notes, controls, bends)]
    return notes[0], controls[0], bends[0], part


def _columns(lists: Sequence[Any], *names: str) -> tuple[Any, list[int]]:
    """Return the events of some tracks in one table, and how many each has."""
    import numpy as np

    columns = [each.numpy() for each in lists if len(each)]
    tables = [np.stack([each[name].astype(np.int64) for name in names]) for each in columns]
    return np.concatenate(tables, axis=1) if tables else None, [len(each) for each in lists]


class Ours:
    """Our reader, and our reader and encoder, a file at a time.

    Args:
        compiled: whether the reader may use what was compiled when the package was built.
    """

    def __init__(self, *, compiled: bool) -> None:
        from musengine.builtin.configs import PianoRollConfig
        from musengine.builtin.encoders.piano_roll import PianoRoll
        from musengine.builtin.midi import reader
        from musengine.plugins.configs import NoSettings

        self.compiled = reader.native_reader if compiled else None
        self.order = compiled_module.order if compiled else None
        self.reader = reader.MidiReader(NoSettings())
        self.encoder = PianoRoll(PianoRollConfig())

    def read(self, path: Path) -> Any:
        """Return the score of one file, None where it has no notes."""
        from musengine.builtin.midi import reader
        from musengine.errors import UnreadableError
        from musengine.interfaces.reader import Item

        reader.native_reader = self.compiled
        compiled_module.order = self.order
        try:
            (piece,) = self.reader.read(Item(path, path.name))
        except UnreadableError:
            return None
        return piece.content

    def encode(self, path: Path) -> None:
        """Read one file and make its piano-roll in sixteenths."""
        score = self.read(path)
        if score is not None:
            self.encoder.encode(score)


def rate(work: Callable[[Path], object], paths: Sequence[Path]) -> float:
    """Return files per second of processor time: other programs on the machine do not count."""
    began = time.process_time()
    for path in paths:
        work(path)
    return len(paths) / (time.process_time() - began)


def side_by_side(paths: Sequence[Path]) -> dict[str, float]:
    """Return the median rate of each; the runs of all take turns."""
    compiled, plain = Ours(compiled=True), Ours(compiled=False)
    if compiled.compiled is None:
        raise SystemExit("musengine was installed without a C compiler: install it with one")
    works: dict[str, tuple[Callable[[Path], object], Sequence[Path]]] = {
        "pretty_midi": (pretty_midi_reads, paths[::SLOW]),
        "pretty_midi and get_piano_roll(fs=8)": (pretty_midi_encodes, paths[::SLOW]),
        "miditoolkit": (miditoolkit_reads, paths[::SLOW]),
        "symusic": (symusic_reads, paths),
        "symusic, and its notes and controllers as arrays": (symusic_reads_arrays, paths),
        "musengine to Score, compiled": (compiled.read, paths),
        "musengine to piano-roll, compiled": (compiled.encode, paths),
        "musengine to Score, without a compiler": (plain.read, paths),
        "musengine to piano-roll, without a compiler": (plain.encode, paths),
    }
    for work, some in works.values():
        work(some[0])  # what is imported and made once is not counted
    gc.collect()
    gc.freeze()  # else each would look through what the others have imported, again and again
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(RUNS):
        for name, (work, some) in works.items():
            gc.collect()
            rates[name].append(rate(work, some))
    return {name: round(statistics.median(found), 1) for name, found in rates.items()}


def times(rates: dict[str, float], ours: str, other: str) -> dict[str, float]:
    """Return how many times the rate of another our rates are, both ways of reading."""
    ways = ("compiled", "without a compiler")
    return {way: round(rates[f"{ours}, {way}"] / rates[other], 1) for way in ways}


def whole_corpus(folder: Path, jobs: int) -> dict[str, float]:
    """Return files and notes per second of reading everything, workers' start and all."""
    registry = manager.load().registry
    times, notes, files = [], 0, 0
    for _ in range(RUNS):
        began = time.perf_counter()
        reading = read_sources([Source(str(folder))], registry, jobs=jobs, cache=Cache(None))
        times.append(time.perf_counter() - began)
        files = len(reading.pieces) + len(reading.skipped)
        notes = sum(len(piece.content) for piece in reading.pieces)  # type: ignore[arg-type]
        del reading
    seconds = statistics.median(times)
    return {
        "files": files,
        "notes": notes,
        "files per second": round(files / seconds, 1),
        "notes per second": round(notes / seconds),
    }


def peak_of_preparing(folder: Path) -> float:
    """Return the most memory, in MiB, that reading and preparing a folder takes in a process."""
    from musengine.data.dataset import prepare, read_corpus
    from musengine.pipeline.resolve import load_pipeline

    registry = manager.load().registry
    file = folder.parent / f"{folder.name}.toml"
    file.write_text(
        f'[corpus]\npath = "{folder.name}"\njobs = 1\ncache = "{folder.name}-cache"\n'
        '[model]\ntype = "frequencies"\n',
        encoding="utf-8",
    )
    built = load_pipeline(file, registry)
    encoder = built.encoder.create()
    prepare(built, read_corpus(built, registry), encoder)
    return round(peak_memory(), 1)


def memory(paths: Sequence[Path], folder: Path) -> dict[str, float]:
    """Return the peak memory of a few files and of ten times as many, each in a new process."""
    found: dict[str, float] = {}
    context = multiprocessing.get_context("spawn")
    for count in MEMORY:
        own = folder / f"files-{count}"
        own.mkdir()
        for index, path in enumerate(paths[:: len(paths) // count][:count]):
            (own / f"{index}.mid").write_bytes(path.read_bytes())
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found[f"{count} files, MiB"] = pool.submit(peak_of_preparing, own).result()
    few, many = found.values()
    return {**found, "ratio": round(many / few, 3)}


def seconds_of_abc(texts: Sequence[str]) -> float:
    """Return the seconds of processor time that our reader takes, checks and scores included."""
    from musengine_notation import abc_to_score
    from musengine_notation.abc.reader import faults_of, read_tune

    abc_to_score(texts[0])  # what is imported once is not counted
    began = time.process_time()
    for text in texts:
        faults_of(*read_tune(list(enumerate(text.split("\n"), 1))))
    return time.process_time() - began


def seconds_of_music21(texts: Sequence[str]) -> float:
    """Return the seconds of processor time that music21 takes to parse alone, no scores made.

    What it says of tunes it cannot parse is not shown.
    """
    from music21 import converter

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        converter.parseData(texts[0], format="abc")
        began = time.process_time()
        for text in texts:
            with contextlib.suppress(Exception):
                converter.parseData(text, format="abc")
    return time.process_time() - began


def abc() -> None:
    """Measure on the first tunes of the Nottingham collection."""
    from musengine_notation.abc.book import tunes_of

    books = sorted((data_folder() / "nottingham" / "ABC_cleaned").glob("*.abc"))
    texts = [tune.text for book in books for tune in tunes_of(book.read_text("utf-8"))][:TUNES]
    ours = min(seconds_of_abc(texts) for _ in range(RUNS))
    theirs = seconds_of_music21(texts)
    figures = {
        "tunes": len(texts),
        "musengine to Score, seconds": round(ours, 2),
        "music21 parses alone, seconds": round(theirs, 1),
        "times music21": round(theirs / ours, 1),
    }
    packages = ("musengine", "musengine-notation", "music21")
    write_result("ingest_abc", "python benchmarks/ingest.py --only abc", figures, packages)


def pop909(folder: Path) -> list[Path]:
    """Return all pop909 files, unpacked into a folder."""
    for archive in ARCHIVES:
        with tarfile.open(data_folder() / archive) as tar:
            tar.extractall(folder, filter="data")
    return sorted(folder.rglob("*.mid"))


def midi() -> None:
    """Measure everything on all pop909 files."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pop909"
        paths = pop909(folder)
        rates = side_by_side(paths)
        figures: dict[str, Any] = {
            "files": len(paths),
            "files per second of one processor": rates,
            "to Score, times pretty_midi": times(rates, "musengine to Score", "pretty_midi"),
            "to piano-roll, times pretty_midi and get_piano_roll": times(
                rates, "musengine to piano-roll", "pretty_midi and get_piano_roll(fs=8)"
            ),
            "read_sources, 1 job": whole_corpus(folder, 1),
            "read_sources, 2 jobs": whole_corpus(folder, 2),
            "peak memory of preparing": memory(paths, Path(temporary)),
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("symusic", "miditoolkit", "pretty_midi")
            },
        }
    write_result("ingest", "python benchmarks/ingest.py --only midi", figures)


def main() -> None:
    """Measure everything, or one part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("midi", "abc"), help="measure these alone")
    only = parser.parse_args().only
    if only != "abc":
        midi()
    if only != "midi":
        abc()


if __name__ == "__main__":
    main()
