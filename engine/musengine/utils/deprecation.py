"""Names that have another name now: they work for a while, and warn who wrote them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Renamed:
    """What a name is called now, and the version in which the former name goes."""

    now: str
    gone: str


def warn_of(former: str, renamed: Renamed, *, level: int) -> None:
    """Warn that a name is deprecated, at the line that uses it.

    It is for the author of that line: Python shows it in `__main__` and pytest everywhere, and the
    command line never.

    Args:
        former: the name, with what it is a name of.
        renamed: what it is called now.
        level: how many calls above this one that line is.
    """
    warnings.warn(
        f"{former} is now {renamed.now}; the former name goes in version {renamed.gone}",
        DeprecationWarning,
        stacklevel=level + 1,
    )


def former_fields(**former: Renamed) -> Callable[[type[T]], type[T]]:
    """Let a dataclass, such as a declaration, take fields by the names that they had.

    Args:
        former: the former names, each with what it is called now.
    """

    def decorate(cls: type[T]) -> type[T]:
        plain: Callable[..., None] = cls.__init__

        @functools.wraps(plain)
        def initialised(self: T, *arguments: Any, **fields: Any) -> None:
            for name in former.keys() & fields.keys():
                warn_of(f"musengine.api.{cls.__name__}.{name}", former[name], level=2)
                if former[name].now in fields:
                    raise TypeError(f"{cls.__name__} is given {name!r} and {former[name].now!r}")
                fields[former[name].now] = fields.pop(name)
            plain(self, *arguments, **fields)

        cls.__init__ = initialised  # type: ignore[method-assign, assignment]
        return cls

    return decorate
