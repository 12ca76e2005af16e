"""What is said of a run: its corpus before the training, its figures at the end."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

from musengine.data.dataset import Dataset, total_steps
from musengine.encoding.left_out import told_left_out
from musengine.runs.evaluate import Figures
from musengine.utils.format import counted, shown_number

logger = logging.getLogger(__name__)

_BESIDE = ("_low", "_high", "_human")
"""Ends of names of figures that are said beside another."""

WARNINGS_SHOWN = 3
"""How many pieces with something odd about them are named."""


def tell_figures(results: Mapping[str, Figures]) -> None:
    """Say the figures of each part, a line for each; details are in the run folder."""
    for part, figures in results.items():
        shown = "  ".join(
            _shown(name, figures)
            for name, value in figures.items()
            if isinstance(value, (int, float)) and not name.endswith(_BESIDE)
        )
        logger.info(f"{part}: {shown}")


def tell_figures_in_short(results: Mapping[str, Figures], run: Path) -> None:
    """Say of each part what compares across models, and where the other figures are."""
    for part, figures in results.items():
        if "nats_per_note" not in figures:
            tell_figures({part: figures})
            continue
        held_out = counted(int(figures["pieces"]), "piece")
        told = _with_interval("nats_per_note", figures).removeprefix("nats_per_note ")
        logger.info(f"on {held_out} not learned from: {told} nats a note, the lower the better")
    logger.info(f"all figures: {run / 'evaluation.json'}")


def _shown(name: str, figures: Figures) -> str:
    """Return a figure with its interval, and with that of music by people."""
    human = figures.get(f"{name}_human")
    beside = "" if human is None else f" (human music {shown_number(human, 4)})"
    return _with_interval(name, figures) + beside


def _with_interval(name: str, figures: Figures) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    if low is None or high is None or math.isnan(low):
        return f"{name} {shown_number(figures[name])}"
    return (
        f"{name} {shown_number(figures[name])} ({shown_number(low, 4)} to {shown_number(high, 4)})"
    )


def tell_dataset(dataset: Dataset) -> None:
    """Say what is in the corpus, and what was odd or left out."""
    for notice in dataset.notices:
        logger.info(f"note: {notice}")
    for part, pieces in dataset.parts.items():
        steps = total_steps(pieces)
        if pieces:
            logger.info(f"{part}: {counted(len(pieces), 'piece')}, {counted(steps, 'step')}")
    if not dataset.parts["valid"]:
        logger.warning(
            "no pieces are held out, so nothing shows how well the model does on new music "
            "(corpus.valid sets the share)"
        )
    if told := told_left_out(dataset.left_out):
        logger.info(f"left out: {told}")
    _tell_copies(dataset)
    _report_warnings(dataset)
    if dataset.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in dataset.ignored.most_common(5))
        logger.info(f"not music files: {kinds}")
    if dataset.later:
        are = "is" if len(dataset.later) == 1 else "are"
        logger.info(
            f"{counted(len(dataset.later), 'file')} {are} left out, such as {dataset.later[0]}: "
            "not there when the run began, or more than there was time for; --new looks again"
        )
    if dataset.skipped:
        logger.info(f"{counted(len(dataset.skipped), 'file')} skipped, listed at the end")


def _tell_copies(dataset: Dataset) -> None:
    if dataset.copies:
        number = len(dataset.copies)
        are = "piece is a copy of another" if number == 1 else "pieces are copies of others"
        logger.info(f"{number:,} {are}, note by note (corpus.duplicates)")
    if dataset.straddling:
        first = dataset.straddling[0]
        logger.warning(
            f"{counted(len(dataset.straddling), 'piece')} of one part with the notes of a piece "
            f"held out, such as {first} and {dataset.copies[first]}; corpus.duplicates = 'drop' "
            "leaves them out"
        )


def _report_warnings(dataset: Dataset) -> None:
    """Say what was odd about the first few pieces, and how many there are."""
    odd = dataset.warnings
    if not odd:
        return
    listed = list(odd.items())[:WARNINGS_SHOWN]
    for name, lines in listed:
        logger.info(f"odd: {name}: {lines[0]}")
    if len(odd) > len(listed):
        left = counted(len(odd) - len(listed), "piece")
        logger.info(f"odd: {left} more, listed in the run's split.json")
