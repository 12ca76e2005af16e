"""Runs side by side: all their figures in one table, real differences marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musengine.api import MetricDeclaration, Registry, find_run, read_json, read_tables
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
        better: by name of a figure whether a `lower` or a `higher` one is better, where one is.
        unlike: by part and name, for each run why its figure cannot be compared with the first
            run's; empty where it can.
    """

    runs: tuple[str, ...]
    messages: tuple[str, ...]
    rows: Mapping[tuple[str, str], tuple[Interval | None, ...]]
    better: Mapping[str, str] = field(default_factory=dict)
    unlike: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the table; `apart` says which runs differ from the first beyond the intervals.

        `better` says which of these are better than it, null where that is not known; `unlike`
        why a figure cannot be compared.
        """
        return {
            "runs": list(self.runs),
            "messages": list(self.messages),
            "figures": [
                {
                    "part": part,
                    "name": name,
                    "values": [None if each is None else _as_json(each) for each in figures],
                    "apart": [self._apart((part, name), index) for index in range(len(figures))],
                    "better": [self._better((part, name), index) for index in range(len(figures))],
                    "unlike": list(self.unlike.get((part, name), ("",) * len(figures))),
                }
                for (part, name), figures in self.rows.items()
            ],
        }

    def as_lines(self) -> Iterator[str]:
        """Yield the table for people, with a mark at what differs from the first run."""
        cells = [["", *self.runs]]
        if any(self.messages):
            cells.append(["", *self.messages])
        for place, figures in self.rows.items():
            shown = [
                ("" if each is None else str(each)) + self._mark(place, index)
                for index, each in enumerate(figures)
            ]
            cells.append([" ".join(place), *shown])
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield line.rstrip()
        yield from self._legend()

    def _legend(self) -> Iterator[str]:
        marks = {
            self._mark(place, index)
            for place, figures in self.rows.items()
            for index in range(len(figures))
        }
        meanings = {
            " *+": "*+ better than the first run: the 95 % intervals do not overlap",
            " *-": "*- worse than the first run: the 95 % intervals do not overlap",
            " *": "* differs from the first run: the 95 % intervals do not overlap",
        }
        yield from (meaning for mark, meaning in meanings.items() if mark in marks)
        reasons = (
            f"~ {run} is not compared with the first run in this: {reason}"
            for place, each in self.unlike.items()
            for index, (run, reason) in enumerate(zip(self.runs, each, strict=True))
            if reason and self._mark(place, index) == " ~"
        )
        yield from dict.fromkeys(reasons)

    def _mark(self, place: tuple[str, str], index: int) -> str:
        figures = self.rows[place]
        if figures[0] is None or figures[index] is None:
            return ""
        if self.unlike.get(place, ("",) * len(figures))[index]:
            return " ~"
        if not self._apart(place, index):
            return ""
        return {True: " *+", False: " *-", None: " *"}[self._better(place, index)]

    def _apart(self, place: tuple[str, str], index: int) -> bool:
        figures = self.rows[place]
        first, other = figures[0], figures[index]
        if first is None or other is None or not index:
            return False
        return not self.unlike.get(place, ("",) * len(figures))[index] and other.apart_from(first)

    def _better(self, place: tuple[str, str], index: int) -> bool | None:
        """Return whether a figure that differs is better than the first run's."""
        direction = self.better.get(place[1])
        first, other = self.rows[place][0], self.rows[place][index]
        if direction is None or first is None or other is None or not self._apart(place, index):
            return None
        return (other.mean < first.mean) == (direction == "lower")


def _as_json(figure: Interval) -> dict[str, float | None]:
    """Return a figure as JSON has it, which knows no NaN."""
    ends = {"value": figure.mean, "low": figure.low, "high": figure.high}
    return {name: None if math.isnan(end) else end for name, end in ends.items()}


@dataclass(frozen=True)
class _Made:
    """What the figures of a run come of.

    Attributes:
        figures: by part and name.
        pieces: hashes of the pieces of each part.
        encoder: its table, by which steps of one run are as long as those of another.
        metrics: the tables of its metrics, by name.
    """

    figures: Mapping[tuple[str, str], Interval]
    pieces: Mapping[str, frozenset[str]]
    encoder: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def of(cls, run: Path) -> _Made:
        figures = dict(_figures(run))
        tables = read_tables(run / "pipeline.toml")
        split = read_json(run / "split.json") if (run / "split.json").is_file() else {}
        parts = split.get("parts", {}) if isinstance(split, dict) else {}
        return cls(
            figures=figures,
            pieces={part: frozenset(ids.values()) for part, ids in parts.items()},
            encoder=tables.get("encoder", {}),
            metrics={table.get("type"): table for table in tables.get("metric", [])},
        )

    def unlike(self, other: _Made, part: str, figure: str, declared: _Declared) -> str:
        """Return why a figure of a part cannot be compared with another run's; empty if it can."""
        # Generated pieces are measured beside all of the music, so that all of it must be the same.
        parts = ("train", "valid", "test") if part == "generated" else (part,)
        for name in parts:
            if self.pieces.get(name) != other.pieces.get(name):
                return f"other pieces in the {name} part"
        # What is counted per note or beat is the same with any encoder; what is per step is not.
        if self.encoder != other.encoder and figure not in declared.comparable:
            return "another encoder, so that a step is not the same"
        owner = declared.owner(figure)
        if self.metrics.get(owner) != other.metrics.get(owner):
            return f"other settings of the metric {owner}"
        return ""


@dataclass(frozen=True)
class _Declared:
    """What the metrics declare of their figures, by the figure's name."""

    better: Mapping[str, str]
    comparable: frozenset[str]
    owners: Mapping[str, str]

    @classmethod
    def of(cls, registry: Registry) -> _Declared:
        better: dict[str, str] = {}
        comparable: set[str] = set()
        owners: dict[str, str] = {}
        for entry in registry.of_kind("metric"):
            declaration = entry.declared(MetricDeclaration)
            directions = declaration.better
            if not isinstance(directions, Mapping):
                directions = {entry.name: directions} if directions else {}
            better |= directions
            comparable |= set(declaration.comparable)
            owners |= dict.fromkeys([*directions, entry.name], entry.name)
        return cls(better, frozenset(comparable), owners)

    def owner(self, figure: str) -> str:
        """Return the metric that a figure is of; empty where that is not known."""
        return self.owners.get(figure, "")


def compare_runs(runs: Sequence[str | Path], registry: Registry) -> Table:
    """Put the figures of runs side by side, as their `evaluation.json` has them.

    Args:
        runs: their folders, or names of trained models; the others are compared with the first.
        registry: the trained models, and the metrics, which declare which figures are better.

    Raises:
        UserError: a folder is no run, or has not been evaluated.
    """
    folders = [find_run(run, registry).folder.path for run in runs]
    made, declared = [_Made.of(folder) for folder in folders], _Declared.of(registry)
    places = dict.fromkeys(place for each in made for place in each.figures)
    return Table(
        runs=tuple(str(run) for run in runs),
        messages=tuple(_message(folder) for folder in folders),
        rows={place: tuple(each.figures.get(place) for each in made) for place in places},
        better=declared.better,
        unlike={
            place: tuple(made[0].unlike(each, *place, declared) for each in made)
            for place in places
        },
    )


def _message(run: Path) -> str:
    table = read_tables(run / "pipeline.toml").get("run", {})
    return str(table.get("message", "")) if isinstance(table, dict) else ""


def _figures(run: Path) -> Iterator[tuple[tuple[str, str], Interval]]:
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
            # A figure with its interval may hold others beside: both are shown.
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
