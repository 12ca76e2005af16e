"""The raw tables of a pipeline: a TOML file, and `--set KEY=VALUE` laid over it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from musengine.errors import UserError
from musengine.utils.files import what_instead

MAX_BYTES = 2**20
UNSET = "unset"
"""Key of every table: a list of keys whose values are taken away, those of presets and defaults."""
_EXPECTED = "expected TABLE.KEY=VALUE, as training.steps=200"


@dataclass
class SettingsSource:
    """Raw tables, where they come from, and which keys the command line set.

    Attributes:
        path: the pipeline file.
        path_shown: how the user named it.
        tables: raw TOML values.
        folder: what relative paths in the file start from.
        overrides: (table, key) pairs set on the command line.
        as_read: the tables without what the command line set; None where it set nothing.
    """

    path: Path
    path_shown: str
    tables: dict[str, Any]
    folder: Path
    overrides: set[tuple[str, str]] = field(default_factory=set)
    as_read: dict[str, Any] | None = None

    def apart(self, tables: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the file says of some of the tables, and what the command line says of them.

        Lists of tables, and a table of which the command line names the component, are what both
        together make of them, and stand among the first.
        """
        below, above = dict(tables), {}
        for name, table in tables.items():
            before = (self.as_read or {}).get(name)
            named = (name, "type") in self.overrides
            if isinstance(table, Mapping) and isinstance(before, Mapping) and not named:
                below[name] = {key: self._below(name, key, value) for key, value in before.items()}
                above[name] = {
                    key: value for key, value in table.items() if self._overridden(name, key)
                }
        return below, above

    def _below(self, table: str, key: str, value: Any) -> Any:
        """Return a value of the file: of a component that is named anew nothing but its name."""
        renamed = (table, key) in self.overrides and isinstance(value, Mapping)
        return value.get("type") if renamed else value

    def _overridden(self, table: str, key: str) -> bool:
        inner = f"{table}.{key}"
        return (table, key) in self.overrides or any(
            place == inner or place.startswith(f"{inner}.") for place, _ in self.overrides
        )

    def base(self, table: str, key: str) -> Path:
        """Return the folder a key's relative paths start from: the file's, or the working one."""
        return Path.cwd() if (table, key) in self.overrides else self.folder

    def label(self, table: str, key: str) -> str:
        """Return what messages name as the place of a key: the file, or `--set`."""
        inner = f"{table}.{key}." if table else f"{key}."
        part = any(f"{place}.".startswith(inner) for place, _ in self.overrides)
        # A name alone stands for the table that it opens into, as in `corpus.reader=rolls`.
        outer, _, name = table.rpartition(".")
        given = part or (table, key) in self.overrides or (outer, name) in self.overrides
        return "--set" if given else self.path_shown


def read(path: Path, settings: Sequence[str] = ()) -> SettingsSource:
    """Read a pipeline file and apply `--set` settings.

    Raises:
        UserError: no such file, not UTF-8, not TOML (with line and column), or a bad setting.
    """
    try:
        kind = what_instead(path)
        if kind and kind != "a folder":
            raise UserError(f"{path} is {kind}, not a file", code="not-a-file")
        # Before reading: the path may be anything, also a recording of some gigabytes.
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path}: {size} bytes are too many for a pipeline file", code="too-large"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        if _is_folder(path):
            raise UserError(
                f"{path} is a folder; name a pipeline file in it", code="folder-not-file"
            ) from error
        raise UserError(f"{path}: {error.strerror or error}", code="cannot-read") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 text at byte {error.start}", code="not-utf-8"
        ) from error
    import tomli  # not every command reads a file, and it takes as long as ten of our modules

    try:
        tables = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        lines = text.splitlines()
        hint = _escapes(lines[error.lineno - 1] if error.lineno <= len(lines) else "")
        raise UserError(f"{path}: {place}: {error.msg}{hint}", code="not-toml") from error
    except ValueError as error:  # a whole number of thousands of digits
        message = f"{path}: a whole number in it has more than 4300 digits"
        raise UserError(message, code="not-toml") from error
    except RecursionError:
        raise UserError(f"{path}: nested too deeply", code="not-toml") from None
    source = SettingsSource(path, str(path), tables, path.resolve().parent)
    for assignment in settings:
        apply(source, assignment)
    return source


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long a name, a folder that may not be entered
        return False


