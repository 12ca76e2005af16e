"""The command `originality`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musengine.api import CommandContext, ExitStatus
from musengine_evaluation.corpus_arguments import (
    add_pieces,
    number_or_none,
    read_pieces,
    read_reference,
)

if TYPE_CHECKING:
    from musengine.api import Score, Writer
    from musengine_evaluation.corpus_index import PieceOriginality

logger = logging.getLogger(__name__)


def add_originality_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine originality`."""
    add_pieces(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write each piece's closest passages as MIDI files"
    )


def originality(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine originality`."""
    from musengine_evaluation import corpus_index
    from musengine_evaluation.settings import OriginalityConfig

    paths, scores = read_pieces(parsed, context)
    reference = read_reference(parsed.against, context)
    logger.info("looking through the corpus")
    index = corpus_index.Index(reference.train(), OriginalityConfig())
    with context.reporter.bar("comparing") as bar:
        found = []
        for done, score in enumerate(scores, 1):
            found.append(index.find(score))
            bar.update(done / len(scores), f"{done} of {len(scores)} pieces")
        human = index.of_humans(reference.held_out())
    if parsed.out is not None:
        writer: Writer[Any] = context.registry.get("writer", "midi").configured({}).create()
        corpus = dict(reference.train())
        _write_passages(parsed.out, writer, paths, scores, found, index.ids, corpus)
    report = {
        "pieces": [
            {"path": path, **_as_json(each, index.ids)}
            for path, each in zip(paths, found, strict=True)
        ],
        "generated": _estimates(found),
        "human": _estimates(human),
    }
    if parsed.json:
        print(json.dumps(report, indent=1))
    else:
        _show_originality(report)
    return ExitStatus.DONE


def _as_json(found: PieceOriginality, ids: list[str]) -> dict[str, Any]:
    from musengine_evaluation.note_sets import STEP

    size = float(STEP.size)
    run, overlap = found.run, found.overlap
    figures: dict[str, Any] = {
        name: number_or_none(value) for name, value in found.figures().items()
    }
    if run.piece >= 0:
        figures["longest_run_at"] = {
            "beat": run.start * size,
            "piece": ids[run.piece],
            "its_beat": run.there * size,
            "semitones": run.shift,
        }
    if overlap.piece >= 0:
        figures["closest_passage_at"] = {
            "beat": overlap.both_from[0] * size,
            "piece": ids[overlap.piece],
            "its_beat": overlap.both_from[1] * size,
            "semitones": overlap.shift,
        }
    return figures


def _estimates(found: list[PieceOriginality]) -> dict[str, Any]:
    from musengine_evaluation.corpus_index import summary

    return {
        name: {
            "mean": number_or_none(estimate.mean),
            "low": number_or_none(estimate.low),
            "high": number_or_none(estimate.high),
            "pieces": estimate.count,
        }
        for name, estimate in summary(found).items()
    }


_TITLES = {
    "ngram_share": "share of n-grams found",
    "longest_run": "longest run, notes",
    "overlap": "overlap of notes",
    "closest_passage": "closest passage",
}


def _show_originality(report: dict[str, Any]) -> None:
    for piece in report["pieces"]:
        figures = "  ".join(f"{_TITLES[name]} {_shown(piece[name])}" for name in _TITLES)
        print(f"{piece['path']}: {figures}")
        if (place := piece.get("closest_passage_at")) is not None:
            print(
                f"{piece['path']}: its closest passage, from beat {_shown(place['beat'])}, is in "
                f"{place['piece']} from beat {_shown(place['its_beat'])} ({place['semitones']:+d})"
            )
    for name, title in _TITLES.items():
        both = [_written(report[whose][name]) for whose in ("generated", "human")]
        print(f"{title}: these pieces {both[0]}, held-out human music {both[1]}")


def _written(estimate: dict[str, Any]) -> str:
    if estimate["mean"] is None:
        return "unknown"
    if estimate["low"] is None:
        return _shown(estimate["mean"])
    bounds = f"{_shown(estimate['low'])} to {_shown(estimate['high'])}"
    return f"{_shown(estimate['mean'])} ({bounds})"


def _shown(value: float | None) -> str:
    from musengine.api import shown_number

    return "-" if value is None else shown_number(value, 3)


def _write_passages(
    folder: Path,
    writer: Writer[Any],
    paths: list[str],
    scores: list[Score],
    found: list[PieceOriginality],
    ids: list[str],
    corpus: dict[str, Score],
) -> None:
    """Write each piece's window that is closest to the corpus, and the corpus's passage."""
    from musengine.api import counted, whole_file
    from musengine_evaluation.corpus_index import passages

    written = 0
    for number, (path, score, each) in enumerate(zip(paths, scores, found, strict=True), 1):
        if each.overlap.piece < 0:
            continue
        pair = passages(score, corpus[ids[each.overlap.piece]], each.overlap)
        for name, passage in zip(("passage", "closest"), pair, strict=True):
            target = folder / f"{number:03}-{Path(path).stem}-{name}.mid"
            with whole_file(target, "--out") as aside:
                writer.write(passage, aside)
            written += 1
    logger.info(f"{counted(written, 'file')} in {folder}")
