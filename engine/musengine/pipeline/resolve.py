"""A pipeline file: read, filled up from presets and defaults, and its wiring checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from musengine.config import toml
from musengine.config.fields import Config, build, to_table
from musengine.config.quantities import Source
from musengine.config.toml import SettingsSource, laid_over, overlaid
from musengine.encoding.layouts import Layout
from musengine.errors import ConfigError, Problem, UserError, did_you_mean
from musengine.pipeline import compatibility, metric_sections
from musengine.pipeline.sections import (
    DEFAULT_STEPS,
    CorpusConfig,
    EvaluateConfig,
    GenerateConfig,
    RunConfig,
    TrainingConfig,
)
from musengine.plugins.declarations import Content, EncoderConfig, ModelDeclaration
from musengine.plugins.registry import Component, Registry, RegistryEntry

C = TypeVar("C", bound=Config)

SINGLE = {"encoder": "encoder", "model": "model", "loss": "loss"}
"""Tables that hold one component, and its kind."""
LISTS = {"sampler": "sampler", "output": "writer", "callback": "callback"}
"""Arrays of tables that hold one component each, and their kind."""
FORMER_TABLES = {"callbacks": "callback"}
"""Names of tables in earlier versions, refused with those of today."""
PLAIN: dict[str, type[Config]] = {
    "run": RunConfig,
    "corpus": CorpusConfig,
    "training": TrainingConfig,
    "generate": GenerateConfig,
    "evaluate": EvaluateConfig,
}
ORDER = (
    *("run", "corpus", "encoder", "model", "loss", "training"),
    *("sampler", "generate", "evaluate", "output", "callback"),
)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with every default filled in and its wiring checked."""

    name: str
    run: RunConfig
    corpus: CorpusConfig
    reader: Component | None
    encoder: Component
    model: Component
    loss: Component | None
    training: TrainingConfig
    samplers: tuple[Component, ...]
    generate: GenerateConfig
    evaluate: EvaluateConfig
    metrics: tuple[Component, ...]
    outputs: tuple[Component, ...]
    callbacks: tuple[Component, ...]

    @property
    def model_declaration(self) -> ModelDeclaration:
        """What the model's plugin says of it."""
        return self.model.declared(ModelDeclaration)

    def components(self) -> list[Component]:
        """Return every component the pipeline uses."""
        optional = [part for part in (self.reader, self.loss) if part is not None]
        lists = (*self.samplers, *self.metrics, *self.outputs, *self.callbacks)
        return [self.encoder, self.model, *optional, *lists]

    def accepts(self) -> tuple[Content, ...]:
        """Return what the encoder takes, scores or texts: what is read is chosen by it."""
        assert isinstance(self.encoder.config, EncoderConfig)
        return self.encoder.config.accepts()

    def tables(self) -> dict[str, Any]:
        """Return the whole pipeline as TOML tables, every key written out."""
        corpus = to_table(self.corpus)
        if self.reader is not None:
            corpus["reader"] = self.reader.table()
        tables: dict[str, Any] = {
            "run": to_table(self.run),
            "corpus": corpus,
            "encoder": self.encoder.table(),
            "model": self.model.table(),
            "training": to_table(self.training),
            "sampler": [sampler.table() for sampler in self.samplers],
            "generate": to_table(self.generate),
            "evaluate": metric_sections.put_back(to_table(self.evaluate), self.metrics),
            "output": [output.table() for output in self.outputs],
            "callback": [callback.table() for callback in self.callbacks],
        }
        if self.loss is not None:
            tables["loss"] = self.loss.table()
        return {name: tables[name] for name in ORDER if name in tables}


SourceCheck = Callable[[Sequence[Source], Registry], list[str]]
"""Says what is wrong with the sources of a corpus, as far as can be told without reading them."""