_ESCAPED = re.compile(r"(?<!')\"[^\"']*\\")
ESCAPES = "in double quotes a backslash begins an escape: write a path in single quotes, or with /"


def _escapes(text: str) -> str:
    """Return a hint where a backslash stands in double quotes, as in Windows paths."""
    return f"; {ESCAPES}" if _ESCAPED.search(text) else ""


def read_tables(path: Path) -> dict[str, Any]:
    """Return the raw tables of a TOML file, of bounded size.

    Raises:
        UserError: no such file, not UTF-8, not TOML.
    """
    return read(path).tables


def apply(source: SettingsSource, assignment: str) -> None:
    """Lay `TABLE.KEY=VALUE` over the tables.

    In a list of tables a key is `TABLE.INDEX.KEY`; `TABLE=[{...}]` replaces the whole list.
    `TABLE.KEY=` without a value takes away what the file, a preset or a default of the model or
    the encoder gives.

    Raises:
        UserError: not of that form, or an index beyond the end of the list.
    """
    key, equals, text = assignment.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UserError(f"--set {assignment}: {_EXPECTED}", code="assignment-malformed")
    if source.as_read is None:
        # Once, before the first setting: presets lie between the file and the command line.
        source.as_read = copy.deepcopy(source.tables)
    if len(names) == 1:
        _replace(source, names[0], parse_value(assignment, text.strip()), assignment)
        return
    place: Any = source.tables
    for name, following in pairwise(names):
        place = _enter(place, name, following, assignment)
    if isinstance(place, list):
        *outer, index = names
        whole = ".".join(outer)
        raise UserError(
            f"--set {assignment}: expected {whole}.{index}.KEY=VALUE, or {whole}=[...] for all",
            code="assignment-malformed",
        )
    *outer, last = names
    if text.strip():
        place[last] = parse_value(assignment, text.strip())
    else:
        place.pop(last, None)
        if not any(map(_is_index, outer)):  # lists are taken whole: nothing lies below an entry
            given = place.get(UNSET, [])
            # Removing the key is not enough: a preset or a default would give it a value again.
            place[UNSET] = [*(given if isinstance(given, list) else [given]), last]
            last = UNSET
    source.overrides.add((".".join(outer), last))


def _replace(source: SettingsSource, name: str, value: Any, assignment: str) -> None:
    """Put a whole list of tables in the place of another."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UserError(f"--set {assignment}: {_EXPECTED}", code="assignment-malformed")
    source.tables[name] = value
    for index, item in enumerate(value):
        source.overrides.update((f"{name}.{index}", key) for key in item)


def _enter(place: Any, name: str, following: str, assignment: str) -> Any:
    """Return the table or list called `name`, made where there is none yet."""
    if isinstance(place, list):
        if not _is_index(name) or int(name) > len(place):
            raise UserError(
                f"--set {assignment}: no entry {name!r} in a list of {len(place)}; 0 is the first",
                code="assignment-malformed",
            )
        if int(name) == len(place):
            place.append({})
        inner = place[int(name)]
    else:
        inner = place.setdefault(name, [] if _is_index(following) else {})
        if isinstance(inner, dict) and _is_index(following):
            inner = place[name] = [inner]
    if not isinstance(inner, (dict, list)):
        # A name alone, as in reader = "rolls", opens into the table it stands for.
        inner = place[int(name) if isinstance(place, list) else name] = {"type": inner}
    return inner


def _is_index(name: str) -> bool:
    return name.isdecimal() and len(name) < 10


def parse_value(assignment: str, text: str) -> Any:
    """Parse a TOML value; what is none is a string, unless it was clearly meant as TOML.

    Raises:
        UserError: it was meant as TOML and is not; names the whole assignment.
    """
    import tomli

    try:
        return tomli.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:
        # `encoder.type=piano-roll` needs no quotes in the shell; what begins with one was meant as
        # TOML.
        if not text or re.match(r"[\[{\"']", text):
            raise UserError(
                f"--set {assignment}: {text!r} is not a TOML value{_escapes(text)}",
                code="not-toml",
            ) from error
        return text
