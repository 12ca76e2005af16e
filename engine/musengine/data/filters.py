"""Filters: patterns that match files, pieces and folders by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from musengine.errors import UserError, did_you_mean

T = TypeVar("T")
SHOWN = 12
"""How many names a message lists at most."""


class Patterns:
    """Patterns in which `*` matches anything, folders included, and `?` one character.

    A pattern also matches all that lies in a folder whose name it matches.

    Args:
        patterns: names or patterns; slashes at their ends do not count.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts = list(dict.fromkeys(pattern.strip("/") for pattern in patterns))
        # Lists of names can be long, and most names are not patterns.
        self._plain = {text for text in self.texts if not set(text) & set("*?[")}
        self._wild = [text for text in self.texts if text not in self._plain]

    def matching(self, *names: str) -> list[str]:
        """Return those of the patterns that match one of the names that something has."""
        paths = {path for name in names for path in (name, *_folders(name))}
        found = paths & self._plain
        found.update(
            text
            for text in self._wild
            # A name may itself hold a bracket.
            if text in paths or any(fnmatchcase(path, text) for path in paths)
        )
        return sorted(found)


def _folders(name: str) -> Iterable[str]:
    slash = name.find("/")
    while slash >= 0:
        yield name[:slash]
        slash = name.find("/", slash + 1)


def filter_items(
    items: Sequence[T],
    names: Sequence[tuple[str, ...]],
    include: Sequence[str],
    exclude: Sequence[str],
) -> list[T]:
    """Return the items that some patterns match and others do not, in their order.

    Args:
        items: what is filtered.
        names: for each, its names; the first is its style.
        include: patterns of what is kept; all is where there are none.
        exclude: patterns of what is not.

    Raises:
        UserError: a pattern matches nothing; names the styles there are.
    """
    styles = sorted({own[0] for own in names if own[0]})
    included, excluded = Patterns(include), Patterns(exclude)
    matches = [(included.matching(*own), excluded.matching(*own)) for own in names]
    check_used("styles", included, (match for match, _ in matches), styles)
    check_used("exclude", excluded, (match for _, match in matches), styles)
    return [
        item
        for item, (inside, outside) in zip(items, matches, strict=True)
        if (inside or not include) and not outside
    ]


def check_used(
    key: str, patterns: Patterns, matches: Iterable[Iterable[str]], known: Sequence[str]
) -> None:
    """Refuse patterns that match nothing.

    Args:
        key: the key of `[corpus]` they come from.
        patterns: all of them.
        matches: those that match, for each item.
        known: the names there are.

    Raises:
        UserError: names the key, the pattern and what there is.
    """
    used = {pattern for match in matches for pattern in match}
    for pattern in patterns.texts:
        if pattern not in used:
            listed = ", ".join(known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
            near = did_you_mean(pattern, known)
            raise UserError(
                f"corpus.{key}: {pattern!r} stands for nothing; "
                f"there are: {listed or 'no names at all'}{near}",
                code="pattern-unused",
            )
