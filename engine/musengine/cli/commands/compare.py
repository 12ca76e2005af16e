"""The commands that hold pieces and runs against others: similarity, originality, compare."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musengine.interfaces.command import CommandContext, ExitStatus

if TYPE_CHECKING:
    from musengine.data.reading import Reading
    from musengine.evaluation.corpus_index import PieceOriginality
    from musengine.interfaces.metric import Reference
    from musengine.music.score import Score
    from musengine.plugins.registry import Registry

logger = logging.getLogger(__name__)


def _add_pieces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pieces", nargs="+", metavar="PIECE", help="a file or folder of music")
    parser.add_argument(
        "--against", required=True, metavar="CORPUS", help="a folder, a built-in corpus or a run"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")


def add_similarity_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine similarity`."""
    _add_pieces(parser)
    # The settings of the metric of that name, whose defaults hold here too.
    for key, metavar, words in _SIMILARITY:
        parser.add_argument(
            f"--{key}", type=functools.partial(_setting, key), metavar=metavar, help=words
        )


def add_originality_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine originality`."""
    _add_pieces(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write each piece's closest passages as MIDI files"
    )


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine compare`."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--json", action="store_true", help="the table as JSON on stdout")


_SIMILARITY = (
    ("window", "STEPS", "steps of a window (64)"),
    ("stride", "STEPS", "from window to window (1)"),
    ("sample", "N", "compare so many windows of a piece, drawn"),
    ("step", "STEP", "of the grid, as '1/4 beat' (1/8 beat)"),
    ("seed", "N", "of the drawing (0)"),
)


def _setting(key: str, text: str) -> Any:
    """Parse an option as the setting of that name of the metric `similarity`."""
    from musengine.config.fields import build
    from musengine.evaluation.settings import SimilarityConfig

    table = {key: int(text) if text.isdecimal() else text}
    built, problems = build(SimilarityConfig, table, file="", name="", base_of=lambda key: Path())
    if built is None:
        raise argparse.ArgumentTypeError(problems[0].message)
    return getattr(built, key)


def _read(parsed: argparse.Namespace, context: CommandContext) -> tuple[list[str], list[Score]]:
    """Return the pieces' paths and their music; what cannot be read is told."""
    from musengine.evaluation.reference import read_scores
    from musengine.music.score import Score

    paths: list[str] = []
    scores: list[Score] = []
    for given in parsed.pieces:
        reading: Reading = read_scores([given], context.registry)
        for entry in reading.skipped:
            logger.warning(f"skipped {entry.path}: {entry.reason}")
        for piece in reading.pieces:
            if isinstance(piece.content, Score):
                paths.append(str(Path(given, piece.id)) if Path(given).is_dir() else given)
                scores.append(piece.content)
    return paths, scores


def _reference(against: str, registry: Registry) -> Reference:
    """Return the music of a run folder, which needs torch, or of a folder, which does not."""
    from musengine.runs.folder import RunFolder

    if RunFolder(Path(against)).exists:
        from musengine.runs.trained import music_of

        return music_of(RunFolder(Path(against)), registry)
    from musengine.evaluation.reference import of_sources

    return of_sources(against, registry)


