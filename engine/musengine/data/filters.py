"""Patterns that stand for files, pieces and folders by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from musengine.errors import UserError, did_you_mean

T = TypeVar("T")
SHOWN = 12
"""How many names a message lists at most."""


class Patterns:
    """Names, and patterns in which `*` stands for anything, folders included, `?` for one sign.

    A pattern stands for the names it fits and for all that lies in a folder whose name it fits.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts = list(dict.fromkeys(pattern.strip("/") for pattern in patterns))
        # Lists of names can be long, and most names are not patterns.
        self._plain = {text for text in self.texts if not set(text) & set("*?[")}
        self._wild = [text for text in self.texts if text not in self._plain]

    def fitting(self, *names: str) -> list[str]:
        """Return those of the patterns that stand for one of some names of a thing."""
        ways = {way for name in names for way in (name, *_folders(name))}
        found = ways & self._plain
        found.update(
            text
            for text in self._wild
            # A name may itself hold a bracket.
            if text in ways or any(fnmatchcase(way, text) for way in ways)
        )
        return sorted(found)


def _folders(name: str) -> Iterable[str]:
    place = name.find("/")
    while place >= 0:
        yield name[:place]
        place = name.find("/", place + 1)


def choose(
    things: Sequence[T],
    names: Sequence[tuple[str, ...]],
    wanted: Sequence[str],
    unwanted: Sequence[str],
) -> list[T]:
    """Return the things that some patterns stand for and others do not, in their order.

    Args:
        things: what is chosen from.
        names: for each, what it is called; the first is its style.
        wanted: patterns for what is taken; none takes all.
        unwanted: patterns for what is left out of it.

    Raises:
        UserError: a pattern stands for nothing; names the styles there are.
    """
    styles = sorted({own[0] for own in names if own[0]})
    taken, left_out = Patterns(wanted), Patterns(unwanted)
    fits = [(taken.fitting(*own), left_out.fitting(*own)) for own in names]
    check_used("styles", taken, (fit for fit, _ in fits), styles)
    check_used("exclude", left_out, (fit for _, fit in fits), styles)
    return [
        thing
        for thing, (fit, unfit) in zip(things, fits, strict=True)
        if (fit or not wanted) and not unfit
    ]


def check_used(
    key: str, patterns: Patterns, fits: Iterable[Iterable[str]], known: Sequence[str]
) -> None:
    """Refuse patterns that stand for nothing.

    Raises:
        UserError: names the key, the pattern and what there is.
    """
    used = {pattern for fit in fits for pattern in fit}
    for pattern in patterns.texts:
        if pattern not in used:
            listed = ", ".join(known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
            near = did_you_mean(pattern, known)
            raise UserError(
                f"corpus.{key}: {pattern!r} stands for nothing{near}; "
                f"there are: {listed or 'no names at all'}"
            )
