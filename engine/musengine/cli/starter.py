"""A commented pipeline for a folder of music: what `musengine run` would choose for it."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from musengine.cli.templates import find_music, path_from, write_new
from musengine.config.fields import settings_of
from musengine.pipeline.sections import INSIDE, LISTS, ORDER, SECTIONS, SINGLE
from musengine.plugins.registry import Registry
from musengine.utils.progress import ProgressReporter

if TYPE_CHECKING:
    from musengine.runs.choice.choice import Choice

logger = logging.getLogger(__name__)

_WIDTH = 98


def start(
    registry: Registry,
    corpus: str,
    out: Path | None,
    minutes: float,
    began: float,
    reporter: ProgressReporter,
) -> None:
    """Choose for some music, write that as a commented pipeline file, and say what to do next.

    Args:
        registry: the components.
        corpus: the music: a folder, a file, a built-in corpus.
        out: the file; None for one called like the music, in the working directory.
        minutes: that a run may take.
        began: when the command began, by the clock of `time.monotonic`.
        reporter: receives the progress.

    Raises:
        UserError: no such music, no model for it, or the file is there already.
    """
    from musengine.data.survey import survey_corpus
    from musengine.runs.choice.budget import Budget
    from musengine.runs.choice.choice import choose
    from musengine.runs.choice.music import name_of

    source = find_music(corpus, registry)
    out = Path(f"{name_of(source)}.toml") if out is None else out
    surveyed = survey_corpus(source, registry, reporter)
    choice = choose(surveyed, registry, Budget(minutes, began), (), reporter)
    path = path_from(corpus, source, out.resolve().parent)
    write_new(out, "\n".join([*_lines(choice, registry, path), ""]))
    for line in choice.lines():
        logger.info(line)
    file = f'"{out}"' if " " in str(out) else str(out)
    logger.info(f"wrote {out}; next:")
    logger.info(f"  musengine check {file}")
    logger.info(f"  musengine run {file}")


def _lines(choice: Choice, registry: Registry, path: str) -> Iterator[str]:
    """Yield the file's lines: every table that is chosen, every key with what it does."""
    for said in choice.lines():
        yield from _comment(said)
    yield "#"
    yield from _comment(
        "Give this file to `musengine run`, and again to go on where it stopped. Every line but "
        "those with path and type may be taken out: there is a default for it."
    )
    tables = {**choice.tables, "corpus": {**choice.tables["corpus"], "path": path}}
    for name in (name for name in ORDER if name in tables):
        items = tables[name] if name in LISTS else [tables[name]]
        for item in items:
            yield from ["", f"[[{name}]]" if name in LISTS else f"[{name}]"]
            docs = _docs(name, item, registry)
            for key, value in item.items():
                yield from _comment(docs.get(key, ""))
                yield f"{key} = {_value(value)}"


def _docs(name: str, item: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    """Return what each key of a table does."""
    if name in SECTIONS:
        inside = {
            key: registry.get(kind, str(item[key])).declaration.summary
            for (section, key), kind in INSIDE.items()
            if section == name and isinstance(item.get(key), str)
        }
        return {each.key: each.doc for each in settings_of(SECTIONS[name])} | inside
    declaration = registry.get({**LISTS, **SINGLE}[name], str(item["type"])).declaration
    docs = {each.key: each.doc for each in settings_of(declaration.config)}
    return docs | {"type": f"{declaration.summary}."}


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _value(value: Any) -> str:
    """Return a TOML value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")
