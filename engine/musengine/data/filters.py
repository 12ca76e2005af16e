"""Filters: patterns and folders that choose files and pieces, or put them in parts, by name.

Nothing here imports NumPy: pipelines are checked with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import tomli

from musengine.errors import UserError, did_you_mean
from musengine.utils.files import read_json

if TYPE_CHECKING:
    from musengine.interfaces.reader import Item
    from musengine.music.piece import SplitName
    from musengine.pipeline.sections import CorpusConfig

T = TypeVar("T")
PARTS: tuple[SplitName, ...] = ("train", "valid", "test")
HELD_OUT: tuple[SplitName, ...] = ("test", "valid")
"""Held-out parts; copies that are in several parts count for the first of these."""

_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
    "testing": "test",
}
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


@dataclass(frozen=True)
class SplitRules:
    """Patterns that name the pieces of held-out parts, which are else drawn.

    Attributes:
        patterns: for each part those that name its pieces.
        source: the key or file they come from, for messages.
        complete: every piece they do not name is trained on.
        strict: each pattern must match something.
    """

    patterns: Mapping[SplitName, Patterns]
    source: str
    complete: bool = False
    strict: bool = True


def rules_of(config: CorpusConfig) -> SplitRules:
    """Return the rules of a corpus's settings; reads the list that they name.

    Raises:
        UserError: the list is missing, damaged or not a list of pieces.
    """
    if isinstance(config.split, Path):
        return _rules_in(config.split)
    patterns: dict[SplitName, Patterns] = {}
    for part in HELD_OUT:
        named = getattr(config, part)
        if isinstance(named, tuple):
            patterns[part] = Patterns(named)
    return SplitRules(patterns, "corpus", complete=config.split in ("folders", "within"))


def _rules_in(path: Path) -> SplitRules:
    try:
        table = tomli.loads(path.read_text("utf-8")) if path.suffix == ".toml" else read_json(path)
    except (OSError, ValueError, UserError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f'corpus.split: neither "shares", "within" nor "folders" nor a list: {path}: {reason}',
            code="split-unreadable",
        ) from error
    # A run's own record has the pieces' ids with hashes under each part.
    recorded = isinstance(table, dict) and isinstance(table.get("parts"), dict)
    lists = table["parts"] if recorded else table
    known = isinstance(lists, dict) and set(lists) <= set(PARTS) and set(lists) & set(HELD_OUT)
    if not known or not all(_are_names(names) for names in lists.values()):
        raise UserError(
            f"corpus.split: {path} is not a list of pieces: it should hold lists of names or "
            "patterns called `valid` and `test`",
            code="split-unreadable",
        )
    patterns: dict[SplitName, Patterns] = {
        part: Patterns(lists[part]) for part in HELD_OUT if part in lists
    }
    return SplitRules(patterns, f"corpus.split: {path}", complete=True, strict=not recorded)


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, dict)) and all(isinstance(name, str) for name in value)


def part_by_folder(item: Item) -> SplitName | None:
    """Return the part that a folder on the way to a file is named after."""
    inside = PurePosixPath(item.id).parts[:-1]
    # The folder that was named as the source counts too.
    outer = item.path.parts[: len(item.path.parts) - len(inside) - 1][-1:]
    # The innermost folder decides: `test/train/x.mid` is for training.
    for name in (*reversed(inside), *outer):
        if (part := _FOLDERS.get(name.lower())) is not None:
            return part
    return None


def check_folders(items: Iterable[Item]) -> None:
    """Refuse files of which none lies in a folder named after a part.

    Raises:
        UserError: says what the folders should be called.
    """
    if all(part_by_folder(item) is None for item in items):
        raise UserError(
            'corpus.split = "folders": there is no folder called train, valid or test on the way '
            "to any file",
            code="split-folders-missing",
        )
