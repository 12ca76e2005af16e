"""Piano-rolls of the first four pieces that `notes_pieces.py` made of a collection, in one picture.

    python benchmarks/notes_pictures.py [--minutes 20] [--collections pop909 ...] [--bars 16]

Two by two, the beginning of each, a colour for each part; they go to `docs/images`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import ROOT
from notes import COLLECTIONS, WORK, cell_of, folder_of
from PIL import Image

from musengine.api import Score, read_scores
from musengine_evaluation.features.form import first_bars
from musengine_media.config import PictureConfig
from musengine_media.picture import PictureWriter

WIDTH, HEIGHT = 560, 300
"""Pixels of one of the four."""
COLOURS = 32


def picture(scores: list[Score]) -> Image.Image:
    """Return the piano-rolls of four scores, two by two."""
    writer = PictureWriter(PictureConfig(format="png", width=WIDTH, height=HEIGHT))
    whole = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT))
    with tempfile.TemporaryDirectory() as folder:
        for number, score in enumerate(scores):
            file = Path(folder, f"{number}.png")
            writer.write(score, file)
            with Image.open(file) as one:
                whole.paste(one, (number % 2 * WIDTH, number // 2 * HEIGHT))
    return whole.quantize(COLOURS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=COLLECTIONS)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--work", type=Path, default=WORK)
    given = parser.parse_args()
    for collection in given.collections:
        run = folder_of(cell_of(collection, "notes", given.minutes, 0), given.work.resolve())
        files = sorted(run.with_name(f"{run.name}-pieces").glob("*.mid"))[:4]
        scores = [first_bars(score, given.bars) for score in read_scores(*files).values()]
        picture(scores).save(ROOT / "docs" / "images" / f"notes-{collection}.png", optimize=True)


if __name__ == "__main__":
    main()
