"""Plain sentences and docstrings to document nodes."""

from __future__ import annotations

import inspect
import re

from docutils import nodes

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises):$")
_TITLES = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Raises": "Raises",
}


def inline(text: str) -> list[nodes.Node]:
    """Return a sentence as nodes; what stands between backquotes is code."""
    parts: list[nodes.Node] = []
    for index, piece in enumerate(re.split(r"``?", text)):
        if piece:
            parts.append(nodes.literal(piece, piece) if index % 2 else nodes.Text(piece))
    return parts


def paragraph(text: str) -> nodes.paragraph:
    """Return a paragraph, its lines joined."""
    return nodes.paragraph("", "", *inline(" ".join(text.split())))


def definition(term: list[nodes.Node], *body: nodes.Node) -> nodes.definition_list_item:
    """Return one entry of a definition list."""
    return nodes.definition_list_item("", nodes.term("", "", *term), nodes.definition("", *body))


def docstring(text: str) -> list[nodes.Node]:
    """Return a docstring as nodes: its paragraphs, then its sections as definition lists."""
    result: list[nodes.Node] = []
    blocks = inspect.cleandoc(text).split("\n\n")
    for block in blocks:
        head, _, rest = block.partition("\n")
        if match := _SECTION.match(head):
            result.append(nodes.rubric("", _TITLES[match[1]]))
            result.extend(_section(inspect.cleandoc(rest)))
        else:
            result.append(paragraph(block))
    return result


def _section(text: str) -> list[nodes.Node]:
    """Return `name: what it is` entries as a definition list, other text as a paragraph."""
    entries: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = re.match(r"(\w+): (.*)", line)
        if match:
            entries.append((match[1], match[2]))
        elif line.startswith(" ") and entries:
            name, said = entries[-1]
            entries[-1] = (name, f"{said} {line.strip()}")
        else:
            return [paragraph(text)]
    items = [
        definition([nodes.literal(name, name)], paragraph(_sentence(said)))
        for name, said in entries
    ]
    return [nodes.definition_list("", *items)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
