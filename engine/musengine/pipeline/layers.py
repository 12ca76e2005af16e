"""Which value counts: tables laid over one another, and whose each value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from musengine.config.toml import UNSET
from musengine.errors import MOST_SUGGESTIONS, Finding, did_you_mean
from musengine.pipeline.sections import FORMER_TABLES, INSIDE, LISTS, ORDER
from musengine.plugins.declarations import Follows

Place = tuple[str, str]
"""A table and a key of it; `sampler.0` is the table of a list's first entry."""


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


@dataclass(frozen=True)
class LeftBehind:
    """A value that does not count, since a higher layer names another component than it is for."""

    place: Place
    value: Any
    origin: str
    meant_for: str
    chosen: str


@dataclass
class LayeredTables:
    """Several layers in one, and whose each value is.

    Attributes:
        tables: tables, and lists of tables, by name.
        origins: the place of a value to the origin of the layer that set it; a key that nobody set
            is not in it.
        unset: keys that a layer took away from those below it.
        meant_for: keys whose values are one component's, and the key that names it.
        usual: the component of such a key that is taken where no layer names one.
        left_behind: values that did not count, since another component was named over them.
    """

    tables: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    unset: set[Place] = field(default_factory=set)
    meant_for: Mapping[Place, Place] = field(default_factory=dict)
    usual: Mapping[Place, str] = field(default_factory=dict)
    left_behind: list[LeftBehind] = field(default_factory=list)

    def lay(self, layer: Layer) -> None:
        """Lay a layer over what there is: a table key by key, a list as a whole."""
        # Before it is laid: then both the names below and those above are known.
        self._leave_behind(layer.tables)
        for name, value in layer.tables.items():
            if isinstance(value, Mapping):
                self.tables[name] = self._laid(name, self.tables.get(name), value, layer.origin)
            else:
                self.replace(name, value, layer.origin)

    def fill(self, layer: Layer) -> None:
        """Lay a layer under what there is: only what no other has set counts."""
        for name, value in layer.tables.items():
            if not isinstance(value, Mapping):
                if name not in self.tables:
                    self.replace(name, value, layer.origin)
                continue
            table = self.tables.setdefault(name, {})
            missing = {key: item for key, item in value.items() if key not in table}
            self.tables[name] = self._laid(name, table, missing, layer.origin)

    def follow(self) -> None:
        """Give the keys that follow others the values of these, or none where these have none."""
        for name, table in self.tables.items():
            followers = table.items() if isinstance(table, Mapping) else ()
            for key, each in [*followers]:
                if not isinstance(each, Follows):
                    continue
                self.origins[name, key] += f", by {each.table}.{each.key}"
                table[key] = each.value(self.tables)
                if table[key] is None:
                    self.take(name, key)

    def replace(self, name: str, items: Sequence[Mapping[str, Any]], origin: str) -> None:
        """Put a list of tables in the place of another."""
        self._forget(name)
        self.tables[name] = list(items)
        for index, item in enumerate(items):
            self.origins |= {(f"{name}.{index}", key): origin for key in item}

    def take(self, name: str, key: str) -> Any:
        """Take a key out of a table; returns its value, None where there is none."""
        self.origins.pop((name, key), None)
        self._forget(f"{name}.{key}")
        return self.tables.get(name, {}).pop(key, None)

    def named(self, tables: Mapping[str, Any], place: Place) -> Any:
        """Return the name of the component that some tables name at a place; None for none."""
        name, key = place
        table = tables.get(name)
        value = table.get(key) if isinstance(table, Mapping) else None
        return value.get("type") if isinstance(value, Mapping) else value

    def _leave_behind(self, above: Mapping[str, Any]) -> None:
        """Drop the values that are meant for other components than those that are named now."""
        for place in dict.fromkeys(self.meant_for.values()):
            wanted, usual = self.named(above, place), self.usual.get(place)
            if wanted is None and place[1] in _unset_in(above.get(place[0])):
                wanted = usual
            # Values below may be meant for the component that is taken where none is named.
            before = self.named(self.tables, place) or usual
            if wanted is None or wanted == before:
                continue
            for (name, key), of in self.meant_for.items():
                if of == place and key in self.tables.get(name, {}):
                    origin = self.origins[name, key]
                    value = self.take(name, key)
                    self.left_behind.append(
                        LeftBehind((name, key), value, origin, str(before), str(wanted))
                    )

    def _laid(
        self, name: str, below: object, above: Mapping[str, Any], origin: str
    ) -> dict[str, Any]:
        merged = dict(below) if isinstance(below, Mapping) else {}
        # The settings of one component mean nothing to another.
        if "type" in above and above["type"] != merged.get("type", above["type"]):
            self._forget(name)
            merged = {}
        for key in _unset_in(above):
            merged.pop(key, None)
            self.origins.pop((name, key), None)
            self._forget(f"{name}.{key}")
            self.unset.add((name, key))
        for key, value in above.items():
            if key == UNSET and (name in ORDER or _unset_in(above)):
                continue
            self.origins[name, key] = origin
            if (name, key) in INSIDE:
                value = {"type": value} if isinstance(value, str) else value
                if isinstance(value, Mapping):
                    value = self._laid(f"{name}.{key}", merged.get(key), value, origin)
            merged[key] = value
        return merged

    def _forget(self, name: str) -> None:
        # With the dot at both ends, so that `sampler` is not the beginning of `samplers`.
        gone = [place for place in self.origins if f"{place[0]}.".startswith(f"{name}.")]
        for place in gone:
            del self.origins[place]


def _unset_in(table: object) -> Sequence[str]:
    """Return the keys that a table takes away from those below it."""
    keys = table.get(UNSET) if isinstance(table, Mapping) else None
    listed = isinstance(keys, (list, tuple)) and all(isinstance(key, str) for key in keys)
    return list(keys) if listed and keys else []


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
            near = did_you_mean(name, ORDER) if len(tables) <= MOST_SUGGESTIONS else ""
            message = f"unknown table{near}"
            wrong.append(Finding("", name, message, code="unknown-table"))
        elif name not in LISTS and not isinstance(value, Mapping):
            message = f"expected a table [{name}], got {value!r}"
            wrong.append(Finding("", name, message, code="invalid-value"))
        elif not all(isinstance(item, Mapping) for item in items):
            message = f"expected [[{name}]], a list of tables"
            wrong.append(Finding("", name, message, code="invalid-value"))
        elif UNSET in value and not _unset_in(value):
            message = f'expected a list of keys such as ["momentum"], got {value[UNSET]!r}'
            wrong.append(Finding(name, UNSET, message, code="invalid-value"))
            known[name] = {key: item for key, item in value.items() if key != UNSET}
        else:
            known[name] = items if name in LISTS else value
    return known, wrong
