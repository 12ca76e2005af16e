"""What a setting may hold: read from TOML, described in words and as a JSON Schema.

One walk over a field's annotation serves validation, the schema and the reference documentation,
so that they cannot disagree.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union

from musengine.errors import did_you_mean
from musengine.utils.by_value import ByValue

Schema = dict[str, Any]
"""A JSON Schema, draft 7."""


class Quantity(ByValue):
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
    def schema(cls) -> Schema:
        """Return a JSON Schema (draft 7) of what `from_toml` reads; by default anything."""
        return {}


@dataclass(frozen=True, repr=False, eq=False)
class SettingType(ByValue):
    """What the TOML value of a setting may be.

    Attributes:
        words: what is accepted.
        schema: what is accepted, as a JSON Schema.
        read: a TOML value and the folder that relative paths start from to the Python value;
            raises ValueError saying what was expected.
    """

    words: str
    schema: Schema
    read: Callable[[object, Path], object]


def hints_of(cls: type[Any]) -> dict[str, Any]:
    """Return the types of a class's fields, inherited ones included, by name.

    `typing.get_type_hints` gives the same and takes five times as long, which is most of what
    it takes to list the plugins: it makes an object of every annotation of every base, anew for
    each class.
    """
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints |= _own_hints(base)
    return hints


@functools.cache
def _own_hints(cls: type[Any]) -> dict[str, Any]:
    return inspect.get_annotations(cls, eval_str=True)


def setting_type(
    hint: Any, bounds: Mapping[str, float] | None = None, *, one_or_many: bool = False
) -> SettingType:
    """Return what an annotation stands for.

    Args:
        hint: `bool`, `int`, `float`, `str`, `Path`, a Quantity, a Literal, a `tuple[T, ...]`, or
            a union of these; None in a union says that the key may be absent.
        bounds: keywords of a schema such as `minimum`, for each number.
        one_or_many: one value alone stands for a list of it.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union or isinstance(hint, types.UnionType):
        options = [each for each in arguments if each is not type(None)]
        return _union([setting_type(each, bounds, one_or_many=one_or_many) for each in options])
    if origin is Literal:
        words = "one of " + ", ".join(map(repr, arguments))
        return SettingType(words, {"enum": list(arguments)}, partial(_read_choice, arguments))
    if origin is tuple:
        return _list(setting_type(arguments[0], bounds), one_or_many)
    if isinstance(hint, type) and issubclass(hint, Quantity):
        return SettingType(hint.notation, hint.schema(), hint.from_toml)
    words, schema = _PLAIN.get(hint, (str(hint), {}))
    schema = {**schema, **((bounds if hint in (int, float) else None) or {})}
    return SettingType(words, schema, partial(_read_plain, hint, words))


_MOST = 2**53
"""The largest whole number that every program reads from JSON as it is."""

_PLAIN: dict[Any, tuple[str, Schema]] = {
    bool: ("true or false", {"type": "boolean"}),
    int: ("a whole number", {"type": "integer"}),
    float: ("a number", {"type": "number"}),
    str: ("a string", {"type": "string"}),
    Path: ("a path", {"type": "string", "minLength": 1}),
}


def _read_plain(hint: Any, words: str, value: object, base: Path) -> object:
    if hint is Path and isinstance(value, str) and value:
        return resolve_path(value, base)
    # By `type`, not `isinstance`: true is an int to Python, and no number in TOML.
    if hint is float and type(value) in (int, float):
        return _finite(value)
    if hint is int and type(value) is int and abs(value) > _MOST:
        raise OutOfRangeError(f"must lie between -2**53 and 2**53, got {_shortened(value)}")
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise _refusal(words, value)


def _shortened(value: int) -> str:
    # Python refuses to write out numbers of more than 4300 digits.
    digits = len(str(abs(value))) if abs(value) < 10**1000 else 1000
    return str(value) if digits <= 30 else f"a number of {digits} digits"


def _read_choice(choices: tuple[Any, ...], value: object, base: Path) -> object:
    # True equals 1, but is no choice of numbers.
    if value in choices and isinstance(value, bool) == isinstance(choices[0], bool):
        return value
    near = did_you_mean(str(value), map(str, choices))
    raise _refusal("one of " + ", ".join(map(repr, choices)), value, near)


def _list(item: SettingType, one_or_many: bool) -> SettingType:
    words = f"a list ({item.words} each)" + (", or one alone" if one_or_many else "")
    schema = {"type": "array", "items": item.schema}

    def read(value: object, base: Path) -> tuple[object, ...]:
        if not isinstance(value, list):
            if not one_or_many:
                raise _refusal(words, value)
            value = [value]
        return tuple(item.read(each, base) for each in value)

    return SettingType(words, any_of([item.schema, schema]) if one_or_many else schema, read)


def _union(options: Sequence[SettingType]) -> SettingType:
    if len(options) == 1:
        return options[0]
    words = " or ".join(option.words for option in options)

    def read(value: object, base: Path) -> object:
        for option in options:
            try:
                return option.read(value, base)
            except ValueError:
                continue
        raise _refusal(words, value)

    return SettingType(words, any_of([option.schema for option in options]), read)


class OutOfRangeError(ValueError):
    """A number that is of the right type, and outside its key's bounds."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Bounds(ByValue):
    """Between what a number lies, or each number of a list; None where there is no bound."""

    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None

    def check(self, value: object) -> None:
        """Raise OutOfRangeError where a number, or one of a tuple, lies outside."""
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, bool) or not isinstance(item, (int, float)):
                continue
            if not all(_BOUNDS[name][2](item, bound) for name, bound in self._set()):
                raise OutOfRangeError(f"must be {' and '.join(self.words())}, got {item}")

    def words(self) -> list[str]:
        """Return each bound in words, such as `at least 0`."""
        return [
            f"{_BOUNDS[name][0]} {int(bound) if bound == int(bound) else bound}"
            for name, bound in self._set()
        ]

    def keywords(self) -> dict[str, float]:
        """Return the bounds as keywords of a JSON Schema."""
        return {_BOUNDS[name][1]: bound for name, bound in self._set()}

    def _set(self) -> list[tuple[str, float]]:
        return [(name, bound) for name, bound in vars(self).items() if bound is not None]


_BOUNDS = {
    "low": ("at least", "minimum", operator.ge),
    "above": ("more than", "exclusiveMinimum", operator.gt),
    "high": ("at most", "maximum", operator.le),
    "below": ("less than", "exclusiveMaximum", operator.lt),
}


def resolve_path(text: str, base: Path) -> Path:
    """Return an absolute path: `~` expanded, relative paths taken from `base`."""
    path = Path(text)
    if text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError as error:
            raise ValueError(f"no home folder for {text!r}") from error
    try:
        # An absolute path takes no notice of the base.
        return Path(base, path).resolve()
    except (OSError, RuntimeError) as error:  # links that lead round in a circle
        raise ValueError(f"{text!r} leads nowhere: {error}") from error


def any_of(schemas: Sequence[Schema]) -> Schema:
    """Return the schema of what one of several takes."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": [*schemas]}


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {_shown(value)}")
    return number


def _refusal(words: str, value: object, hint: str = "") -> ValueError:
    return ValueError(f"expected {words}, got {_shown(value)}{hint}")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
