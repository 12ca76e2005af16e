"""One HTML file with its style, scripts and data inside, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from musengine_media.page.markup import Child, Markup, element, joined

SCRIPTS = (
    *("data.js", "sampled.js", "voice.js", "player.js"),
    *("roll.js", "piece.js", "curves.js", "votes.js", "page.js"),
)
"""The scripts, in the order in which one uses what another defines."""


def document(title: str, body: Child, data: dict[str, Any]) -> str:
    """Return a page.

    Args:
        title: of the window.
        body: what stands in it, readable without any script.
        data: what the scripts find in the element `data`.
    """
    style, script = _file("style.css"), _script()
    # Within a script element nothing but "<" could end it or begin another.
    told = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(style)),
    )
    rest = element(
        "body",
        body,
        element("script", Markup(told), type="application/json", id="data"),
        element("script", Markup(script)),
    )
    return joined(Markup("<!DOCTYPE html>\n"), element("html", head, rest, lang="en"))


def _file(name: str) -> str:
    return (resources.files("musengine_media") / "web" / name).read_text(encoding="utf-8")


def _script() -> str:
    files = "\n".join(_file(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{files}\n}})();\n'


def _policy(style: str, script: str) -> str:
    """Return a policy under which nothing runs but these very texts, and nothing is fetched."""
    return "; ".join(
        [
            "default-src 'none'",
            # By hash: markup that slipped in through a file's name would still run nothing.
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
