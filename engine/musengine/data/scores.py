"""Scores out of files and folders, held in memory."""

from __future__ import annotations

import logging
from pathlib import Path

from musengine.data.reading import read_sources
from musengine.errors import UserError
from musengine.music.score import Score
from musengine.pipeline.values import Source
from musengine.plugins.manager import load_registry
from musengine.plugins.registry import Registry
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)

_NAMED = 10
"""How many files an error names that cannot be read."""


def read_scores(
    *paths: str | Path,
    registry: Registry | None = None,
    jobs: int = 0,
    reporter: ProgressReporter = SILENT,
) -> dict[str, Score]:
    """Return the scores of files, folders and built-in corpora by the ids of their pieces.

    In a folder the id of a file's piece is the file's path in it. A file that cannot be read is
    left out, with a warning.

    Args:
        paths: files, folders, or `SCHEME:NAME` corpora.
        registry: where readers are found, those that are installed without one.
        jobs: worker processes, 0 for one on each core; a few files are read without any.
        reporter: receives the progress.

    Raises:
        UserError: a path does not exist, a file has no reader, or there is no music at all.
    """
    sources = [Source.from_toml(str(path), Path.cwd()) for path in paths]
    registry = load_registry() if registry is None else registry
    reading = read_sources(sources, registry, accepts=("score",), jobs=jobs, reporter=reporter)
    reasons = [f"{entry.path}: {entry.reason}" for entry in reading.skipped]
    if not reading.pieces:
        where, why = ", ".join(map(str, paths)), "; ".join(reasons[:_NAMED]) or "no music files"
        raise UserError(f"no music in {where}: {why}", code="no-music")
    for reason in reasons:
        logger.warning(f"skipped {reason}")
    return {piece.id: piece.content for piece in reading.pieces if isinstance(piece.content, Score)}
