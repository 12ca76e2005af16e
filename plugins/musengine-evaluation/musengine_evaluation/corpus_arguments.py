"""What commands that hold pieces against a corpus share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.api import CommandContext
from musengine.errors import UserError

if TYPE_CHECKING:
    from musengine.api import ReadResult, Reference, Score


def add_pieces(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the pieces and the corpus."""
    parser.add_argument("pieces", nargs="+", metavar="PIECE", help="a file or folder of music")
    parser.add_argument(
        "--against", required=True, metavar="CORPUS", help="a folder, a built-in corpus or a run"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")


def read_pieces(
    parsed: argparse.Namespace, context: CommandContext
) -> tuple[list[str], list[Score]]:
    """Return the pieces' paths and their music; what cannot be read is reported."""
    from musengine.api import read_scores

    paths: list[str] = []
    scores: list[Score] = []
    for given in parsed.pieces:
        found = read_scores(given, registry=context.registry, reporter=context.reporter)
        is_folder = Path(given).is_dir()
        paths += [str(Path(given, name)) if is_folder else given for name in found]
        scores += found.values()
    return paths, scores


def read_reference(against: str, context: CommandContext) -> Reference:
    """Return the music of a run folder, which needs torch, or of a folder, which does not.

    Raises:
        UserError: there is none.
    """
    from musengine.api import Reference, Score, is_run_folder

    if is_run_folder(Path(against)):
        from musengine.api import music_of_run

        return music_of_run(Path(against), context.registry, context.reporter)
    pieces = [
        (piece.id, piece.content)
        for piece in _scores(against, context).pieces
        if isinstance(piece.content, Score)
    ]
    return Reference(lambda: pieces, tuple)


def _scores(path: str, context: CommandContext) -> ReadResult:
    from musengine.api import Source, read_sources

    source = Source.from_toml(path, Path.cwd())
    reading = read_sources(
        [source], context.registry, accepts=("score",), reporter=context.reporter
    )
    if not reading.pieces:
        reasons = [f"{entry.path}: {entry.reason}" for entry in reading.skipped[:10]]
        raise UserError(
            f"no music in {path}: {'; '.join(reasons) or 'no music files'}", code="no-music"
        )
    return reading


def number_or_none(value: float) -> float | None:
    """Return a number as JSON has it, which knows no NaN."""
    return value if math.isfinite(value) else None
