"""Whether the chosen components fit together, by their declarations and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from musengine.config.fields import settings_of
from musengine.encoding.layouts import Layout
from musengine.errors import Finding
from musengine.interfaces.training import TrainingConfig
from musengine.pipeline.sections import GenerateConfig
from musengine.plugins.configs import EncoderConfig, ModelConfig, SamplerConfig, WriterConfig
from musengine.plugins.declarations import (
    BatchingDeclaration,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    SamplerDeclaration,
    SteeringKind,
    TrainingPartDeclaration,
    WriterDeclaration,
)
from musengine.plugins.registry import Component, Registry

_CONTENTS = {"score": "a score", "text": "a text"}


def check_layout(
    layout: Layout,
    encoder: Component,
    model: Component | None,
    loss: Component | None,
    lists: Mapping[str, Sequence[Component]],
    registry: Registry,
) -> Iterator[Finding]:
    """Yield what cannot work on the encoder's layout."""
    if model is not None:
        yield from _check_model(layout, encoder, model, registry)
    yield from _check_samplers(layout, lists["sampler"])
    if loss is not None:
        yield from _check_loss(layout, loss, model)
    yield from _check_outputs(layout, encoder, model, lists["output"])


def _check_model(
    layout: Layout, encoder: Component, model: Component, registry: Registry
) -> Iterator[Finding]:
    layouts = model.declared(ModelDeclaration).layouts
    if layout.name not in layouts:
        fitting = ", ".join(_encoders_for(layouts, registry)) or "none installed"
        yield Finding(
            "model",
            "type",
            f"{model.name!r} works on {_either(layouts)}, but encoder {encoder.name!r} makes "
            f"{layout.name}; encoders that fit: {fitting}",
            code="wrong-layout",
        )
        return
    assert isinstance(model.config, ModelConfig)
    for message in model.config.incompatibilities(layout):
        yield Finding("model", "type", message, code="settings-conflict")


def _encoders_for(layouts: Sequence[str], registry: Registry) -> Iterator[str]:
    for entry in registry.of_kind("encoder"):
        assert isinstance(entry.declaration, EncoderDeclaration)
        try:
            config = entry.declaration.config()
            # With its default settings: the list is a hint, and other settings may fit as well.
            fits = isinstance(config, EncoderConfig) and config.layout().name in layouts
        except Exception:  # a key without a default, or another plugin's mistake
            continue
        if fits:
            yield entry.name


def _check_samplers(layout: Layout, samplers: Sequence[Component]) -> Iterator[Finding]:
    for index, sampler in enumerate(samplers):
        layouts = sampler.declared(SamplerDeclaration).layouts
        if layout.name not in layouts:
            message = f"{sampler.name!r} draws for {_either(layouts)}, not for {layout.name}"
            yield Finding(f"sampler.{index}", "type", message, code="wrong-layout")
        elif isinstance(sampler.config, SamplerConfig):
            for message in sampler.config.incompatibilities(layout):
                yield Finding(f"sampler.{index}", "type", message, code="settings-conflict")
    if len(samplers) > 1 and layout.name not in ("grid", "tokens"):
        message = f"a chain cannot draw for {layout.name!r}"
        yield Finding("sampler.1", "type", message, code="wrong-layout")


def check_drawing(model: Component, samplers: Sequence[Component]) -> Iterator[Finding]:
    """Yield a model without the sampler it needs, or with one it has no use for."""
    declaration = model.declared(ModelDeclaration)
    if declaration.uses_samplers and declaration.generation == "stepping" and not samplers:
        yield Finding("sampler", "", f"{model.name!r} needs a sampler", code="needs-sampler")
    if samplers and not declaration.uses_samplers:
        message = f"{model.name!r} draws by itself; leave it out"
        yield Finding("sampler.0", "type", message, code="component-superfluous")


def _check_loss(layout: Layout, loss: Component, model: Component | None) -> Iterator[Finding]:
    layouts = loss.declared(LossDeclaration).layouts
    if model is not None and not model.declared(ModelDeclaration).takes_loss:
        message = f"{model.name!r} {_own_way(model)}; leave it out"
        yield Finding("loss", "type", message, code="component-superfluous")
    elif layouts and layout.name not in layouts:
        message = f"{loss.name!r} is a loss for {_either(layouts)}, not for {layout.name}"
        yield Finding("loss", "type", message, code="wrong-layout")


def _own_way(model: Component) -> str:
    """Say what a model does that takes no loss of the pipeline's."""
    own = model.declared(ModelDeclaration).own_loss
    return "has a loss of its own" if own else "learns by itself, from no loss"


def _check_outputs(
    layout: Layout, encoder: Component, model: Component | None, writers: Sequence[Component]
) -> Iterator[Finding]:
    assert isinstance(encoder.config, EncoderConfig)
    produced = encoder.config.produces()
    # A model that cannot be built is one mistake, and what is made of its output no second one.
    stepping = model is None or model.declared(ModelDeclaration).generation == "stepping"
    if stepping and layout.name in ("grid", "tokens"):
        produced = (*produced, "probabilities")
    produced_or_run = {*produced, "run"}
    for index, writer in enumerate(writers):
        content = writer.declared(WriterDeclaration).content
        if not produced_or_run & set(content):
            wanted = " or ".join(_CONTENTS.get(kind, kind) for kind in content)
            made = " and ".join(_CONTENTS.get(kind, kind) for kind in produced)
            message = f"{writer.name!r} writes {wanted}, but this pipeline makes {made}"
            yield Finding(f"output.{index}", "type", message, code="wrong-content")


