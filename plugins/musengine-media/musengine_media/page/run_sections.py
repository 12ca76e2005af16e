"""The sections that tell of one run: training, figures, corpus, pipeline, versions."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from musengine.api import counted, duration
from musengine_media.page.curves import Charts, Curve
from musengine_media.page.markup import Markup, element, joined, table
from musengine_media.page.run_record import RunRecord

MOST_LISTED = 200
"""Entries of a list that are shown; the rest is counted."""


def summary(run: RunRecord, problem: str = "") -> Iterator[Markup]:
    """Yield what is to be known of a run first: its note, its end, its best figure."""
    if note := run.pipeline.get("run", {}).get("message"):
        yield element("p", str(note))
    if problem:
        yield element("p", f"The run did not come to its end: {problem}", class_="problem")
    told = [f"model {_type(run, 'model')}", f"encoder {_type(run, 'encoder')}"]
    if run.state.get("trained"):
        told.append(str(run.state["trained"]))
    elif run.state and not problem:  # a trained model in a package has none
        told.append("still in training")
    if seconds := training_seconds(run):
        told.append(f"{duration(seconds)} of training")
    best = run.state.get("best") or {}
    if isinstance(figure := best.get("figure"), float) and math.isfinite(figure):
        told.append(f"best validation loss {figure:.5g} at step {best.get('step')}")
    yield element("p", "; ".join(told), class_="soft")


def _type(run: RunRecord, table_name: str) -> str:
    return str(run.pipeline.get(table_name, {}).get("type", "?"))


def training_seconds(run: RunRecord) -> float:
    """Return how long the run was trained, as far as its lines tell; 0 where they do not."""
    known = [line["seconds"] for line in run.history if isinstance(line.get("seconds"), float)]
    return max(known, default=0.0)


def training(runs: Sequence[RunRecord], charts: Charts) -> list[Markup]:
    """Return the curves of some runs: loss, learning rate, and each figure of the validation."""
    told = [
        charts.figure("Loss", [curve for run in runs for curve in _losses(run, runs)]),
        charts.figure("Learning rate", _each(runs, "learning_rate", "learning rate")),
    ]
    names = dict.fromkeys(name for run in runs for line in run.history for name in _valid(line))
    for name in names:
        if name != "loss":
            curves = [_validation(run, name, _labelled(run, runs, name)) for run in runs]
            told.append(charts.figure(f"Validation: {name}", curves))
    return [each for each in told if each is not None]


def _labelled(run: RunRecord, runs: Sequence[RunRecord], what: str) -> str:
    return what if len(runs) == 1 else f"{run.name} {what}"


def _losses(run: RunRecord, runs: Sequence[RunRecord]) -> Iterator[Curve]:
    yield _curve(run.history, "loss", _labelled(run, runs, "training"))
    yield _validation(run, "loss", _labelled(run, runs, "validation"))
    seconds = _curve(run.history, "seconds", _labelled(run, runs, "minutes"))
    yield Curve(seconds.name, seconds.x, [each / 60 for each in seconds.y], drawn=False)


def _each(runs: Sequence[RunRecord], key: str, what: str) -> list[Curve]:
    return [_curve(run.history, key, _labelled(run, runs, what)) for run in runs]


def _curve(lines: Sequence[Mapping[str, Any]], key: str, name: str) -> Curve:
    points = [
        (line["step"], line[key])
        for line in lines
        if isinstance(line.get("step"), int)
        and isinstance(line.get(key), (int, float))
        and math.isfinite(line[key])
    ]
    return Curve(name, [step for step, _ in points], [value for _, value in points])


def _valid(line: Mapping[str, Any]) -> Mapping[str, Any]:
    figures = line.get("valid")
    return figures if isinstance(figures, Mapping) else {}


def _validation(run: RunRecord, key: str, name: str) -> Curve:
    lines = [{"step": line.get("step"), **_valid(line)} for line in run.history]
    return _curve(lines, key, name)


def plain_figures(run: RunRecord) -> dict[str, str]:
    """Return the figures of all parts that are single numbers, with their intervals."""
    return {
        f"{part}: {name}": _with_interval(figures, name)
        for part, figures in run.figures.items()
        if isinstance(figures, Mapping)
        for name, value in figures.items()
        if isinstance(value, (int, float)) and not name.endswith(("_low", "_high"))
    }


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    told = f"{figures[name]:.5g}"
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        told += f" ({low:.4g} to {high:.4g})"
    return told


def figures_table(runs: Sequence[RunRecord]) -> Markup | None:
    """Return what was measured of some runs, a column for each."""
    columns = [plain_figures(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    if not names:
        return None
    head = ("figure", *(run.name for run in runs))
    rows = [(name, *(column.get(name, "") for column in columns)) for name in names]
    return table(head, rows, "What was measured")


def corpus(run: RunRecord) -> list[Markup]:
    """Return what the corpus held, what was left out and why, and what the encoder dropped."""
    parts = run.split.get("parts", {})
    held = [(part, f"{len(pieces):,}") for part, pieces in parts.items()]
    told = [table(("part", "pieces"), held, "Pieces of each part")]
    dropped = [(what, f"{count:,}") for what, count in run.split.get("dropped", {}).items()]
    if dropped:
        told.append(table(("what", "how many"), dropped, "Dropped by the encoder"))
    told += [element("p", str(line)) for line in run.split.get("notices", ())]
    skipped = [(str(path), str(reason)) for path, reason in run.split.get("skipped", ())]
    told += _listed("skipped", "file", ("file", "why"), skipped)
    odd = [(name, "; ".join(lines)) for name, lines in run.split.get("warnings", {}).items()]
    told += _listed("with something odd", "piece", ("piece", "what"), odd)
    copies = [(name, str(other)) for name, other in run.split.get("copies", {}).items()]
    told += _listed("with the notes of another", "piece", ("piece", "copy of"), copies)
    ignored = [(suffix, f"{count:,}") for suffix, count in run.split.get("ignored", {}).items()]
    told += _listed("that no reader reads", "kind of file", ("ending", "files"), ignored)
    return told


def _listed(
    what: str, thing: str, head: Sequence[str], rows: Sequence[tuple[str, str]]
) -> Iterator[Markup]:
    if not rows:
        return
    more = len(rows) - MOST_LISTED
    yield element(
        "details",
        element("summary", f"{counted(len(rows), thing)} {what}"),
        table(head, rows[:MOST_LISTED], f"{thing} {what}"),
        element("p", f"and {more:,} more, in split.json") if more > 0 else None,
    )


def pipeline(run: RunRecord) -> Markup:
    """Return the pipeline as resolved."""
    text = (run.folder / "pipeline.toml").read_text(encoding="utf-8", errors="replace")
    return element(
        "details",
        element("summary", "Every key, as the run resolved it"),
        element("pre", text, tabindex=0, aria_label="The pipeline"),
    )


def versions(run: RunRecord) -> Markup:
    """Return what the run was begun with."""
    rows = [
        (name, str(run.versions[name])) for name in ("python", "platform") if name in run.versions
    ]
    for group in ("distributions", "components", "read_through"):
        found = run.versions.get(group, {})
        rows += [(name, str(version)) for name, version in sorted(found.items())]
    return element(
        "details",
        element("summary", "Versions it was begun with"),
        table(("what", "version"), rows, "Versions"),
    )


def repeat(run: RunRecord) -> Markup:
    """Return the commands that make the run again, and more pieces of it."""
    folder = run.folder.as_posix()
    commands = (
        ("musengine", "run", f"{folder}/pipeline.toml", "--run-dir", f"{folder}-again"),
        ("musengine", "generate", folder),
    )
    lines = [shlex.join(command) for command in commands]
    return joined(
        element("p", "The same run once more, and more pieces of this one:"),
        element("pre", "\n".join(lines), tabindex=0, aria_label="Commands"),
    )
