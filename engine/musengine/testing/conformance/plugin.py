"""All checks of a plugin, by the name of its entry point or its distribution."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from musengine.config.quantities import GridStep
from musengine.config.toml import SettingsSource
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import ConfigError, UserError, did_you_mean
from musengine.interfaces.encoder import Encoded, EncodedPiece, Encoder
from musengine.interfaces.metric import Evidence, Reference
from musengine.interfaces.writer import Activations, Probabilities, Writable
from musengine.music.piece import Piece, Text
from musengine.music.score import Score
from musengine.pipeline.declared import declared_problems
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.plugins import manager
from musengine.plugins.configs import EncoderConfig
from musengine.plugins.declarations import (
    CommandDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    ReaderDeclaration,
    TrainedDeclaration,
    WriterDeclaration,
)
from musengine.plugins.manager import Plugin
from musengine.plugins.registry import Component, Registry, RegistryEntry
from musengine.testing.conformance.encoders import EncoderCheck
from musengine.testing.conformance.models import ModelCheck
from musengine.testing.conformance.parts import (
    SamplerCheck,
    check_callback,
    check_command,
    check_loss,
    check_metric,
    check_reader,
    check_writer,
)
from musengine.testing.conformance.report import Finding
from musengine.testing.conformance.trained import check_trained
from musengine.testing.models import batch_of
from musengine.testing.scores import score_of

_TUNE = "X:{n}\nT:Tune {n}\nM:4/4\nL:1/4\nK:C\n{notes}|]\n"
_LENGTHS = (12, 8)
"""Steps of the two rows of a batch."""
_STEP = GridStep(Fraction(1, 4), "beat")


def check_plugin(name: str, *, deep: bool = False) -> dict[str, list[Finding]]:
    """Return what is wrong with each component of a plugin, by `kind name`.

    Args:
        name: of its entry point, or of its distribution.
        deep: train its models on a batch, too.

    Raises:
        UserError: there is no such plugin, or it is not loaded; says why.
    """
    loaded = manager.load()
    plugin = _find(name, loaded.plugins)
    if plugin.status != "ok":
        raise UserError(f"{plugin}", code="plugin-failed")
    found = {"import": list(_import(plugin))}
    for declaration in plugin.declarations:
        entry = loaded.registry.get(declaration.kind, declaration.name)
        what = f"{declaration.kind} {declaration.name}"
        try:
            found[what] = _component(entry, loaded.registry, deep=deep)
        except ConfigError:
            # It has no meaning without settings of the user's, and is left to its own tests.
            found[what] = []
        for problem in declared_problems(entry, loaded.registry):
            found[what].append(Finding("declared", str(problem)))
    return found


def _find(name: str, plugins: tuple[Plugin, ...]) -> Plugin:
    for plugin in plugins:
        if name in (plugin.name, plugin.origin.distribution):
            return plugin
    names = [plugin.name for plugin in plugins]
    near = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
    raise UserError(f"no plugin {name!r} is installed{near}", code="unknown-plugin")


def _import(plugin: Plugin) -> Iterator[Finding]:
    """Registration imports no PyTorch, in a process of its own."""
    code = f"import sys; from musengine.plugins import manager; manager.load(); {_SAY}"
    environment = {**_environment(), "MUSENGINE_PLUGINS": plugin.name}
    # In a new process, since PyTorch is imported in this one already.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if "torch" in done.stdout:
        yield Finding(
            "import",
            "imports PyTorch when it is listed: keep declarations and settings in modules of "
            "their own, and let `target` name the class",
        )


_SAY = "print('torch' if 'torch' in sys.modules else '')"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _component(entry: RegistryEntry, registry: Registry, *, deep: bool) -> list[Finding]:
    if message := entry.broken_target():
        return [Finding("target", message)]
    if isinstance(entry.declaration, TrainedDeclaration):
        return check_trained(entry.folder(), entry.declaration.size)
    if missing := entry.missing_requirements():
        return [Finding("requirements", message) for message in missing]
    kind = entry.declaration.kind
    checks: dict[str, Callable[[RegistryEntry, Registry], list[Finding]]] = {
        "encoder": _encoder,
        "model": partial(_model, deep=deep),
        "sampler": _sampler,
        "loss": _loss,
        "metric": _metric,
        "reader": _reader,
        "writer": _writer,
        "callback": _callback,
        "command": _command,
    }
    entry.load()
    return checks[kind](entry, registry) if kind in checks else []


def _encoder(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    component = entry.configured({})
    return EncoderCheck(component.create, _pieces(component)).findings()


def _pieces(encoder: Component) -> list[Piece]:
    """Return two short pieces of the kind that an encoder takes."""
    assert isinstance(encoder.config, EncoderConfig)
    scores = [_score(seed) for seed in (0, 1)]
    if "score" in encoder.config.accepts():
        return [Piece(f"piece-{n}", score) for n, score in enumerate(scores)]
    tunes = ("CDEF|GABc|cBAG|FEDC", "GGAB|c2BA|GFED|C4")
    if notation := encoder.config.notation():
        made: Encoder[Any] = encoder.create()
        texts = [made.to_text(score) for score in scores]
    else:
        notation = "abc"
        texts = [Text(_TUNE.format(n=n, notes=notes), notation) for n, notes in enumerate(tunes)]
    return [Piece(f"piece-{n}", text) for n, text in enumerate(texts)]


def _score(seed: int) -> Score:
    """Return a line of single notes, sixteen beats in 4/4."""
    random = np.random.default_rng(seed)
    pitches = 60 + random.choice([0, 2, 4, 5, 7, 9, 11, 12], 32)
    return score_of([(2 * n, 2, int(pitch)) for n, pitch in enumerate(pitches)], length=64)


def _pipeline(registry: Registry, **tables: Any) -> Pipeline:
    tables = {"corpus": {"path": "."}, **tables}
    return resolve_pipeline(
        SettingsSource(Path("check.toml"), "check.toml", tables, Path()), registry
    )


def _fitted(encoder: Component) -> tuple[Encoder[Any], list[Encoded]]:
    check = EncoderCheck(encoder.create, _pieces(encoder))
    fitted = check.fitted()
    return fitted, check.encoded(fitted)


def _model(entry: RegistryEntry, registry: Registry, *, deep: bool) -> list[Finding]:
    pipeline = _pipeline(registry, model={"type": entry.name})
    encoder, encoded = _fitted(pipeline.encoder)
    layout = encoder.layout
    cut = [_cut(each, n) for each, n in zip(encoded, _LENGTHS, strict=False)]
    batch = batch_of(*cut, layout=layout)
    loss = None if pipeline.loss is None else pipeline.loss.create(layout)
    check = ModelCheck(
        partial(pipeline.model.create, layout), batch, entry.declared(ModelDeclaration), loss
    )
    return check.findings(deep=deep)


def _cut(encoded: Encoded, length: int) -> Encoded:
    channels = {name: channel[:length] for name, channel in encoded.conditioning.items()}
    return replace(encoded, steps=encoded.steps[:length], conditioning=channels)


def _layouts(entry: RegistryEntry) -> Iterator[Layout]:
    """Return a layout for each that a sampler or a loss declares and the core knows."""
    names = getattr(entry.declaration, "layouts", ()) or ("grid", "tokens")
    if "grid" in names:
        yield Grid(lowest=60, pitches=12, step=_STEP)
    if "tokens" in names:
        meanings = {n: ("pitch", 60 + n) for n in range(12)} | {12: ("rest", 0)}
        yield Tokens(size=13, meanings=meanings, step=_STEP)


def _sampler(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    component = entry.configured({})
    return [
        finding
        for layout in _layouts(entry)
        for finding in SamplerCheck(partial(component.create, layout), layout).findings()
    ]


def _loss(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    component = entry.configured({})
    return [
        finding
        for layout in _layouts(entry)
        for finding in check_loss(component.create(layout), layout)
    ]


def _learns_at_once(registry: Registry) -> str:
    """Return a model that has learned after one look, so that it need not be trained."""
    fitting = (
        entry.name
        for entry in registry.of_kind("model")
        if entry.declared(ModelDeclaration).training == "fit"
    )
    return next(fitting)


def _metric(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    pipeline = _pipeline(registry, model={"type": _learns_at_once(registry)})
    encoder, encoded = _fitted(pipeline.encoder)
    model = pipeline.model.create(encoder.layout)
    pieces = [EncodedPiece(f"piece-{n}", each, str(n)) for n, each in enumerate(encoded)]
    model.fit([batch_of(*pieces)])
    of_model = entry.declared(MetricDeclaration).of == "model"
    music = [(f"piece-{n}", _score(n)) for n in (0, 1)]
    evidence = Evidence(
        model.eval(),
        encoder,
        part=pieces if of_model else (),
        part_name="test" if of_model else "generated",
        generated=() if of_model else music,
        reference=Reference(lambda: music, lambda: music),
    )
    return check_metric(entry.configured({}).create(), evidence)


def _reader(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    reader = entry.configured({}).create()
    found: list[Finding] = []
    for suffix in entry.declared(ReaderDeclaration).suffixes:
        with tempfile.TemporaryDirectory() as folder:
            found += check_reader(reader, suffix, Path(folder))
    return found


def _writer(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    found: list[Finding] = []
    for content in entry.declared(WriterDeclaration).content:
        if (written := _content(content)) is not None:
            with tempfile.TemporaryDirectory() as folder:
                found += check_writer(entry.configured({}).create(), written, Path(folder))
    return found


def _content(content: str) -> Writable | None:
    layout = Grid(lowest=60, pitches=12, step=_STEP)
    steps = np.zeros((8, 12, 1), dtype=np.uint8)
    steps[::2, 4] = 1
    if content == "score":
        return _score(0)
    if content == "text":
        return Text(_TUNE.format(n=1, notes="CDEF|GABc"), "abc")
    if content == "probabilities":
        return Probabilities(layout, steps[:2], steps[2:], np.full((6, 12, 1), 0.5))
    if content == "activations":
        values = np.zeros((8, 3), dtype=np.float32)
        return Activations(layout, steps, 2, {"cells": (values, ("step", "unit"))})
    return None


def _callback(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    return check_callback(entry.configured({}).create)


def _command(entry: RegistryEntry, registry: Registry) -> list[Finding]:
    arguments = entry.declared(CommandDeclaration).arguments
    return check_command(entry.load_part(arguments) if arguments else None)