def check_generation(generate: GenerateConfig, encoder: EncoderConfig) -> Iterator[Finding]:
    """Yield first characters and lengths that the encoder has no notion of."""
    if generate.prompt_text is not None and "text" not in encoder.accepts():
        message = "this encoder makes music from notes, not from text"
        yield Finding("generate", "prompt_text", message, code="wrong-content")
    if encoder.tells_time():
        return
    lengths = {"length": generate.length}
    if generate.prompt.kind != "none" and generate.prompt_text is None:
        lengths["prompt_length"] = generate.prompt_length
        if generate.prompt_offset.length is not None:
            lengths["prompt_offset"] = generate.prompt_offset.length
    for key, length in lengths.items():
        if length.number and length.unit not in ("steps", "tokens"):
            message = "this encoder does not tell how long a token lasts; give a number of tokens"
            yield Finding("generate", key, message, code="no-time")


def check_steering(generate: GenerateConfig, model: Component) -> Iterator[Finding]:
    """Yield what is asked of new notes that the model does not heed."""
    asked: dict[str, tuple[SteeringKind, bool]] = {
        "infill": ("infill", generate.infill is not None),
        "instruments": ("instruments", bool(generate.instruments)),
        "density": ("density", generate.density is not None),
    }
    heeds = model.declared(ModelDeclaration).steering
    for key, (kind, is_asked) in asked.items():
        if is_asked and kind not in heeds:
            others = f"; it heeds {' and '.join(heeds)}" if heeds else ""
            message = f"model {model.name!r} cannot be asked for it{others}"
            yield Finding("generate", key, message, code="not-steerable")


def check_training(
    training: TrainingConfig, parts: Sequence[Component], model: Component, registry: Registry
) -> Iterator[Finding]:
    """Yield what the model, or a component that `[training]` names, cannot work with."""
    if training.loss_reduction != "mean" and not model.declared(ModelDeclaration).takes_loss:
        message = f"{model.name!r} {_own_way(model)}"
        yield Finding("training", "loss_reduction", message, code="key-unused")
    for part in parts:
        declaration = part.declared(TrainingPartDeclaration)
        yield from _check_switches(training, declaration, registry)
        if isinstance(declaration, BatchingDeclaration):
            yield from _check_batching(training, declaration, model)


def _check_batching(
    training: TrainingConfig, batching: BatchingDeclaration, model: Component
) -> Iterator[Finding]:
    if batching.stateful and not model.declared(ModelDeclaration).stateful:
        message = f"model {model.name!r} cannot carry its state from batch to batch"
        yield Finding("training", "batching", message, code="not-stateful")
    if training.rate_per_piece and training.batch_size != 1:
        message = "works with batch_size = 1 only"
        yield Finding("training", "rate_per_piece", message, code="settings-conflict")
    repeats = "fill" in batching.uses and training.fill == "repeat"
    if repeats and training.sequence_length is None:
        message = 'fill = "repeat" needs a length to fill up to'
        yield Finding("training", "sequence_length", message, code="settings-conflict")


def _check_switches(
    training: TrainingConfig, chosen: TrainingPartDeclaration, registry: Registry
) -> Iterator[Finding]:
    """Yield keys that were set for another component of the same kind.

    They do nothing by default; others, such as `stride`, have a value in every pipeline, which may
    lie idle.
    """
    used = {"learning_rate", *chosen.uses}  # every optimizer has a rate
    for each in settings_of(type(training)):
        value = getattr(training, each.key)
        if each.meant_for != chosen.kind or each.key in used or value == each.default:
            continue
        users = [
            entry.name
            for entry in registry.of_kind(chosen.kind)
            if each.key in entry.declared(TrainingPartDeclaration).uses
        ]
        message = f"{chosen.name} has none; it is for {', '.join(users)}"
        yield Finding("training", each.key, message, code="key-unused")


def check_metrics(metrics: Sequence[Component]) -> Iterator[Finding]:
    """Yield metrics that are there twice: the figures of one would hide the other's."""
    names: list[str] = []
    for index, metric in enumerate(metrics):
        if metric.name in names:
            message = f"{metric.name!r} is measured already; its figures can be there only once"
            yield Finding(f"metric.{index}", "type", message, code="component-twice")
        names.append(metric.name)


def unmet(metrics: Sequence[Component], model: Component) -> dict[str, str]:
    """Return the metrics that need what the model does not offer, by name, and a line for each."""
    offers = model.declared(ModelDeclaration).offers
    return {
        metric.name: f"metric {metric.name!r} left out: model {model.name!r} has no exact {need}"
        for metric in metrics
        for need in metric.declared(MetricDeclaration).needs
        if need not in offers
    }


def lacking(outputs: Sequence[Component]) -> dict[str, str]:
    """Return the writers that cannot write on this system, by name, and what they lack."""
    configs = {output.name: output.config for output in outputs}
    lacks = {n: c.lacks() for n, c in configs.items() if isinstance(c, WriterConfig)}
    return {name: f"output {name!r}: {lack}" for name, lack in lacks.items() if lack}


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)