def similarity(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine similarity`."""
    registry = context.registry
    from musengine.evaluation import corpus_index
    from musengine.evaluation.settings import SimilarityConfig

    paths, scores = _read(parsed, context)
    reference = _reference(parsed.against, registry)
    given = {key: getattr(parsed, key) for key, _, _ in _SIMILARITY}
    chosen = {key: value for key, value in given.items() if value is not None}
    with context.reporter.bar("comparing") as bar:
        percents = corpus_index.similarities(
            scores,
            lambda: (score for _, score in reference.train()),
            SimilarityConfig(**chosen),
            told=lambda done: bar.update(done / len(scores), f"{done} of {len(scores)} pieces"),
        )
    if parsed.json:
        pieces = zip(paths, percents, strict=True)
        print(json.dumps([{"path": path, "similarity": _number(value)} for path, value in pieces]))
        return ExitStatus.DONE
    for path, percent in zip(paths, percents, strict=True):
        print(f"{percent:6.2f} %  {path}" if math.isfinite(percent) else f"  empty   {path}")
    return ExitStatus.DONE


def _number(value: float) -> float | None:
    """Return a number as JSON has it, which knows no NaN."""
    return value if math.isfinite(value) else None


def originality(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine originality`."""
    registry = context.registry
    from musengine.evaluation import corpus_index
    from musengine.evaluation.settings import OriginalityConfig

    paths, scores = _read(parsed, context)
    reference = _reference(parsed.against, registry)
    logger.info("looking through the corpus")
    index = corpus_index.Index(reference.train(), OriginalityConfig())
    with context.reporter.bar("comparing") as bar:
        found = []
        for done, score in enumerate(scores, 1):
            found.append(index.find(score))
            bar.update(done / len(scores), f"{done} of {len(scores)} pieces")
        held_out = [index.find(score) for _, score in reference.held_out()][: corpus_index.HUMAN]
        human = held_out or index.leave_one_out()
    if parsed.out is not None:
        _write_passages(parsed.out, paths, scores, found, index.ids, dict(reference.train()))
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
    from musengine.evaluation.originality import STEP

    size = float(STEP.size)
    run, overlap = found.run, found.overlap
    figures: dict[str, Any] = {name: _number(value) for name, value in found.figures().items()}
    if run.piece >= 0:
        figures["longest_run_at"] = {
            "beat": run.start * size,
            "piece": ids[run.piece],
            "its_beat": run.there * size,
            "semitones": run.shift,
        }
    if overlap.piece >= 0:
        figures["closest_passage_at"] = {
            "beat": overlap.start * size,
            "piece": ids[overlap.piece],
            "its_beat": overlap.there * size,
            "semitones": overlap.shift,
        }
    return figures


def _estimates(found: list[PieceOriginality]) -> dict[str, Any]:
    from musengine.evaluation.corpus_index import summary

    return {
        name: {
            "mean": _number(estimate.mean),
            "low": _number(estimate.low),
            "high": _number(estimate.high),
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
        figures = "  ".join(
            f"{_TITLES[name]} {'-' if piece[name] is None else format(piece[name], '.3g')}"
            for name in _TITLES
        )
        print(f"{piece['path']}: {figures}")
        if (place := piece.get("closest_passage_at")) is not None:
            print(
                f"{piece['path']}: its closest passage, from beat {place['beat']:g}, is in "
                f"{place['piece']} from beat {place['its_beat']:g} ({place['semitones']:+d})"
            )
    for name, title in _TITLES.items():
        both = [_written(report[whose][name]) for whose in ("generated", "human")]
        print(f"{title}: these pieces {both[0]}, held-out human music {both[1]}")


def _written(estimate: dict[str, Any]) -> str:
    if estimate["mean"] is None:
        return "unknown"
    if estimate["low"] is None:
        return f"{estimate['mean']:.3g}"
    return f"{estimate['mean']:.3g} ({estimate['low']:.3g} to {estimate['high']:.3g})"


def _write_passages(
    folder: Path,
    paths: list[str],
    scores: list[Score],
    found: list[PieceOriginality],
    ids: list[str],
    corpus: dict[str, Score],
) -> None:
    """Write each piece's window that is closest to the corpus, and the corpus's passage."""
    from musengine.builtin.midi.writer import MidiWriter
    from musengine.evaluation.corpus_index import passages
    from musengine.plugins.declarations import NoSettings
    from musengine.utils.files import whole_file
    from musengine.utils.format import counted

    writer, written = MidiWriter(NoSettings()), 0
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


def compare(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine compare`."""
    from musengine.evaluation.compare_runs import compare_runs

    table = compare_runs(parsed.runs)
    if parsed.json:
        print(json.dumps(table.as_json(), indent=1))
    else:
        for line in table.as_lines():
            print(line)
    return ExitStatus.DONE