def load(
    path: Path,
    registry: Registry,
    settings: Sequence[str] = (),
    *,
    check_sources: SourceCheck | None = None,
) -> Pipeline:
    """Read a pipeline file, apply `--set` settings, fill in the defaults and check the wiring.

    Raises:
        ConfigError: everything that is wrong, all at once.
        UserError: the file cannot be read.
    """
    source = toml.read(path, settings)
    return _Resolver(source, registry, check_sources).resolve()


def resolve(source: SettingsSource, registry: Registry) -> Pipeline:
    """Turn raw tables into a Pipeline; whether the corpus is still there is not looked at.

    Raises:
        ConfigError: everything that is wrong, all at once.
    """
    return _Resolver(source, registry).resolve()


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
        self.problems: list[Problem] = []
        self.wished: dict[tuple[str, str], str] = {}
        """(table, key) to the component that wishes for its value."""

    def resolve(self) -> Pipeline:
        user = self._known_tables()
        tables = self._with_defaults(user)
        reader = self._reader(tables["corpus"])
        of_metrics = metric_sections.taken_out(tables["evaluate"])
        plain = {name: self._plain(name, cls, tables[name]) for name, cls in PLAIN.items()}
        encoder = self._component("encoder", "encoder", tables.get("encoder"))
        model = self._component("model", "model", tables.get("model"))
        if "model" not in tables:
            there = ", ".join(self.registry.names("model"))
            self._problem("model", "type", f"missing; say which model to train: {there}")
        layout = self._layout(encoder)
        self._choose_by_layout(tables, layout, encoder, model)
        loss = self._component("loss", "loss", tables.get("loss"))
        lists = {name: self._list(name, kind, tables[name]) for name, kind in LISTS.items()}
        if layout is not None and encoder is not None:
            self._note(
                compatibility.check_layout(layout, encoder, model, loss, lists, self.registry)
            )
            told = any(problem.table.startswith("sampler") for problem in self.problems)
            if model is not None and not told:
                self._note(compatibility.check_drawing(model, lists["sampler"]))
        training = plain["training"]
        if model is not None and isinstance(training, TrainingConfig):
            self._note(compatibility.check_batching(training, model))
        generate = plain["generate"]
        if encoder is not None and isinstance(generate, GenerateConfig):
            assert isinstance(encoder.config, EncoderConfig)
            self._note(compatibility.check_generation(generate, encoder.config))
        metrics = self._metrics(plain["evaluate"], of_metrics)
        self._check_sources(plain["corpus"])
        if self.problems or encoder is None or model is None:
            raise ConfigError(self.problems)
        return Pipeline(
            name=self.source.path.stem,
            reader=reader,
            encoder=encoder,
            model=model,
            loss=loss,
            samplers=tuple(lists["sampler"]),
            outputs=tuple(lists["output"]),
            callbacks=tuple(lists["callback"]),
            metrics=metrics,
            **self._finished(plain),
        )

    def _finished(self, plain: dict[str, Any]) -> dict[str, Any]:
        training = plain["training"]
        if training.steps is training.epochs is training.minutes is None:
            plain["training"] = dataclasses.replace(training, steps=DEFAULT_STEPS)
        return plain

    def _problem(self, table: str, key: str, message: str) -> None:
        file = self.source.label(table, key)
        if (table, key) in self.wished and not self.source.says(table, key):
            file = self.wished[table, key]
        problem = Problem(file, table, key, message)
        if problem not in self.problems:
            self.problems.append(problem)

    def _known_tables(self) -> dict[str, Any]:
        """Return the user's tables, those of the wrong kind left out and told."""
        tables: dict[str, Any] = {}
        for name, value in self.source.tables.items():
            if name in FORMER_TABLES:
                self._problem("", name, f"is called {FORMER_TABLES[name]!r} now")
            elif name not in ORDER:
                self._problem("", name, "unknown table" + did_you_mean(name, ORDER))
            elif name in LISTS:
                items = value if isinstance(value, list) else [value]
                if all(isinstance(item, dict) for item in items):
                    tables[name] = items
                else:
                    self._problem("", name, f"expected [[{name}]], a list of tables")
            elif isinstance(value, dict):
                tables[name] = value
            else:
                self._problem("", name, f"expected a table [{name}], got {value!r}")
        return tables

    def _with_defaults(self, user: dict[str, Any]) -> dict[str, Any]:
        """Lay the user's tables over the preset's, over what model and encoder wish for."""
        tables: dict[str, Any] = {name: {} for name in PLAIN} | dict.fromkeys(LISTS)
        defaults: list[Mapping[str, Any]] = []
        presets: list[Mapping[str, Any]] = []
        # The model first: it may wish for an encoder, whose own wishes lie under the model's.
        for table in ("model", "encoder"):
            wanted = overlaid([*defaults, *presets], table) | user.get(table, {})
            entry = self._entry_or_none(table, wanted.get("type", "piano-roll"))
            if entry is None:
                continue
            defaults.insert(0, entry.declaration.defaults)
            self._note_wishes(entry, defaults[0])
            if "preset" in user.get(table, {}):
                presets.insert(0, self._preset(table, entry, user[table]["preset"]))
                self._note_wishes(entry, presets[0])
        layers = [*defaults, *presets]
        for name in ORDER:
            if name in LISTS:
                wishes = [layer[name] for layer in layers if name in layer]
                tables[name] = user.get(name, wishes[-1] if wishes else None)
                continue
            merged = overlaid(layers, name, user.get(name, {}).get("type"))
            merged = laid_over(name, merged, user.get(name, {}))
            if name in ("model", "encoder"):
                merged.pop("preset", None)
            if merged or name in PLAIN or name in user:
                tables[name] = merged
        if "type" not in tables.setdefault("encoder", {}):
            tables["encoder"]["type"] = "piano-roll"
        return tables

    def _note_wishes(self, entry: RegistryEntry, wishes: Mapping[str, Any]) -> None:
        """Remember whose wish a value is, so that the user's file is not blamed for it."""
        whose = f"{entry.declaration.kind} {entry.name!r} of {entry.origin}"
        for table, values in wishes.items():
            for key, value in values.items() if isinstance(values, Mapping) else ():
                inner = value if isinstance(value, Mapping) else ()
                self.wished |= {(f"{table}.{key}", each): whose for each in inner}
                self.wished[table, key] = whose

    def _entry_or_none(self, kind: str, name: object) -> RegistryEntry | None:
        try:
            return self.registry.get(kind, str(name))
        except UserError:
            return None

    def _preset(self, table: str, entry: RegistryEntry, name: object) -> Mapping[str, Any]:
        presets = entry.declaration.presets
        if isinstance(name, str) and name in presets:
            return presets[name]
        there = f"; there are: {', '.join(presets)}" if presets else "; it has none"
        near = did_you_mean(str(name), presets) or there
        self._problem(table, "preset", f"{entry.name!r} has no preset {name!r}{near}")
        return {}

    def _plain(self, name: str, cls: type[C], table: Mapping[str, object]) -> C | None:
        built, problems = build(
            cls,
            table,
            file=self.source.path_shown,
            name=name,
            base_of=lambda key: self.source.base(name, key),
        )
        self._note((problem.table, problem.key, problem.message) for problem in problems)
        return built

    def _note(self, findings: Iterable[compatibility.Finding]) -> None:
        for table, key, message in findings:
            self._problem(table, key, message)

    def _reader(self, corpus: dict[str, Any]) -> Component | None:
        raw = corpus.pop("reader", None)
        if raw is None:
            return None
        table = {"type": raw} if isinstance(raw, str) else raw
        if not isinstance(table, dict):
            self._problem("corpus", "reader", f"expected a reader's name or a table, got {raw!r}")
            return None
        return self._component("corpus.reader", "reader", table)

    def _component(self, place: str, kind: str, table: Any) -> Component | None:
        if table is None:
            return None
        settings = dict(table)
        name = settings.pop("type", None)
        if not isinstance(name, str):
            there = ", ".join(self.registry.names(kind))
            wrong = "missing" if name is None else f"got {name!r}"
            self._problem(place, "type", f"{wrong}; name a {kind}: {there}")
            return None
        try:
            entry = self.registry.get(kind, name)
        except UserError as error:
            self._problem(place, "type", str(error))
            return None
        for message in entry.missing_requirements():
            self._problem(place, "type", message)
        config = self._plain(place, entry.declaration.config, settings)
        return None if config is None else Component(entry, config)

    def _list(self, name: str, kind: str, items: Sequence[Any] | None) -> list[Component]:
        built = [
            self._component(f"{name}.{index}", kind, item) for index, item in enumerate(items or [])
        ]
        return [component for component in built if component is not None]

    def _metrics(self, evaluate: Config | None, tables: Mapping[str, Any]) -> tuple[Component, ...]:
        """Build what is measured, each metric from its table in `[evaluate]`, where it has one."""
        measured = evaluate.metrics if isinstance(evaluate, EvaluateConfig) else None
        said = metric_sections.said(self.source)
        self._note(metric_sections.check(tables, said, measured, self.registry))
        built = {}
        for name in dict.fromkeys([*(measured or ()), *sorted(said & tables.keys())]):
            entry, table = self._entry_or_none("metric", name), tables.get(name, {})
            if entry is not None and isinstance(table, dict):
                config = self._plain(f"evaluate.{name}", entry.declaration.config, table)
                built[name] = None if config is None else Component(entry, config)
        wanted = (built.get(name) for name in dict.fromkeys(measured or ()))
        return tuple(metric for metric in wanted if metric is not None)

    def _layout(self, encoder: Component | None) -> Layout | None:
        if encoder is None:
            return None
        assert isinstance(encoder.config, EncoderConfig)
        return encoder.config.layout()

    def _choose_by_layout(
        self,
        tables: dict[str, Any],
        layout: Layout | None,
        encoder: Component | None,
        model: Component | None,
    ) -> None:
        """Choose loss, sampler, outputs and callbacks where the user said nothing."""
        if tables["callback"] is None:
            tables["callback"] = [{"type": "console"}]
        if layout is None or encoder is None or model is None:
            return
        declaration = model.declared(ModelDeclaration)
        if tables["output"] is None:
            assert isinstance(encoder.config, EncoderConfig)
            writers = {"score": ["midi", "picture"], "text": ["text"]}
            wanted = [name for kind in encoder.config.produces() for name in writers.get(kind, [])]
            installed = self.registry.names("writer")
            tables["output"] = [{"type": name} for name in wanted if name in installed]
        if tables["sampler"] is None and declaration.uses_samplers:
            plain = {"grid": "bernoulli", "tokens": "categorical"}.get(layout.name)
            tables["sampler"] = self._only_choice("sampler", layout, plain)
        needs_loss = declaration.training == "gradient" and not declaration.own_loss
        if needs_loss and not tables.get("loss"):
            plain = "cross-entropy" if layout.name in ("grid", "tokens") else None
            tables["loss"] = (self._only_choice("loss", layout, plain) or [None])[0]

    def _only_choice(self, kind: str, layout: Layout, plain: str | None) -> list[Any] | None:
        if plain is not None:
            return [{"type": plain}]
        fitting = [
            entry.name
            for entry in self.registry.of_kind(kind)
            if layout.name in getattr(entry.declaration, "layouts", ())
        ]
        if len(fitting) == 1:
            return [{"type": fitting[0]}]
        what = f"choose one of {', '.join(fitting)}" if fitting else "none is installed"
        self._problem(kind, "type", f"missing for the layout {layout.name!r}; {what}")
        return None

    def _check_sources(self, corpus: Any) -> None:
        if self.check_sources is None or not isinstance(corpus, CorpusConfig):
            return
        for message in self.check_sources(corpus.path, self.registry):
            self._problem("corpus", "path", message)
