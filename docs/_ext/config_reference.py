"""Directives that document settings and components from what the code declares about them.

`config` renders a Config dataclass, named as `module:Class`, as a table of its keys;
`components` renders every registered component of a kind, with its settings. Nothing here
imports torch: settings and declarations live in modules free of it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import prose
import tomli_w
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from musengine.config.fields import Config, Setting, settings_of
from musengine.encoding.layouts import Layout
from musengine.plugins import manager
from musengine.plugins.declarations import (
    BatchingDeclaration,
    EncoderConfig,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    ReaderDeclaration,
    SamplerDeclaration,
    TrainingPartDeclaration,
    WriterDeclaration,
)
from musengine.plugins.registry import RegistryEntry

HEADINGS = ("Key", "Value", "Default", "Meaning")
WIDTHS = (18, 27, 17, 38)
CONTENTS = {
    "score": "a score",
    "text": "a text",
    "probabilities": "what the model thought at every step",
}


def accepts(setting: Setting) -> str:
    """Return what a key may hold; what may be typed as it stands is set as code."""
    return re.sub(r"""['"]([^'"]+)['"]""", r'`"\1"`', setting.words())


def as_toml(value: Any) -> str:
    """Return a value as it would stand in a TOML file, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()


def settings_table(cls: type[Config]) -> nodes.Node:
    """Return the table of a Config's keys, or a sentence where it has none."""
    settings = settings_of(cls)
    if not settings:
        return prose.paragraph("It has no settings.")
    group = nodes.tgroup(cols=len(WIDTHS))
    group += [nodes.colspec(colwidth=width) for width in WIDTHS]
    group += nodes.thead("", _row(*([nodes.Text(heading)] for heading in HEADINGS)))
    group += nodes.tbody("", *(_row(*_cells(setting)) for setting in settings))
    return nodes.table("", group, classes=["colwidths-given"])


def _cells(setting: Setting) -> Iterator[list[nodes.Node]]:
    yield [nodes.literal(setting.key, setting.key)]
    yield prose.inline(accepts(setting))
    if setting.default is not None:
        default = as_toml(setting.default)
        yield [nodes.literal(default, default)]
    else:
        yield [nodes.Text("must be given" if setting.required else "none")]
    mark = [nodes.Text(" "), nodes.emphasis("", "Changeable.")] if setting.changeable else []
    yield [*prose.inline(setting.doc), *mark]


def _row(*cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "",
        *(
            nodes.entry("", nodes.paragraph("", "", *cell)) if cell else nodes.entry()
            for cell in cells
        ),
    )


class ConfigDirective(SphinxDirective):
    """`config`: the keys of one Config."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        return [settings_table(getattr(importlib.import_module(module), name))]


class ComponentsDirective(SphinxDirective):
    """`components`: everything that is registered under one kind, the core's own first."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        loaded = manager.load()
        for plugin in loaded.broken:
            logging.getLogger(__name__).warning("plugin %s", plugin)
        entries = loaded.registry.of_kind(self.arguments[0])
        entries.sort(key=lambda entry: entry.origin.distribution != "musengine")
        return [self._component(entry) for entry in entries]

    def _component(self, entry: RegistryEntry) -> nodes.section:
        declaration = entry.declaration
        title = nodes.title("", "", nodes.literal(entry.name, entry.name))
        name = nodes.fully_normalize_name(f"{declaration.kind} {entry.name}")
        section = nodes.section("", title, ids=[nodes.make_id(name)], names=[name])
        self.state.document.note_explicit_target(section, section)
        section += prose.paragraph(f"{declaration.summary}.")
        facts = [f"From the distribution `{entry.origin.distribution}`.", *_facts(entry)]
        section += nodes.bullet_list(
            "", *(nodes.list_item("", prose.paragraph(fact)) for fact in facts)
        )
        section += settings_table(declaration.config)
        if declaration.defaults:
            section += prose.paragraph("Its defaults for other tables:")
            section += _toml_block(declaration.defaults)
        for preset, values in declaration.presets.items():
            section += prose.paragraph(f'`preset = "{preset}"` stands for:')
            section += _toml_block(values)
        return section


def _toml_block(tables: Mapping[str, Any]) -> nodes.literal_block:
    parts = []
    for name, value in tables.items():
        listed = isinstance(value, (list, tuple))
        for table in value if listed else [value]:
            lines = [f"[[{name}]]" if listed else f"[{name}]"]
            lines += [f"{key} = {as_toml(item)}" for key, item in table.items()]
            parts.append("\n".join(lines))
    text = "\n\n".join(parts)
    return nodes.literal_block(text, text, language="toml")


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


def _code(name: str) -> str:
    return f"`{name}`"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("config", ConfigDirective)
    app.add_directive("components", ComponentsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
