"""Names of tracks, in whatever encoding they were written."""

from __future__ import annotations

import re

# Kana (also of half width), kanji, full-width letters and Japanese marks, at least two in a row:
# single ones are what an accented letter of Western Europe and its neighbour look like.
_JAPANESE = re.compile(r"(?:[\x00-\x7f]|[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f]{2,})*")


def decoded(name: bytes) -> str:
    """Return a name as text: UTF-8, else Shift-JIS where that looks right, else Windows-1252."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        japanese = name.decode("cp932")
        if _JAPANESE.fullmatch(japanese):
            return japanese
    except UnicodeDecodeError:
        pass
    try:
        return name.decode("cp1252")
    except UnicodeDecodeError:
        return name.decode("latin-1")
