"""A pipeline as it will run, written out: every value, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from musengine.pipeline.resolve import Pipeline

OWN = "default"
"""What is said of a value that nothing has set: it is its key's own default."""
_COLUMN = 40


def as_toml(pipeline: Pipeline) -> str:
    """Return a pipeline as a TOML file that stands for the same, each value with its origin."""
    tables = pipeline.tables()
    lines = [f"{name} = []" for name, table in tables.items() if table == []]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            lines += _table(pipeline, name, table, f"[{name}]")
        else:
            for index, item in enumerate(table):
                lines += _table(pipeline, f"{name}.{index}", item, f"[[{name}]]")
    return "\n".join(lines).lstrip("\n") + "\n"


def as_data(pipeline: Pipeline) -> dict[str, Any]:
    """Return the same as JSON values: the tables, and the origins by `table.key`."""
    tables = pipeline.tables()
    return {"pipeline": tables, "origins": dict(_origins(pipeline, tables))}


def _table(pipeline: Pipeline, name: str, table: Mapping[str, Any], heading: str) -> Iterator[str]:
    yield from ("", heading)
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    for key, value in table.items():
        if key not in inner:
            yield f"{f'{key} = {_inline(value)}':<{_COLUMN}}  # {_origin(pipeline, name, key)}"
    for key, value in inner.items():
        yield from _table(pipeline, f"{name}.{key}", value, f"[{name}.{key}]")


def _origins(pipeline: Pipeline, tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        listed = isinstance(value, list)
        parts = {f"{name}.{index}": item for index, item in enumerate(value)} if listed else {}
        for place, table in (parts if listed else {name: value}).items():
            for key, item in table.items():
                if isinstance(item, Mapping):
                    yield from _origins(pipeline, {f"{place}.{key}": item})
                else:
                    yield f"{place}.{key}", _origin(pipeline, place, key)


def _origin(pipeline: Pipeline, name: str, key: str) -> str:
    return pipeline.origins.get((name, key), OWN)


def _inline(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"value": value}).partition("=")[2].strip()
