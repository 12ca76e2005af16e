"""The command `similarity`."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import math
from typing import TYPE_CHECKING, Any

from musengine.api import CommandContext, ExitStatus
from musengine.errors import ConfigError
from musengine_evaluation.corpus_arguments import (
    add_pieces,
    number_or_none,
    read_pieces,
    read_reference,
)

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

_SIMILARITY = (
    ("window", "STEPS", "steps of a window (64)"),
    ("stride", "STEPS", "from window to window (1)"),
    ("sample", "N", "compare so many windows of a piece, drawn"),
    ("step", "STEP", "of the grid, as '1/4 beat' (1/8 beat)"),
    ("seed", "N", "of the drawing (0)"),
)


def add_similarity_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine similarity`."""
    add_pieces(parser)
    # The settings of the metric of that name, whose defaults hold here too.
    for key, metavar, words in _SIMILARITY:
        parser.add_argument(
            f"--{key}", type=functools.partial(_setting, key), metavar=metavar, help=words
        )


def _setting(key: str, text: str) -> Any:
    """Parse an option as the setting of that name of the metric `similarity`."""
    from musengine.api import build_config
    from musengine_evaluation.settings import SimilarityConfig

    value = int(text) if text.isdecimal() else text
    try:
        return getattr(build_config(SimilarityConfig, {key: value}), key)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.problems[0].message) from error


def similarity(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine similarity`."""
    from musengine.api import shown_number
    from musengine_evaluation import corpus_index
    from musengine_evaluation.interval import mean_and_interval
    from musengine_evaluation.settings import SimilarityConfig

    paths, scores = read_pieces(parsed, context)
    reference = read_reference(parsed.against, context)
    given = {key: getattr(parsed, key) for key, _, _ in _SIMILARITY}
    chosen = {key: value for key, value in given.items() if value is not None}
    with context.reporter.bar("comparing") as bar:
        percents = corpus_index.similarities(
            scores,
            lambda: (score for _, score in reference.train()),
            SimilarityConfig(**chosen),
            progress=lambda done: bar.update(done / len(scores), f"{done} of {len(scores)} pieces"),
        )
        human = corpus_index.human_similarities(reference, SimilarityConfig(**chosen), len(scores))
    known = mean_and_interval(human)
    if known.count:
        logger.info(f"music by people, for comparison: {shown_number(known.mean, 4)} %")
    if parsed.json:
        pieces = zip(paths, percents, strict=True)
        print(
            json.dumps(
                [{"path": path, "similarity": number_or_none(value)} for path, value in pieces]
            )
        )
        return ExitStatus.DONE
    for path, percent in zip(paths, percents, strict=True):
        print(f"{percent:6.2f} %  {path}" if math.isfinite(percent) else f"  empty   {path}")
    return ExitStatus.DONE
