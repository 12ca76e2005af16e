"""How fast ABC tunes are read as scores, beside music21."""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings

from common import data_folder, write_result

from musengine.api import Item
from musengine_notation.abc.book import tunes_of
from musengine_notation.abc.reader import AbcReader
from musengine_notation.config import AbcConfig


def ours(paths: list[Item]) -> tuple[float, int]:
    """Return the seconds of processor time that all files take, checks included, and the tunes."""
    reader = AbcReader(AbcConfig())
    began = time.process_time()
    count = sum(len(list(reader.read(item))) for item in paths)
    return time.process_time() - began, count


def theirs(texts: list[str]) -> float:
    """Return the seconds of processor time that music21 takes to parse the tunes, no scores made.

    What it says of tunes it cannot parse is not shown.
    """
    from music21 import converter

    began = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for text in texts:
            with contextlib.suppress(Exception):
                converter.parseData(text, format="abc")
    return time.process_time() - began


def main() -> None:
    """Measure on the tunes of the Nottingham collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="music21 gets every so many-th tune")
    every = parser.parse_args().every
    folder = data_folder() / "nottingham" / "ABC_cleaned"
    items = [Item(path, path.name) for path in sorted(folder.glob("*.abc"))]
    texts = [tune.text for item in items for tune in tunes_of(item.path.read_text("utf-8"))]
    ours(items[:1])
    theirs(texts[:1])
    seconds, count = min(ours(items) for _ in range(3))
    parsed = theirs(texts[::every]) * len(texts) / len(texts[::every])
    figures = {
        "tunes": count,
        "musengine to Score, seconds": round(seconds, 2),
        "music21 parses, seconds": round(parsed, 1),
        "times music21": round(parsed / seconds, 1),
    }
    write_result("abc_tunes", f"python benchmarks/abc_tunes.py --every {every}", figures)


if __name__ == "__main__":
    main()
