"""Values with a unit as people write them: lengths, grid steps, periods, meters, instruments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from musengine.config.general_midi import GENERAL_MIDI, near_instruments
from musengine.config.setting_types import Quantity, Schema
from musengine.errors import did_you_mean

_LENGTH_UNITS = ("steps", "beats", "bars", "seconds", "minutes", "tokens")
_PERIOD_UNITS = ("steps", "epochs", "minutes")


_TOO_LARGE = 1e9
"""More steps, bars or seconds than any music has."""


def _number_and_unit(value: object, units: tuple[str, ...], wanted: str) -> tuple[float, str]:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", str(value))
    if not isinstance(value, str) or match is None:
        raise ValueError(f"expected {wanted}, got {value!r}")
    number, unit = float(match[1]), match[2].lower()
    # Bounded here once for all units, before the number is turned into ticks of 64 bits.
    if number >= _TOO_LARGE:
        raise ValueError(f"expected {wanted}, of less than a thousand million, got {match[1][:30]}")
    unit = unit if unit.endswith("s") else unit + "s"
    if unit not in units:
        raise ValueError(f"unknown unit {match[2]!r}, expected {wanted}{did_you_mean(unit, units)}")
    return number, unit


# The regular expressions of the schemas use only what every validator's dialect knows: no
# lookahead, no flags, and [0-9], since \d is more than that in some.
_DECIMAL = r"0*[0-9]{1,9}(\.[0-9]+)?"
_WHOLE = r"0*[0-9]{1,9}(\.0+)?"
_POSITIVE = r"(0*[1-9][0-9]{0,8}(\.[0-9]+)?|0+\.0*[1-9][0-9]*)"
_POSITIVE_WHOLE = r"0*[1-9][0-9]{0,8}(\.0+)?"


def _text(*patterns: str, examples: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a string that is one of these, blanks around it."""
    pattern = f"^\\s*({'|'.join(patterns)})\\s*$"
    return {"type": "string", "pattern": pattern, **({"examples": [*examples]} if examples else {})}


def _measured(number: str, *units: str) -> str:
    """Return the pattern of a number with one of these units, singular or plural, in any case."""
    words = "|".join(f"{_any_case(unit.removesuffix('s'))}[Ss]?" for unit in units)
    return rf"{number}\s*({words})"


def _any_case(text: str) -> str:
    letters = (f"[{char.upper()}{char.lower()}]" if char.isalpha() else char for char in text)
    return "".join(f"\\{char}" if char in "()+" else char for char in letters)


def _written(number: float, unit: str) -> str:
    return f"{_decimal(number)} {unit}"


def _decimal(number: float) -> str:
    """Return a number in full and without an exponent, so that it reads back as the same."""
    return str(int(number)) if number == int(number) else format(Decimal(repr(number)), "f")


@dataclass(frozen=True, repr=False, eq=False)
class Length(Quantity):
    """A musical length: a non-negative number of steps, beats, bars, seconds or tokens.

    Minutes are read too, as seconds.
    """

    number: float
    unit: str
    notation: ClassVar[str] = (
        'a length such as "64 steps", "16 beats", "8 bars", "30 seconds", "2 minutes" or '
        '"500 tokens"'
    )

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Length:
        """Parse `"NUMBER UNIT"`."""
        number, unit = _number_and_unit(value, _LENGTH_UNITS, cls.notation)
        if unit in ("steps", "tokens") and number != int(number):
            raise ValueError(f"expected a whole number of {unit}, got {value!r}")
        if unit == "minutes":
            number, unit = 60 * number, "seconds"
            if number >= _TOO_LARGE:
                raise ValueError(f"expected less than a thousand million seconds, got {value!r}")
        return cls(number, unit)

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        return _text(
            _measured(_WHOLE, "steps", "tokens"),
            _measured(_DECIMAL, "beats", "bars", "seconds", "minutes"),
            examples=("64 steps", "16 beats", "8 bars", "30 seconds", "2 minutes", "500 tokens"),
        )

    def to_toml(self) -> str:
        """Return `"NUMBER UNIT"`."""
        return _written(self.number, self.unit)


@dataclass(frozen=True, repr=False, eq=False)
class Period(Quantity):
    """How often something happens during training: every so many steps, epochs or minutes."""

    number: float
    unit: str
    notation: ClassVar[str] = (
        'a whole number of steps, or a period such as "500 steps", "1 epoch" or "10 minutes"'
    )

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Period:
        """Parse a whole number of steps or `"NUMBER UNIT"`."""
        if isinstance(value, int) and not isinstance(value, bool) and value < _TOO_LARGE:
            number, unit = float(value), "steps"
        else:
            number, unit = _number_and_unit(value, _PERIOD_UNITS, cls.notation)
        if number <= 0 or (unit != "minutes" and number != int(number)):
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        return cls(number, unit)

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        periods = _text(
            _measured(_POSITIVE_WHOLE, "steps", "epochs"),
            _measured(_POSITIVE, "minutes"),
            examples=("500 steps", "1 epoch", "10 minutes"),
        )
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 999_999_999}, periods]}

    def to_toml(self) -> int | str:
        """Return steps as a number, other units as `"NUMBER UNIT"`."""
        return int(self.number) if self.unit == "steps" else _written(self.number, self.unit)


