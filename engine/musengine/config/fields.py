"""TOML tables to typed, frozen dataclasses, with every problem of a table found at once."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from musengine.errors import ConfigError, Problem, did_you_mean

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every component's settings: a frozen, keyword-only dataclass without torch.

    Fields are declared with `setting`, which carries the one-line documentation and the limits
    that the error messages and the reference documentation are made from.
    """

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for settings that are each valid but do not fit together."""
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
    """
    metadata = {
        "doc": doc,
        "low": low,
        "high": high,
        "above": above,
        "below": below,
        "one_or_many": one_or_many,
        "changeable": changeable,
        "formerly": formerly,
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Quantity:
    """A value type with a notation of its own in TOML, such as `"64 steps"`.

    A subclass is a frozen dataclass and implements `from_toml` and `to_toml`, and `schema` so that
    editors know the notation too.
    """

    notation: typing.ClassVar[str] = "a value"

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Quantity:
        """Parse a TOML value; raises ValueError saying what was expected.

        Args:
            value: what stands in the file.
            base: the folder that relative paths start from.
        """
        raise NotImplementedError

    def to_toml(self) -> object:
        """Return the TOML value that `from_toml` turns back into this one."""
        raise NotImplementedError

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return a JSON Schema (draft 7) of what `from_toml` reads; by default anything."""
        return {}


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
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    problems: list[Problem] = []
    values: dict[str, object] = {}
    for key, raw in table.items():
        if key not in known:
            problems.append(Problem(file, name, key, _unknown(key, known)))
            continue
        try:
            values[key] = _convert_field(raw, hints[key], known[key], base_of(key))
        except ValueError as error:
            problems.append(Problem(file, name, key, str(error)))
    for key, field in known.items():
        if key not in table and field.default is field.default_factory is dataclasses.MISSING:
            problems.append(Problem(file, name, key, f"missing; {field.metadata['doc']}"))
    if problems:
        return None, problems
    built = cls(**values)
    if isinstance(built, Config):
        problems = [Problem(file, name, key, message) for key, message in built.problems()]
    return (None if problems else built), problems


def build_config(cls: type[T], table: Mapping[str, object], where: str = "") -> T:
    """Build a Config from a TOML table; relative paths start from the working directory.

    Args:
        cls: the dataclass.
        table: the raw table.
        where: what messages name as its place.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    config, problems = build(cls, table, file=where, name="", base_of=lambda key: Path.cwd())
    if config is None:
        raise ConfigError(problems)
    return config


def _unknown(key: str, known: Mapping[str, dataclasses.Field[Any]]) -> str:
    for name, field in known.items():
        if field.metadata.get("formerly") == key:
            return f"is called {name!r} now"
    return "unknown key" + did_you_mean(key, known)


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
    return {field.name for field in dataclasses.fields(cls) if field.metadata.get("changeable")}


def _plain(value: object) -> Any:
    if isinstance(value, Quantity):
        return value.to_toml()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _convert_field(raw: object, hint: Any, field: dataclasses.Field[Any], base: Path) -> object:
    metadata = field.metadata
    if metadata.get("one_or_many") and not isinstance(raw, list):
        raw = [raw]
    value = convert(raw, hint, base)
    for item in value if isinstance(value, tuple) else (value,):
        _check_limits(item, metadata)
    return value


def _check_limits(value: object, metadata: Mapping[str, Any]) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high, above, below = (metadata.get(key) for key in ("low", "high", "above", "below"))
    limits = []
    if low is not None:
        limits.append((value >= low, f"at least {low}"))
    if above is not None:
        limits.append((value > above, f"more than {above}"))
    if high is not None:
        limits.append((value <= high, f"at most {high}"))
    if below is not None:
        limits.append((value < below, f"less than {below}"))
    if not all(holds for holds, _ in limits):
        wanted = " and ".join(words for _, words in limits)
        raise ValueError(f"must be {wanted}, got {value}")


def convert(value: object, hint: Any, base: Path) -> object:
    """Convert one TOML value to the annotated type; raises ValueError saying what was expected."""
    origin = typing.get_origin(hint)
    if origin is Union or isinstance(hint, types.UnionType):
        return _convert_union(value, hint, base)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices or isinstance(value, bool) != isinstance(choices[0], bool):
            near = did_you_mean(str(value), [str(choice) for choice in choices])
            raise ValueError(f"expected {describe(hint)}, got {_shown(value)}{near}")
        return value
    if origin is tuple:
        (item_hint, _) = typing.get_args(hint)
        if not isinstance(value, list):
            raise ValueError(f"expected {describe(hint)}, got {_shown(value)}")
        return tuple(convert(item, item_hint, base) for item in value)
    if isinstance(hint, type) and issubclass(hint, Quantity):
        return hint.from_toml(value, base)
    return _convert_plain(value, hint, base)


def _convert_plain(value: object, hint: Any, base: Path) -> object:
    if hint is Path and isinstance(value, str) and value:
        return resolve_path(value, base)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"expected a finite number, got {_shown(value)}")
        return number
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise ValueError(f"expected {describe(hint)}, got {_shown(value)}")


def _convert_union(value: object, hint: Any, base: Path) -> object:
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    messages = []
    for option in options:
        try:
            return convert(value, option, base)
        except ValueError as error:
            messages.append(str(error))
    if len(options) == 1:
        raise ValueError(messages[0])
    raise ValueError(f"expected {describe(hint)}, got {_shown(value)}")


def resolve_path(text: str, base: Path) -> Path:
    """Return an absolute path: `~` expanded, relative paths taken from `base`."""
    path = Path(text)
    if text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError as error:
            raise ValueError(f"no home folder for {text!r}") from error
    try:
        return Path(base, path).resolve()
    except (OSError, RuntimeError) as error:  # links that lead round in a circle
        raise ValueError(f"{text!r} leads nowhere: {error}") from error


def describe(hint: Any) -> str:
    """Say in words what a setting's type accepts."""
    origin = typing.get_origin(hint)
    if origin is Union or isinstance(hint, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return " or ".join(describe(option) for option in options)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if origin is tuple:
        return f"a list ({describe(typing.get_args(hint)[0])} each)"
    if isinstance(hint, type) and issubclass(hint, Quantity):
        return hint.notation
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a string",
        Path: "a path",
    }
    return names.get(hint, str(hint))


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
