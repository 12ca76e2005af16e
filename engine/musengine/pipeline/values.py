"""Values of a pipeline with a notation of their own: sources of music, prompts, checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from musengine.config.quantities import Length
from musengine.config.setting_types import Quantity, Schema, resolve_path

_NOT_BLANK = {"type": "string", "pattern": r"\S"}
_SCHEME = r"([A-Za-z][A-Za-z0-9_-]+):(?![\\/])"
"""Two letters or more, so that a Windows drive is none."""
_DIGITS = 15
"""Of a step's number at the most."""


@dataclass(frozen=True, repr=False, eq=False)
class Source(Quantity):
    """Where music comes from: an absolute path, or `SCHEME:NAME` of a built-in corpus."""

    text: str
    notation: ClassVar[str] = 'a file, a folder or a built-in corpus such as "music21:bach"'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Source:
        """Parse a path (relative to `base`) or `SCHEME:NAME`."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        # Kept as it is: no path, so that it starts from no folder.
        if re.match(_SCHEME, value):
            return cls(value)
        return cls(str(resolve_path(value, base)))

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema; whether the path leads anywhere is left open."""
        return {**_NOT_BLANK, "examples": ["my-midi-files", "music21:bach-chorales"]}

    def to_toml(self) -> str:
        """Return the absolute path or `SCHEME:NAME`."""
        return self.text

    @property
    def scheme(self) -> str | None:
        """The part before the colon, or None for a path."""
        match = re.match(_SCHEME, self.text)
        return match[1] if match else None

    @property
    def name(self) -> str:
        """The part after the scheme, or the path."""
        return self.text.partition(":")[2] if self.scheme else self.text


@dataclass(frozen=True, repr=False, eq=False)
class Offset(Quantity):
    """Where something begins: a length from the start, or a place drawn at random."""

    length: Length | None
    """None for a random place."""
    notation: ClassVar[str] = f'{Length.notation}, or "random"'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Offset:
        """Parse `random` or a length."""
        if value == "random":
            return cls(None)
        try:
            return cls(Length.from_toml(value, base))
        except ValueError as error:
            raise ValueError(f'{error}; or "random"') from error

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        return {"anyOf": [{"enum": ["random"]}, Length.schema()]}

    def to_toml(self) -> str:
        """Return the word or the length."""
        return "random" if self.length is None else self.length.to_toml()


@dataclass(frozen=True, repr=False, eq=False)
class BarRange(Quantity):
    """Bars of a piece, counted from 1, both ends included."""

    first: int
    last: int
    notation: ClassVar[str] = 'bars such as "5-8", counted from 1, or one bar'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> BarRange:
        """Parse `"FIRST-LAST"`, or one number."""
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:-\s*([0-9]{1,6})\s*)?", str(text))
        if not isinstance(text, str) or match is None:
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last:
            raise ValueError(f"expected {cls.notation}, the first no later than the last: {value}")
        return cls(first, last)

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema; that the first comes first is left open."""
        number = r"0*[1-9][0-9]*"
        written = {"type": "string", "pattern": rf"^\s*{number}\s*(-\s*{number}\s*)?$"}
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 999_999}, written]}

    def to_toml(self) -> str:
        """Return `"FIRST-LAST"`."""
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, repr=False, eq=False)
class Prompt(Quantity):
    """What a generated piece starts from: `corpus`, `none`, or a music file or folder."""

    kind: str
    path: Path | None = None
    notation: ClassVar[str] = '"corpus" (stored prompts), "none", or a file or folder of music'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Prompt:
        """Parse `corpus`, `none` or a path relative to `base`."""
        if value in ("corpus", "none"):
            return cls(str(value))
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        return cls("path", resolve_path(value, base))

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        return {"anyOf": [{"enum": ["corpus", "none"]}, _NOT_BLANK]}

    def to_toml(self) -> str:
        """Return the word or the absolute path."""
        return str(self.path) if self.path is not None else self.kind


@dataclass(frozen=True, repr=False, eq=False)
class CheckpointChoice(Quantity):
    """Which weights of a run: `best`, `last`, those after a step, or those in a file."""

    which: str | int | Path
    notation: ClassVar[str] = (
        '"best", "last", the number of a step, or a checkpoint file (.safetensors)'
    )

    @classmethod
    def from_toml(cls, value: object, base: Path) -> CheckpointChoice:
        """Parse a word, a step (also as a string) or a path relative to `base`."""
        if value in ("best", "last"):
            return cls(str(value))
        if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS:
            return cls(int(value))
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_DIGITS:
            return cls(value)
        if isinstance(value, str) and value.endswith(".safetensors"):
            return cls(resolve_path(value, base))
        raise ValueError(f"expected {cls.notation}, got {value!r}")

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        step = {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**_DIGITS}
        written = {"type": "string", "pattern": rf"^[0-9]{{1,{_DIGITS}}}$|\.safetensors$"}
        return {"anyOf": [{"enum": ["best", "last"]}, step, written]}

    def to_toml(self) -> str | int:
        """Return the word, the step or the absolute path."""
        return str(self.which) if isinstance(self.which, Path) else self.which
