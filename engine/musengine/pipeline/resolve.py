"""A pipeline file: read, filled up from presets and defaults, and its wiring checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from musengine.config import toml
from musengine.config.fields import Config, build, to_table
from musengine.config.toml import SettingsSource
from musengine.encoding.layouts import Layout
from musengine.errors import ConfigError, Finding, Problem, UserError
from musengine.interfaces.training import DEFAULT_STEPS, TrainingConfig
from musengine.pipeline import compatibility
from musengine.pipeline.defaults import Defaults
from musengine.pipeline.layers import LayeredTables, known_tables
from musengine.pipeline.sections import (
    INSIDE,
    LISTS,
    ORDER,
    SECTIONS,
    SINGLE,
    CorpusConfig,
    EvaluateConfig,
    GenerateConfig,
    ReportConfig,
    RunConfig,
)
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content, EncoderConfig
from musengine.plugins.declarations import ModelDeclaration
from musengine.plugins.registry import Component, Registry

C = TypeVar("C", bound=Config)
_WITH_KEYS = {*SECTIONS, *SINGLE}


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with every default filled in and its wiring checked.

    Attributes:
        omitted: a line for each component that is a default and cannot be used, and why, and for
            each value of the file that is meant for another component than the one chosen.
        origins: whose the value of a key is, by table and key; of a key that is not in it, the
            key's own default counts. `sampler.0` is the table of a list's first entry.
        unset: keys, by table, whose values the user took away.
    """

    name: str
    run: RunConfig
    corpus: CorpusConfig
    reader: Component | None
    encoder: Component
    model: Component
    loss: Component | None
    training: TrainingConfig
    batching: Component
    optimizer: Component
    schedule: Component
    samplers: tuple[Component, ...]
    generate: GenerateConfig
    evaluate: EvaluateConfig
    report: ReportConfig
    metrics: tuple[Component, ...]
    outputs: tuple[Component, ...]
    callbacks: tuple[Component, ...]
    omitted: tuple[str, ...] = field(default=(), compare=False)
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)
    unset: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def model_declaration(self) -> ModelDeclaration:
        """What the model's plugin declares of it."""
        return self.model.declared(ModelDeclaration)

    def lists(self) -> dict[str, tuple[Component, ...]]:
        """Return the components of each list, by the name of its table."""
        return {
            "sampler": self.samplers,
            "metric": self.metrics,
            "output": self.outputs,
            "callback": self.callbacks,
        }

    def components(self) -> list[Component]:
        """Return every component the pipeline uses."""
        keys = [key for _, key in INSIDE]
        single = (getattr(self, name) for name in (*SINGLE, *keys))
        listed = (component for components in self.lists().values() for component in components)
        return [component for component in (*single, *listed) if component is not None]

    def left_out(self) -> list[str]:
        """Return a line for each component that a run goes on without, and why."""
        writers = compatibility.lacking(self.outputs)
        metrics = compatibility.unmet(self.metrics, self.model)
        return [*self.omitted, *writers.values(), *metrics.values()]

    def refuse_broken(self) -> None:
        """Find components whose class is not where their declaration says, without PyTorch.

        Raises:
            ConfigError: each of them.
        """
        broken = {component.entry.broken_target(): None for component in self.components()}
        problems = [
            Problem(self.name, "", "", message, "component-broken") for message in broken if message
        ]
        if problems:
            raise ConfigError(problems)

    def accepts(self) -> tuple[Content, ...]:
        """Return what the encoder takes, scores or texts: what is read is chosen by it."""
        assert isinstance(self.encoder.config, EncoderConfig)
        return self.encoder.config.accepts()

    def tables(self) -> dict[str, Any]:
        """Return the whole pipeline as TOML tables, every key written out."""
        tables: dict[str, Any] = {name: to_table(getattr(self, name)) for name in SECTIONS}
        for section, key in INSIDE:
            if (component := getattr(self, key)) is not None:
                settings = to_table(component.config)
                tables[section][key] = component.table() if settings else component.name
        for name in SINGLE:
            if (component := getattr(self, name)) is not None:
                tables[name] = component.table()
        for name, components in self.lists().items():
            tables[name] = [component.table() for component in components]
        for name, key in self.unset:
            # Else a preset's or a model's value would be back where these tables are read.
            if key not in tables[name]:
                tables[name].setdefault(toml.UNSET, []).append(key)
        return {name: tables[name] for name in ORDER if name in tables}


SourceCheck = Callable[[Sequence[Source], Registry], list[UserError]]
"""Returns what is wrong with the sources of a corpus, without reading them."""


