"""Whether tunes in ABC have the notes that abc2midi plays, and which of them have not.

With repeats played, and chord symbols, ornaments, grace notes and the rhythm of hornpipes left out
on both sides; pitches and onsets are compared.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from common import ROOT, data_folder, write_result

sys.path.insert(0, str(ROOT / "plugins" / "musengine-notation" / "tests"))
from beside_abc2midi import Agreement, compared


def compared_alone(book: Path) -> Agreement:
    """Compare the tunes of one book, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return compared([book], Path(folder))


def collection(books: list[Path], pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Return how many tunes of some books are equal, and which are not."""
    found = list(pool.map(compared_alone, books))
    tunes = sum(each.tunes for each in found)
    as_they_stand = [name for each in found for name in each.as_they_stand]
    different = [name for each in found for name in each.different]
    return {
        "tunes": tunes,
        "equal as they stand": round(1 - len(as_they_stand) / tunes, 4),
        "equal with the signs of repeats written out": round(1 - len(different) / tunes, 4),
        "different": different,
    }


def main() -> None:
    """Compare the Nottingham collection, and the tunes in ABC that are in music21."""
    import music21

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all collections of music21")
    every = parser.parse_args().all

    if shutil.which("abc2midi") is None:
        raise SystemExit("abc2midi is not installed; Debian has it in the package abcmidi")
    inside = Path(music21.__file__).parent / "corpus"
    books = {"Nottingham": sorted((data_folder() / "nottingham" / "ABC_cleaned").glob("*.abc"))}
    for path in sorted(inside.rglob("*.abc") if every else inside.glob("airdsAirs/*.abc")):
        books.setdefault(path.relative_to(inside).parts[0], []).append(path)
    version = subprocess.run(["abc2midi", "-ver"], capture_output=True, text=True, check=False)
    figures: dict[str, Any] = {}
    with ProcessPoolExecutor(2) as pool:
        for name, paths in books.items():
            figures[name] = collection(paths, pool)
    tunes = sum(each["tunes"] for each in figures.values())
    equal = 1 - sum(len(each["different"]) for each in figures.values()) / tunes
    whole = {
        "abc2midi": version.stdout.split()[0],
        "tunes": tunes,
        "equal with the signs of repeats written out": round(equal, 4),
    }
    write_result(
        "abc_agreement",
        f"python benchmarks/abc_agreement.py{' --all' * every}",
        {"all": whole, **figures},
        ("musengine", "musengine-notation", "music21"),
    )


if __name__ == "__main__":
    main()
