"""Settings and components from what the code declares of them.

Nothing here imports PyTorch: settings and declarations live in modules free of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from musengine.config.fields import Config, Setting, settings_of
from musengine.encoding.layouts import Layout
from musengine.pipeline.sections import SECTIONS
from musengine.plugins import manager
from musengine.plugins.configs import EncoderConfig
from musengine.plugins.declarations import (
    BatchingDeclaration,
    Declaration,
    EncoderDeclaration,
    Follows,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    ReaderDeclaration,
    SamplerDeclaration,
    TrainingPartDeclaration,
    WriterDeclaration,
)
from musengine.plugins.registry import RegistryEntry

from . import markdown

HEADINGS = ("Key", "Value", "Default", "Meaning")
CONTENTS = {
    "score": "a score",
    "text": "a text",
    "probabilities": "the probabilities at every step",
    "activations": "what went on inside the model",
    "run": "a whole run",
}


def config(table: str, level: int) -> str:
    """Return the keys of one of the core's own tables, such as `corpus`.

    Raises:
        ValueError: there is no such table.
    """
    if table not in SECTIONS:
        raise ValueError(f"no table [{table}]")
    return settings_table(SECTIONS[table])


def components(kind: str, level: int) -> str:
    """Return everything that is installed of a kind, the core's own first.

    Raises:
        ValueError: a plugin is broken, or there is nothing of the kind.
    """
    loaded = manager.load()
    if loaded.broken:
        raise ValueError("; ".join(f"plugin {plugin}" for plugin in loaded.broken))
    entries = loaded.registry.of_kind(kind)
    if not entries:
        raise ValueError(f"no {kind} is installed")
    entries.sort(key=lambda entry: entry.origin.distribution != "musengine")
    return "\n\n".join(_component(entry, level) for entry in entries)


def _component(entry: RegistryEntry, level: int) -> str:
    declaration = entry.declaration
    facts = [f"From the distribution `{entry.origin.distribution}`.", *_facts(entry)]
    parts = [
        f"{'#' * level} `{entry.name}`",
        markdown.sentence(f"{declaration.summary}."),
        "\n".join(markdown.bullet(markdown.sentence(fact)) for fact in facts),
        settings_table(declaration.config),
    ]
    if declaration.defaults:
        parts += [
            f"Its defaults for {_which(declaration)}:",
            _toml(declaration.defaults),
        ]
    for preset, values in declaration.presets.items():
        parts += [f'`preset = "{preset}"` stands for:', _toml(values)]
    return "\n\n".join(parts)


def accepts(setting: Setting) -> str:
    """Return what a key may hold; what may be typed as it stands is set as code."""
    return re.sub(r"""['"]([^'"]+)['"]""", r'`"\1"`', setting.words())


def as_toml(value: Any) -> str:
    """Return a value as it would stand in a TOML file, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()


def settings_table(cls: type[Config]) -> str:
    """Return the table of a Config's keys, or a sentence where it has none."""
    settings = settings_of(cls)
    if not settings:
        return "It has no settings."
    return markdown.table(HEADINGS, map(_cells, settings))


def _cells(setting: Setting) -> tuple[str, ...]:
    if setting.default is not None:
        default = _code(as_toml(setting.default))
    else:
        default = "must be given" if setting.required else "none"
    meaning = markdown.sentence(setting.doc) + (" *Changeable.*" if setting.changeable else "")
    return f"`{setting.key}`", markdown.sentence(accepts(setting)), default, meaning


def _toml(tables: Mapping[str, Any]) -> str:
    parts = []
    for name, value in tables.items():
        listed = isinstance(value, (list, tuple))
        for table in value if listed else [value]:
            lines = [f"[[{name}]]" if listed else f"[{name}]"]
            lines += [_line(key, item, tables) for key, item in table.items()]
            parts.append("\n".join(lines))
    return markdown.code("\n\n".join(parts), "toml")


