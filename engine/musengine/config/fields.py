"""TOML tables to typed, frozen dataclasses, with every problem of a table found at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from musengine.config.setting_types import (
    Bounds,
    OutOfRangeError,
    Quantity,
    Schema,
    SettingType,
    hints_of,
    setting_type,
)
from musengine.errors import MOST_SUGGESTIONS, ConfigError, Problem, did_you_mean
from musengine.utils.by_value import ByValue

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Config(ByValue):
    """Base of every component's settings: a frozen, keyword-only dataclass without torch.

    Fields are declared with `setting`, which carries the one-line documentation and the bounds
    that the error messages and the reference documentation are made from.
    """

    def problems(self) -> Iterable[tuple[str, str] | tuple[str, str, str]]:
        """Yield (key, message) for settings that are each valid but do not fit together.

        A third item is the problem's code, where it is another than `settings-conflict`.
        """
        return ()


def setting(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    one_or_many: bool = False,
    changeable: bool = False,
    formerly: str = "",
    meant_for: str = "",
    instead_of: str = "",
) -> Any:
    """Declare one key of a table.

    Args:
        default: the value when the key is absent; without one the key must be given.
        doc: one line that says what the key does, with its unit.
        low: the smallest allowed value, itself allowed (for each item of a list).
        high: the largest allowed value, itself allowed.
        above: a bound the value must exceed.
        below: a bound the value must stay under.
        one_or_many: a single value stands for a list of one.
        changeable: may be another when a run is continued; all else decides what the run is.
        formerly: the key's name in earlier versions, refused with the name of today.
        meant_for: the key of the same table that names the component whose value this is, such as
            `optimizer`: where another is named over it, the value is left behind.
        instead_of: the key of `[training]` in whose place this one of a model's is, where it is
            set: the other then does nothing, and both are meant for the same component.
    """
    metadata = {
        "doc": doc,
        "bounds": Bounds(low=low, above=above, high=high, below=below),
        "one_or_many": one_or_many,
        "changeable": changeable,
        "formerly": formerly,
        "meant_for": meant_for,
        "instead_of": instead_of,
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of a Config: what it may hold, and what is documented of it.

    Attributes:
        default: a TOML value; None where the key is then absent.
        formerly: its name in earlier versions, or empty.
        meant_for: as `setting` has it, likewise the next.
    """

    key: str
    type: SettingType
    bounds: Bounds
    doc: str
    required: bool
    default: Any
    changeable: bool
    formerly: str
    meant_for: str
    instead_of: str

    def read(self, value: object, base: Path) -> object:
        """Return the Python value of a TOML value; raises ValueError saying what was expected."""
        found = self.type.read(value, base)
        self.bounds.check(found)
        return found

    def words(self) -> str:
        """Return what is accepted, bounds included."""
        return ", ".join([self.type.words, *self.bounds.words()])

    def schema(self) -> Schema:
        """Return the JSON Schema of the key, its documentation and default included."""
        schema = {"description": self.doc, **self.type.schema}
        return schema if self.default is None else {**schema, "default": self.default}


_SETTINGS: dict[type[Any], tuple[Setting, ...]] = {}


def settings_of(cls: type[Any]) -> tuple[Setting, ...]:
    """Return the keys of a Config, in order; of each class they are made out once."""
    if cls not in _SETTINGS:
        hints = hints_of(cls)
        made = (_setting(field, hints[field.name]) for field in dataclasses.fields(cls))
        _SETTINGS[cls] = tuple(made)
    return _SETTINGS[cls]


def _setting(field: dataclasses.Field[Any], hint: Any) -> Setting:
    metadata, default = field.metadata, field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    required = default is dataclasses.MISSING
    bounds = metadata.get("bounds", Bounds())
    one_or_many = metadata.get("one_or_many", False)
    return Setting(
        key=field.name,
        type=setting_type(hint, bounds.keywords(), one_or_many=one_or_many),
        bounds=bounds,
        doc=metadata.get("doc", ""),
        required=required,
        default=None if required else _plain(default),
        changeable=metadata.get("changeable", False),
        formerly=metadata.get("formerly", ""),
        meant_for=metadata.get("meant_for", ""),
        instead_of=metadata.get("instead_of", ""),
    )


def build(
    cls: type[T],
    table: Mapping[str, object],
    *,
    file: str,
    name: str,
    base_of: Callable[[str], Path],
) -> tuple[T | None, list[Problem]]:
    """Build a Config from a TOML table.

    Args:
        cls: the dataclass.
        table: the raw table.
        file: the file's name, for messages.
        name: the table's name, for messages.
        base_of: the folder that relative paths of a key start from.

    Returns:
        The object, or None when there are problems, and the problems.
    """
    known = {each.key: each for each in settings_of(cls)}
    problems: list[Problem] = []
    values: dict[str, object] = {}
    for key, raw in table.items():
        if key not in known:
            suggest = len(table) <= MOST_SUGGESTIONS
            problems.append(_unknown(Problem(file, name, key, ""), known, suggest=suggest))
            continue
        try:
            values[key] = known[key].read(raw, base_of(key))
        except OutOfRangeError as error:
            problems.append(Problem(file, name, key, str(error), code="out-of-range"))
        except ValueError as error:
            problems.append(Problem(file, name, key, str(error), code="invalid-value"))
    for key, each in known.items():
        if key not in table and each.required:
            problems.append(Problem(file, name, key, f"missing; {each.doc}", code="missing-key"))
    # Keys that are wrong by themselves come first: whether the others fit together is asked once
    # all are.
    if problems:
        return None, problems
    built = cls(**values)
    if isinstance(built, Config):
        problems = [
            Problem(file, name, key, message, code="".join(code) or "settings-conflict")
            for key, message, *code in built.problems()
        ]
    return (None if problems else built), problems


def build_config(cls: type[T], table: Mapping[str, object], where: str = "", name: str = "") -> T:
    """Build a Config from a TOML table; relative paths start from the working directory.

    Args:
        cls: the dataclass.
        table: the raw table.
        where: what messages name as its place.
        name: the table's name, for messages.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    config, problems = build(cls, table, file=where, name=name, base_of=lambda key: Path.cwd())
    if config is None:
        raise ConfigError(problems)
    return config


def _unknown(place: Problem, known: Mapping[str, Setting], *, suggest: bool) -> Problem:
    """Say what is wrong with a key that a table does not have."""
    for name, each in known.items():
        if each.formerly == place.key:
            return dataclasses.replace(place, message=f"is called {name!r} now", code="former-name")
    message = "unknown key" + (did_you_mean(place.key, known) if suggest else "")
    return dataclasses.replace(place, message=message, code="unknown-key")


def to_table(config: object) -> dict[str, Any]:
    """Return a Config as a TOML table with every key written out; None means absent."""
    table: dict[str, Any] = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = _plain(getattr(config, field.name))
        if value is not None:
            table[field.name] = value
    return table


def changeable_keys(cls: type[Config]) -> set[str]:
    """Return the keys of a table that may change when a run is continued."""
    return {each.key for each in settings_of(cls) if each.changeable}


def _plain(value: object) -> Any:
    if isinstance(value, Quantity):
        return value.to_toml()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
