"""The tables of metrics inside `[evaluate]`: which there may be, and what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from musengine.config.fields import to_table
from musengine.config.toml import SettingsSource
from musengine.errors import UserError, did_you_mean
from musengine.pipeline.compatibility import Finding
from musengine.pipeline.sections import EvaluateConfig
from musengine.plugins.registry import Component, Registry

_OWN = tuple(field.name for field in dataclasses.fields(EvaluateConfig))
"""Keys of `[evaluate]` itself, which no metric's table can be called by."""


def taken_out(evaluate: dict[str, Any]) -> dict[str, Any]:
    """Remove what are no keys of `[evaluate]` itself, and return it: its metrics' tables."""
    return {name: evaluate.pop(name) for name in [*evaluate] if name not in _OWN}


def put_back(evaluate: Mapping[str, Any], metrics: Sequence[Component]) -> dict[str, Any]:
    """Return `[evaluate]` with the table of each metric that has settings."""
    tables = {metric.name: to_table(metric.config) for metric in metrics}
    return {name: table for name, table in tables.items() if table} | {**evaluate}


def said(source: SettingsSource) -> set[str]:
    """Return the metrics that the user gave settings for this very list of metrics.

    Where `--set` gives the list, the file's tables may be of metrics that are not in it.
    """
    if ("evaluate", "metrics") in source.given:
        keys = (f"{table}.{key}".split(".") for table, key in source.given)
        return {key[1] for key in keys if key[0] == "evaluate"}.difference(_OWN)
    table = source.tables.get("evaluate")
    return set(table).difference(_OWN) if isinstance(table, dict) else set()


def check(
    tables: Mapping[str, Any],
    said: set[str],
    measured: Sequence[str] | None,
    registry: Registry,
) -> Iterator[Finding]:
    """Yield metrics that cannot be measured, and tables that belong to none that is.

    Args:
        tables: what stands in `[evaluate]` beside its own keys.
        said: which of them are the user's, and not a wish that the list of metrics put by.
        measured: the metrics; None where that is not known.
        registry: what is installed.
    """
    for name in dict.fromkeys(measured or ()):
        for message in _missing(name, registry):
            yield "evaluate", "metrics", message
    known = registry.names("metric")
    for name, table in tables.items():
        listed = name in (measured or ())
        if not listed and name not in said:
            continue
        if not isinstance(table, dict):
            if listed or name in known:
                yield "evaluate", name, f"expected a table [evaluate.{name}], got {table!r}"
            else:
                yield "evaluate", name, "unknown key" + did_you_mean(name, [*_OWN, *known])
        elif not listed and (missing := _missing(name, registry)):
            yield "evaluate", name, missing[0]
        elif not listed and measured is not None:
            yield "evaluate", name, "not among the metrics; name it there, or leave its table out"


def _missing(name: str, registry: Registry) -> list[str]:
    try:
        return registry.get("metric", name).missing_requirements()
    except UserError as error:
        return [str(error)]
