"""Numbers as people write them."""

from __future__ import annotations


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
