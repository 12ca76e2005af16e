"""Which value counts: tables laid over one another, and whose each value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from musengine.errors import Finding, did_you_mean
from musengine.pipeline.sections import FORMER_TABLES, INSIDE, LISTS, ORDER


@dataclass(frozen=True)
class Layer:
    """Values for several tables from one place.

    Attributes:
        origin: who sets them, as messages name it; empty for the user.
        tables: tables, and lists of tables, by name.
        optional: components in its lists that cannot be used are left out, and are no mistake.
    """

    origin: str
    tables: Mapping[str, Any]
    optional: bool = False


@dataclass
class LayeredTables:
    """Several layers in one, and whose each value is.

    Attributes:
        tables: tables, and lists of tables, by name.
        origins: (table, key) to the origin of the layer that set the value, `sampler.0` being the
            table of a list's first entry; a key that nobody set is not in it.
    """

    tables: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)

    def lay(self, layer: Layer) -> None:
        """Lay a layer over what there is: a table key by key, a list as a whole."""
        for name, value in layer.tables.items():
            if isinstance(value, Mapping):
                self.tables[name] = self._laid(name, self.tables.get(name), value, layer.origin)
            else:
                self.replace(name, value, layer.origin)

    def replace(self, name: str, items: Sequence[Mapping[str, Any]], origin: str) -> None:
        """Put a list of tables in the place of another."""
        self._forget(name)
        self.tables[name] = list(items)
        for index, item in enumerate(items):
            self.origins |= {(f"{name}.{index}", key): origin for key in item}

    def _laid(
        self, name: str, below: object, above: Mapping[str, Any], origin: str
    ) -> dict[str, Any]:
        merged = dict(below) if isinstance(below, Mapping) else {}
        # The settings of one component mean nothing to another.
        if "type" in above and above["type"] != merged.get("type", above["type"]):
            self._forget(name)
            merged = {}
        for key, value in above.items():
            self.origins[name, key] = origin
            if (name, key) in INSIDE:
                value = {"type": value} if isinstance(value, str) else value
                if isinstance(value, Mapping):
                    value = self._laid(f"{name}.{key}", merged.get(key), value, origin)
            merged[key] = value
        return merged

    def _forget(self, name: str) -> None:
        gone = [place for place in self.origins if f"{place[0]}.".startswith(f"{name}.")]
        for place in gone:
            del self.origins[place]


def merged(layers: Sequence[Layer]) -> LayeredTables:
    """Return layers laid over one another, the lowest first."""
    result = LayeredTables()
    for layer in layers:
        result.lay(layer)
    return result


def known_tables(tables: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the tables that a pipeline can have, and what is wrong with the others.

    A single table stands for a list of one.

    Returns:
        The tables by name, and for each of the others what is wrong with it.
    """
    known: dict[str, Any] = {}
    wrong: list[Finding] = []
    for name, value in tables.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        if name in FORMER_TABLES:
            message = f"is called {FORMER_TABLES[name]!r} now"
            wrong.append(Finding("", name, message, code="former-name"))
        elif name not in ORDER:
            message = "unknown table" + did_you_mean(name, ORDER)
            wrong.append(Finding("", name, message, code="unknown-table"))
        elif name not in LISTS and not isinstance(value, Mapping):
            message = f"expected a table [{name}], got {value!r}"
            wrong.append(Finding("", name, message, code="invalid-value"))
        elif not all(isinstance(item, Mapping) for item in items):
            message = f"expected [[{name}]], a list of tables"
            wrong.append(Finding("", name, message, code="invalid-value"))
        else:
            known[name] = items if name in LISTS else value
    return known, wrong
