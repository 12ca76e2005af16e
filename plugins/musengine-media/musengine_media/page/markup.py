"""HTML and SVG out of nested elements, in which every text is escaped unless it is markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
"""What stands in an element: a text, markup, nothing, or several of them."""


def element(name: str, /, *children: Child, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: markup as it is, other text escaped, nested ones one after another.
        attributes: `_` in a name stands for `-`, one at its end is dropped; None and False leave
            it out, True gives it without a value.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return markup one after another; text among it is escaped."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(joined(*child))
    return Markup("".join(parts))


def table(head: Iterable[str], rows: Iterable[Iterable[Child]], caption: str = "") -> Markup:
    """Return a table that scrolls sideways by itself, the first cell of each row its heading."""
    lines = [
        element("tr", element("th", first, scope="row"), (element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    inner = element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", element("tr", (element("th", each, scope="col") for each in head))),
        element("tbody", lines),
    )
    name = caption or "table"
    return element("div", inner, class_="wide", tabindex=0, role="region", aria_label=name)


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