def load_pipeline(
    path: Path,
    registry: Registry,
    settings: Sequence[str] = (),
    *,
    check_sources: SourceCheck | None = None,
) -> Pipeline:
    """Read a pipeline file, apply `--set` settings, fill in the defaults and check the wiring.

    Args:
        path: the TOML file.
        registry: the components that can be used.
        settings: `TABLE.KEY=VALUE` each, laid over the file.
        check_sources: looks whether the corpus is there.

    Raises:
        ConfigError: everything that is wrong, all at once.
        UserError: the file cannot be read.
    """
    source = toml.read(path, settings)
    return _Resolver(source, registry, check_sources).resolve()


def resolve_pipeline(
    source: SettingsSource, registry: Registry, *, check_sources: SourceCheck | None = None
) -> Pipeline:
    """Turn raw tables into a Pipeline.

    Args:
        source: the tables.
        registry: the components that can be used.
        check_sources: looks whether the corpus is there; without it nothing does.

    Raises:
        ConfigError: everything that is wrong, all at once.
    """
    return _Resolver(source, registry, check_sources).resolve()


class _Resolver:
    """Builds the parts of one pipeline and gathers the problems on the way."""

    def __init__(
        self,
        source: SettingsSource,
        registry: Registry,
        check_sources: SourceCheck | None = None,
    ) -> None:
        self.check_sources = check_sources
        self.source, self.registry = source, registry
        self.problems: dict[Problem, None] = {}  # in order, each once
        self.defaults = Defaults(registry, self._add)
        self.layers = LayeredTables()

    def resolve(self) -> Pipeline:
        # The order: names and defaults first, which decide what the tables are; then each part by
        # itself; then what is left open by layout and model; then whether the parts fit. Problems
        # are gathered throughout, so that a file with five mistakes is told all of them.
        user = self._users()
        self.layers = self.defaults.layered(user, *self.source.apart(user))
        self._refuse_former_metrics(self.layers.tables["evaluate"])
        self.defaults.complete(self.layers)
        inside: dict[str, Any] = {key: self._inside(section, key) for section, key in INSIDE}
        sections = {name: self._section(name) for name in SECTIONS}
        encoder = self._single("encoder")
        model = self._single("model")
        layout = self._layout(encoder)
        self.defaults.fill_up(self.layers, layout, encoder, model)
        loss = self._single("loss")
        lists = {name: self._list(name) for name in LISTS}
        self._check_layout(layout, encoder, model, loss, lists)
        self._check_sections(sections, encoder, model)
        self._check_training(sections["training"], inside, model)
        self._note(compatibility.check_metrics(lists["metric"]))
        if self.problems or encoder is None or model is None:
            raise ConfigError(self.problems)
        return Pipeline(
            name=self.source.path.stem,
            encoder=encoder,
            model=model,
            loss=loss,
            samplers=lists["sampler"],
            metrics=lists["metric"],
            outputs=lists["output"],
            callbacks=lists["callback"],
            omitted=(*self.defaults.omitted, *self._left_behind()),
            origins=self._origins(),
            unset=tuple(place for place in sorted(self.layers.unset) if place[0] in _WITH_KEYS),
            **inside,
            **_with_limit(sections),
        )

    def _add(self, finding: Finding, whose: str = "") -> None:
        """Add a problem, once, under the name of who set the key: the user, or a declaration."""
        place = (finding.table, finding.key)
        file = whose or self.layers.origins.get(place) or self.source.label(*place)
        self.problems.setdefault(Problem(file, *finding))

    def _problem(self, table: str, key: str, message: str, *, code: str) -> None:
        self._add(Finding(table, key, message, code))

    def _note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._add(finding)

    def _users(self) -> dict[str, Any]:
        """Return the user's tables, without those that there cannot be."""
        known, wrong = known_tables(self.source.tables)
        self._note(wrong)
        return known

    def _refuse_former_metrics(self, evaluate: dict[str, Any]) -> None:
        """Refuse the metrics' names and tables that `[evaluate]` held in earlier versions."""
        for key, value in [*evaluate.items()]:
            if key == "metrics" or isinstance(value, Mapping):
                name = key if isinstance(value, Mapping) else "NAME"
                message = f'is written [[metric]] type = "{name}" now'
                self._problem("evaluate", key, message, code="former-name")
                del evaluate[key]

    def _inside(self, section: str, key: str) -> Component | None:
        """Take the component out of a section that names one, or has one by default."""
        kind = INSIDE[section, key]
        table = self.layers.tables[section].pop(key, None)
        if isinstance(table, Mapping):
            if key in SECTIONS[section].__dataclass_fields__ and isinstance(table.get("type"), str):
                self.layers.tables[section][key] = table["type"]
            return self._component(f"{section}.{key}", kind, table)
        if table is None:
            return None
        message = f"expected the name of a {kind} or a table, got {table!r}"
        self._problem(section, key, message, code="invalid-value")
        return None

    def _section(self, name: str) -> Config | None:
        return self._built(name, SECTIONS[name], self.layers.tables[name])

    def _single(self, name: str) -> Component | None:
        table = self.layers.tables.get(name)
        return None if table is None else self._component(name, SINGLE[name], table)

    def _list(self, name: str) -> tuple[Component, ...]:
        built = (
            self._component(f"{name}.{index}", LISTS[name], table)
            for index, table in enumerate(self.layers.tables.get(name, ()))
        )
        return tuple(component for component in built if component is not None)

    def _component(self, place: str, kind: str, table: Mapping[str, Any]) -> Component | None:
        settings = dict(table)
        name = settings.pop("type", None)
        if not isinstance(name, str):
            there = ", ".join(self.registry.names(kind))
            if name is None:
                message = f"missing; name one of: {there}"
                self._problem(place, "type", message, code="missing-key")
            else:
                message = f"got {name!r}; name one of: {there}"
                self._problem(place, "type", message, code="invalid-value")
            return None
        try:
            entry = self.registry.get(kind, name)
        except UserError as error:
            self._problem(place, "type", str(error), code=error.code)
            return None
        for message in entry.missing_requirements():
            self._problem(place, "type", message, code="library-missing")
        config = self._built(place, entry.declaration.config, settings)
        return None if config is None else Component(entry, config)

    def _origins(self) -> dict[tuple[str, str], str]:
        """Return whose the values are, the user's by the name of the file or `--set`."""
        origins = self.layers.origins.items()
        return {place: origin or self.source.label(*place) for place, origin in origins}

    def _left_behind(self) -> list[str]:
        """Return a line for each value of the file that does not count by the command line."""
        return [
            f"{self.source.path_shown}: {'.'.join(each.place)} = {each.value!r} is meant for "
            f"{each.meant_for}, not for {each.chosen}: left out"
            for each in self.layers.left_behind
            if not each.origin
        ]

    def _built(self, place: str, cls: type[C], table: Mapping[str, object]) -> C | None:
        # A key that is unset and does not exist is put back, so that it is reported like any
        # unknown key.
        keys = {"type", "preset", *cls.__dataclass_fields__}
        keys |= {key for section, key in INSIDE if section == place}
        unknown = [key for name, key in self.layers.unset if name == place and key not in keys]
        built, problems = build(
            cls,
            {**table, **dict.fromkeys(unknown)},
            file=self.source.path_shown,
            name=place,
            base_of=lambda key: self.source.base(place, key),
        )
        self._note(Finding(each.table, each.key, each.message, each.code) for each in problems)
        return built

    def _layout(self, encoder: Component | None) -> Layout | None:
        if encoder is None:
            return None
        assert isinstance(encoder.config, EncoderConfig)
        return encoder.config.layout()

    def _check_layout(
        self,
        layout: Layout | None,
        encoder: Component | None,
        model: Component | None,
        loss: Component | None,
        lists: Mapping[str, Sequence[Component]],
    ) -> None:
        if layout is None or encoder is None:
            return
        self._note(compatibility.check_layout(layout, encoder, model, loss, lists, self.registry))
        # A sampler that is misspelt, or of another layout, is one mistake and not two.
        wrong = any(problem.table.startswith("sampler") for problem in self.problems)
        if model is not None and not wrong:
            self._note(compatibility.check_drawing(model, lists["sampler"]))

    def _check_sections(
        self,
        sections: Mapping[str, Config | None],
        encoder: Component | None,
        model: Component | None,
    ) -> None:
        generate, corpus = sections["generate"], sections["corpus"]
        if encoder is not None and isinstance(generate, GenerateConfig):
            assert isinstance(encoder.config, EncoderConfig)
            self._note(compatibility.check_generation(generate, encoder.config))
        if model is not None and isinstance(generate, GenerateConfig):
            self._note(compatibility.check_steering(generate, model))
        if self.check_sources is not None and isinstance(corpus, CorpusConfig):
            errors = self.check_sources(corpus.path, self.registry)
            self._note(Finding("corpus", "path", str(each), each.code) for each in errors)

    def _check_training(
        self,
        training: Config | None,
        inside: Mapping[str, Component | None],
        model: Component | None,
    ) -> None:
        if model is None or not isinstance(training, TrainingConfig):
            return
        keys = [key for section, key in INSIDE if section == "training"]
        parts = [part for key in keys if (part := inside[key]) is not None]
        self._note(compatibility.check_training(training, parts, model, self.registry))


def _with_limit(sections: dict[str, Any]) -> dict[str, Any]:
    """Return the sections, training limited where it is by nothing."""
    training = sections["training"]
    # 0 is a limit, hence the look at None.
    if training.steps is training.epochs is training.minutes is None:
        training = dataclasses.replace(training, steps=DEFAULT_STEPS)
    return {**sections, "training": training}
