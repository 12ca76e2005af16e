"""Numbers as people write them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `3:20`, `1:02:03`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 piece` and `1,200 pieces`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown_number(value: float, digits: int = 6) -> str:
    """Return a number with at least so many significant digits, whole numbers in full: `100`.

    Nulls at the end are left out. Only numbers that nobody would write out have an exponent.
    """
    size = abs(value)
    if not math.isfinite(value) or (size and not 1e-6 <= size < 1e15):
        return f"{value:.{digits}g}"
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0) if size else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
