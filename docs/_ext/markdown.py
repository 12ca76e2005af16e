"""Plain sentences, docstrings and rows to Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")
_TITLES = {"Args": "Arguments"}
WIDTH = 100


def sentence(text: str) -> str:
    """Return a sentence on one line; what stands between backquotes is code, all else is plain."""
    parts = re.split(r"(``?.+?``?)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"(?<!\w)[*_]|[*_](?!\w)|[<\\]", lambda found: f"\\{found[0]}", text)


def cell(text: str) -> str:
    """Return a text for a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; an empty heading is a column without one."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def bullet(text: str) -> str:
    """Return an item of a list; what follows its first line belongs to it."""
    return "- " + text.replace("\n", "\n  ").replace("\n  \n", "\n\n")


def code(text: str, language: str = "python") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def docstring(text: str) -> str:
    """Return a docstring: its paragraphs, and its sections as lists."""
    parts = []
    for block in inspect.cleandoc(text).split("\n\n"):
        head, _, rest = block.partition("\n")
        if match := _SECTION.match(head):
            parts.append(f"**{_TITLES.get(match[1], match[1])}**")
            parts.append(_section(inspect.cleandoc(rest)))
        elif block.startswith(("- ", "    ")):
            parts.append(block)
        else:
            parts.append(sentence(block))
    return "\n\n".join(part for part in parts if part)


def _section(text: str) -> str:
    """Return `name: what it is` entries as a list, other text as a paragraph."""
    entries: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = re.match(r"(\*{0,2}\w+): (.*)", line)
        if match:
            entries.append((match[1], match[2]))
        elif line.startswith(" ") and entries:
            name, said = entries[-1]
            entries[-1] = (name, f"{said} {line.strip()}")
        else:
            return sentence(text)
    return "\n".join(f"- `{name}`: {sentence(said)}" for name, said in entries)
