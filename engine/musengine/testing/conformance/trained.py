"""Checks of a trained model: it loads, makes a piece, is as large as it says, and has a card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from musengine.music.piece import Text
from musengine.runs.run import Run
from musengine.testing.conformance.report import Check, Finding, findings

CARD = "model-card.md"
SECTIONS = ("Trained on", "Licence", "Figures", "Made with")
"""Headings that a model card has, each with something under it."""
_NEAR = 0.02
"""By how much the size that is said may differ from that of the files."""
_LENGTH = "8 beats"


def check_trained(folder: Path, size: int | None = None) -> list[Finding]:
    """Return what is wrong with a trained model's folder.

    Args:
        folder: its run folder.
        size: bytes that its declaration says it has, if it is declared.
    """
    checks: list[tuple[str, Check]]
    checks = [("card", partial(_card, folder)), ("piece", partial(_piece, folder))]
    if size is not None:
        checks.append(("size", partial(_size, folder, size)))
    return list(findings(checks))


def _card(folder: Path) -> Iterator[str]:
    path = folder / CARD
    if not path.is_file():
        yield f"there is no {CARD}; `musengine export` writes one"
        return
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    there = dict(zip(parts[1::2], parts[2::2], strict=True))
    for section in SECTIONS:
        if not there.get(section, "").strip():
            yield f"{CARD} says nothing under '## {section}'"


def _piece(folder: Path) -> Iterable[str]:
    run = Run(folder)
    pipeline = run.pipeline()
    in_text = pipeline.generate.length.unit == "tokens"
    length = pipeline.generate.length.to_toml() if in_text else _LENGTH
    (made,) = run.generate(count=1, seed=0, length=length)
    if not (made.text.strip() if isinstance(made, Text) else len(made)):
        yield f"the piece of {length} that it makes is empty"


def _size(folder: Path, said: int) -> Iterator[str]:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if abs(size - said) > _NEAR * size:
        yield f"its declaration says {said:,} bytes, its files have {size:,}"