def _which(declaration: Declaration) -> str:
    return "`[training]`" if isinstance(declaration, TrainingPartDeclaration) else "other tables"


def _line(key: str, value: Any, tables: Mapping[str, Any]) -> str:
    if not isinstance(value, Follows):
        return f"{key} = {as_toml(value)}"
    more = f" + {value.plus}" if value.plus else ""
    return f"{key} = {as_toml(value.value(tables))}  # {value.table}.{value.key}{more}"


def _facts(entry: RegistryEntry) -> Iterator[str]:
    """Yield what a declaration holds beyond name, summary and settings."""
    declaration = entry.declaration
    if isinstance(declaration, ReaderDeclaration):
        if declaration.suffixes:
            yield f"Reads files that end in {_codes(declaration.suffixes)}."
        if declaration.scheme:
            yield f'Reads built-in corpora, written `path = "{declaration.scheme}:NAME"`.'
    elif isinstance(declaration, EncoderDeclaration):
        yield from _encoder_facts(declaration.config)
    elif isinstance(declaration, ModelDeclaration):
        yield from _model_facts(declaration)
    elif isinstance(declaration, LossDeclaration) and not declaration.layouts:
        yield "For any layout."
    elif isinstance(declaration, (SamplerDeclaration, LossDeclaration)):
        yield f"For the layout {_codes(declaration.layouts)}."
    elif isinstance(declaration, WriterDeclaration):
        yield f"Writes {' or '.join(CONTENTS.get(kind, kind) for kind in declaration.content)}."
    elif isinstance(declaration, MetricDeclaration):
        yield from _metric_facts(declaration)
    elif isinstance(declaration, TrainingPartDeclaration):
        yield from _training_facts(declaration)
    if declaration.default_for:
        yield f"The default for {_codes(declaration.default_for)}."
    for requirement in declaration.requires:
        yield f"Needs `{requirement.module}`: `{requirement.install}`."


def _encoder_facts(cls: type[Config]) -> Iterator[str]:
    try:
        config = cls()
    except TypeError:  # a key without a default
        return
    assert isinstance(config, EncoderConfig)
    layout: Layout = config.layout()
    yield f"Makes arrays of the layout `{layout.name}`."
    yield f"Turns them back into a {' or a '.join(config.produces())}."


def _model_facts(declaration: ModelDeclaration) -> Iterator[str]:
    yield f"Works on the layout {_codes(declaration.layouts)}."
    if declaration.training == "fit":
        yield "Sees the training part once; limits and optimizer of `[training]` do nothing."
    if declaration.stateful:
        yield "Can carry its state from batch to batch, for stateful batching strategies."
    if declaration.own_loss:
        yield "Brings its own loss; leave `[loss]` out."
    if not declaration.uses_samplers:
        yield "Draws its own choices; leave `[[sampler]]` out."
    if not declaration.likelihood:
        yield "Has no exact likelihood; metrics that need one are left out."
    if declaration.templates:
        names = ", ".join(map(_code, declaration.templates))
        yield f"Starter pipelines for `musengine init`: {names}."


def _metric_facts(declaration: MetricDeclaration) -> Iterator[str]:
    if declaration.of == "pieces":
        yield "Measures generated pieces."
    for need in declaration.needs:
        yield f"Needs a model with an exact {need}."
    if isinstance(declaration.better, str):
        if declaration.better:
            yield f"Better where it is {declaration.better}."
        return
    for figure, direction in declaration.better.items():
        yield f"`{figure}` is better where it is {direction}."


def _training_facts(declaration: TrainingPartDeclaration) -> Iterator[str]:
    if declaration.uses:
        yield f"Uses {', '.join(map(_code, declaration.uses))}."
    if isinstance(declaration, BatchingDeclaration) and declaration.stateful:
        yield "For models that can carry their state."


def _codes(names: tuple[str, ...]) -> str:
    return " or ".join(map(_code, names))


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
