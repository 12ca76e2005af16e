"""Runs side by side: all their figures in one table, real differences marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.api import read_json, read_tables
from musengine.errors import UserError
from musengine_evaluation.interval import Interval


@dataclass(frozen=True)
class Table:
    """The figures of some runs.

    Attributes:
        runs: the run folders, as given; the first is what the others are compared with.
        messages: what their makers noted of them.
        rows: for each figure of any run, by part and name, that of each run; None where it has
            none.
    """

    runs: tuple[str, ...]
    messages: tuple[str, ...]
    rows: Mapping[tuple[str, str], tuple[Interval | None, ...]]

    def as_json(self) -> dict[str, Any]:
        """Return the table; `apart` says which runs differ from the first beyond the intervals."""
        return {
            "runs": list(self.runs),
            "messages": list(self.messages),
            "figures": [
                {
                    "part": part,
                    "name": name,
                    "values": [None if each is None else _as_json(each) for each in figures],
                    "apart": [_apart(figures, index) for index in range(len(figures))],
                }
                for (part, name), figures in self.rows.items()
            ],
        }

    def as_lines(self) -> Iterator[str]:
        """Yield the table for people, a star at what differs from the first run."""
        cells = [["", *self.runs]]
        if any(self.messages):
            cells.append(["", *self.messages])
        for (part, name), figures in self.rows.items():
            shown = [
                ("" if each is None else str(each)) + (" *" if _apart(figures, index) else "")
                for index, each in enumerate(figures)
            ]
            cells.append([f"{part} {name}", *shown])
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield line.rstrip()
        if any(_apart(figures, i) for figures in self.rows.values() for i in range(len(figures))):
            yield "* differs from the first run: the 95 % intervals do not overlap"


def _as_json(figure: Interval) -> dict[str, float | None]:
    """Return a figure as JSON has it, which knows no NaN."""
    ends = {"value": figure.mean, "low": figure.low, "high": figure.high}
    return {name: None if math.isnan(end) else end for name, end in ends.items()}


def _apart(figures: Sequence[Interval | None], index: int) -> bool:
    first, other = figures[0], figures[index]
    return first is not None and other is not None and index > 0 and other.apart_from(first)


def compare_runs(runs: Sequence[Path]) -> Table:
    """Put the figures of runs side by side, as their `evaluation.json` has them.

    Raises:
        UserError: a folder is no run, or has not been evaluated.
    """
    found = [dict(_figures(run)) for run in runs]
    names = dict.fromkeys(name for figures in found for name in figures)
    return Table(
        runs=tuple(str(run) for run in runs),
        messages=tuple(_message(run) for run in runs),
        rows={name: tuple(figures.get(name) for figures in found) for name in names},
    )


def _message(run: Path) -> str:
    table = read_tables(run / "pipeline.toml").get("run", {})
    return str(table.get("message", "")) if isinstance(table, dict) else ""


def _figures(run: Path) -> Iterator[tuple[tuple[str, str], Interval]]:
    if not (run / "pipeline.toml").is_file():
        raise UserError(
            f"{run} is not a run folder: it has no pipeline.toml", code="not-a-run-folder"
        )
    path = run / "evaluation.json"
    if not path.is_file():
        raise UserError(
            f"{run} has no figures yet; `musengine evaluate {run}` makes them", code="no-evaluation"
        )
    evaluation = read_json(path)
    if not isinstance(evaluation, dict):
        raise UserError(f"{path} is no evaluation of this program", code="file-damaged")
    for part, figures in evaluation.items():
        if isinstance(figures, dict):
            for name, figure in _flattened(figures):
                yield (str(part), name), figure


def _flattened(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Interval]]:
    """Yield numbers by name, those of nested mappings with both names; of single pieces none.

    Nor distances between pieces, from which overlap and divergence come.
    """
    for name, value in figures.items():
        if isinstance(value, Mapping):
            if name.endswith("_per_piece") or name == "distances":
                continue
            if "mean" in value:
                yield f"{prefix}{name}", _interval(*(value.get(k) for k in ("mean", "low", "high")))
                own = ("mean", "low", "high", "count")
                value = {key: each for key, each in value.items() if key not in own}
            yield from _flattened(value, f"{prefix}{name} ")
        elif not name.endswith(("_low", "_high")) and (value is None or _is_number(value)):
            bounds = (figures.get(f"{name}_{end}") for end in ("low", "high"))
            yield f"{prefix}{name}", _interval(value, *bounds)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _interval(mean: float | None, low: float | None = None, high: float | None = None) -> Interval:
    """Return a figure read from JSON, in which what is not known is null."""
    ends = [math.nan if end is None else float(end) for end in (mean, low, high)]
    return Interval(ends[0], ends[1], ends[2])