@dataclass(frozen=True, repr=False, eq=False)
class GridStep(Quantity):
    """The length of one time step: a fraction of a beat (a quarter note), or seconds."""

    size: Fraction
    unit: str
    notation: ClassVar[str] = 'a step such as "1/4 beat" or "0.3 seconds"'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> GridStep:
        """Parse `"FRACTION beat"` or `"NUMBER seconds"`, exactly."""
        match = re.fullmatch(
            r"\s*([0-9]+/[0-9]+|[0-9]+(?:\.[0-9]+)?)\s*(beats?|seconds?)\s*", str(value)
        )
        if not isinstance(value, str) or match is None:
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        try:
            # A fraction and no float: steps of a third of a beat must add up to whole beats.
            size = Fraction(match[1])
        except ZeroDivisionError:
            size = Fraction(0)
        if not Fraction(1, 1000) <= size <= 1000:
            raise ValueError(f"a step must lie between 1/1000 and 1000, got {value!r}")
        if size.denominator > 10**6:  # quantising multiplies by it, in 64 bits
            raise ValueError(f"a step's denominator may be a million at most, got {value!r}")
        return cls(size, "beat" if match[2].startswith("beat") else "seconds")

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema; the range of a fraction is left to `from_toml`."""
        from_one = r"0*(1000(\.0+)?|[1-9][0-9]{0,2}(\.[0-9]+)?)"
        below_one = r"0+\.0{0,2}[1-9][0-9]*"
        fraction = r"0*[1-9][0-9]*/0*[1-9][0-9]*"
        return _text(
            rf"({fraction}|{from_one}|{below_one})\s*(beats?|seconds?)",
            examples=("1/4 beat", "0.3 seconds"),
        )

    def to_toml(self) -> str:
        """Return the exact fraction, or the decimal number where there is one."""
        if self.unit == "seconds" and Fraction(str(float(self.size))) == self.size:
            return f"{_decimal(float(self.size))} seconds"
        if self.unit == "seconds":
            return f"{self.size} seconds"
        return f"{self.size} beat"


@dataclass(frozen=True, repr=False, eq=False)
class Meter(Quantity):
    """A time signature such as 3/4."""

    numerator: int
    denominator: int
    notation: ClassVar[str] = 'a meter such as "4/4" or "6/8"'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Meter:
        """Parse `"N/D"`, D a power of two up to 64."""
        match = re.fullmatch(r"\s*([0-9]{1,2})/([0-9]{1,2})\s*", str(value))
        if match is None or not int(match[1]) or int(match[2]) not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        return _text("(0?[1-9]|[1-9][0-9])/(0?[1248]|16|32|64)", examples=("4/4", "6/8"))

    def to_toml(self) -> str:
        """Return `"N/D"`."""
        return f"{self.numerator}/{self.denominator}"

    @property
    def beats_per_bar(self) -> Fraction:
        """The bar's length in beats (quarter notes)."""
        return Fraction(4 * self.numerator, self.denominator)


_TONICS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
"""The sharps of the major keys of the white keys."""


@dataclass(frozen=True, repr=False, eq=False)
class Key(Quantity):
    """A key signature, from seven flats to seven sharps, such as that of G major or E minor."""

    sharps: int
    minor: bool
    notation: ClassVar[str] = 'a key such as "G", "Bb", "Em" or "F# minor"'

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Key:
        """Parse a tonic with `#` or `b`, and nothing or `major`, or `m`, `min` or `minor`."""
        pattern = r"\s*([A-G])([#b]?)\s*(m|[Mm][Aa][Jj](?:[Oo][Rr])?|[Mm][Ii][Nn](?:[Oo][Rr])?)?\s*"
        match = re.fullmatch(pattern, value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        minor = (match[3] or "").lower() in ("m", "min", "minor")
        sharps = _TONICS[match[1]] + {"#": 7, "b": -7, "": 0}[match[2]] - 3 * minor
        if not -7 <= sharps <= 7:
            raise ValueError(
                f"expected {cls.notation}, of at most seven sharps or flats: {value!r}"
            )
        return cls(sharps, minor)

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema."""
        major = f"(([A-G]|[CF]#|[A-EG]b)\\s*({_any_case('maj')}({_any_case('or')})?)?)"
        minor = f"(([A-G]|[ACDFG]#|[ABE]b)\\s*(m|{_any_case('min')}({_any_case('or')})?))"
        return _text(major, minor, examples=("G", "Bb", "Em", "F# minor"))

    def to_toml(self) -> str:
        """Return the tonic, with `m` for minor."""
        # Along the circle of fifths from F = 0; each accidental is seven fifths.
        fifths = self.sharps + 3 * self.minor + 1
        accidental = {-1: "b", 0: "", 1: "#"}[fifths // 7]
        return "FCGDAEB"[fifths % 7] + accidental + "m" * self.minor


@dataclass(frozen=True, repr=False, eq=False)
class Instrument(Quantity):
    """A General MIDI program, 0 to 127, given by number or by name."""

    program: int
    notation: ClassVar[str] = (
        "a General MIDI program number (0 to 127) or instrument name such as 'church organ'"
    )

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Instrument:
        """Parse a program number or an instrument name, letter case ignored."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 127:
            return cls(value)
        names = [name.lower() for name in GENERAL_MIDI]
        if isinstance(value, str):
            if value.strip().lower() in names:
                return cls(names.index(value.strip().lower()))
            near = " or ".join(map(repr, near_instruments(value.strip())))
            meant = f"; did you mean {near}?" if near else ""
            raise ValueError(f"expected {cls.notation}, got {value!r}{meant}")
        raise ValueError(f"expected {cls.notation}, got {value!r}")

    @classmethod
    def schema(cls) -> Schema:
        """Return the notation as a JSON Schema; the names come first, for editors to offer."""
        return {
            "anyOf": [
                {"enum": list(GENERAL_MIDI)},
                {"type": "integer", "minimum": 0, "maximum": 127},
                _text(*(_any_case(name) for name in GENERAL_MIDI)),
            ]
        }

    def to_toml(self) -> str:
        """Return the instrument's name."""
        return GENERAL_MIDI[self.program]
