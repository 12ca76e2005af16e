"""Equality, hash and text of small frozen dataclasses, made once for all of them."""

from __future__ import annotations


class ByValue:
    """Base of frozen dataclasses that are compared, hashed and shown by their fields.

    What `dataclass` does for each class this one does for all: with `repr=False, eq=False` a
    class is made in half the time, and classes of settings are most of what there is to make
    before `musengine --help` says a word.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({shown})"
