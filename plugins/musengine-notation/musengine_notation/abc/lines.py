"""The lines of a tune: fields, directives and music, without comments and typeset text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from musengine_notation.abc.lexer import DECORATIONS, NOTES_OF_OLD, is_decoration, without_comment

Line = tuple[int, str]
"""The number of a line in its file, from 1, and its text."""
_LONGEST_FIELD = 1000
_FIELD = re.compile(r"([A-Za-z+]):(.*)", re.DOTALL)
_NO_LETTERS = re.compile(r'"[^"]*"|\{[^{}]*\}|\[\s?[A-Za-z]:[^\]]{0,1000}\]')
_MARK = re.compile(r"!([^!|]*)!")


def note_letters(line: str) -> int:
    """Return how many note letters a line of music has, apart from how it is parsed.

    Quoted text, grace notes, fields and decorations have none.
    """
    bare = _NO_LETTERS.sub("", line)
    bare = _MARK.sub(lambda mark: "" if is_decoration(mark[1]) else mark[0], bare)
    return sum(map(bare.count, "ABCDEFGabcdefg")) - sum(
        len(re.findall("[A-Ga-g]", name))
        for name in re.findall(r"\+([^+|]*)\+", bare)
        if not NOTES_OF_OLD.fullmatch(name) or name in DECORATIONS
    )


def logical_lines(lines: Sequence[Line]) -> Iterator[tuple[int, str, str]]:
    """Yield line number, field letter and text: empty for music, `%` for a directive.

    Comments, typeset text and free text between `%%begin...` and `%%end...` are left out, and
    fields that `+:` goes on with are joined.
    """
    pending: tuple[int, str, str] | None = None
    block = ""
    for number, raw in lines:
        if raw.startswith("%%"):
            name = raw[2:].strip()
            # Within a block of typeset text only its end means anything.
            if block:
                block = "" if name.lower().startswith(f"end{block}") else block
                continue
            begun = re.match(r"begin(\w{1,20})", name, re.IGNORECASE)
            if begun is not None:
                block = begun[1].lower()
                continue
            if pending:
                yield pending
                pending = None
            yield number, "%", without_comment(name)[:_LONGEST_FIELD].strip()
            continue
        if block:
            continue
        text = without_comment(raw)
        match = _FIELD.match(text)
        if match is None:
            if text.strip():
                if pending:
                    yield pending
                    pending = None
                yield number, "", text
            continue
        if match[1] == "+":
            if pending:
                # Cut each time, so that a thousand lines that go on do not grow without end.
                joined = f"{pending[2].rstrip()} {match[2].strip()}"[:_LONGEST_FIELD]
                pending = (pending[0], pending[1], joined)
            continue
        if pending:
            yield pending
        pending = (number, match[1], match[2])
    if pending:
        yield pending
