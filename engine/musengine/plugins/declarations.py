"""What a plugin says about its components: names, settings and import strings, no objects.

Nothing here imports torch, so that pipelines can be listed, checked and documented without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from musengine.config.fields import Config
from musengine.plugins.configs import Content, NoSettings
from musengine.utils.by_value import ByValue

Capability = Literal["likelihood"]
"""What a model may offer that not every model has."""
SteeringKind = Literal["infill", "instruments", "density", "key"]
"""What a model may be asked for, beside pieces of some length: a passage among given notes, that
only some instruments play, so many notes in a bar, notes of a scale."""
Direction = Literal["lower", "higher"]
"""Which figures of a metric are better."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A library a component needs at run time: its module and the command that installs it."""

    module: str
    install: str

    def installed(self) -> bool:
        """Return whether the module can be found; nothing is imported but its parent packages."""
        try:
            return importlib.util.find_spec(self.module) is not None
        except Exception:  # a parent package may raise anything when it is imported
            return False


@dataclass(frozen=True)
class Follows:
    """The value of a key, in a preset or in defaults, that goes along with another key's number.

    Attributes:
        table: where the other key is.
        key: the other key.
        plus: by how much this one's value is larger.
    """

    table: str
    key: str
    plus: int = 0

    def value(self, tables: Mapping[str, Any]) -> Any:
        """Return the value that it has in some tables; None where the other key has no number."""
        number = tables.get(self.table, {}).get(self.key)
        known = isinstance(number, (int, float)) and not isinstance(number, bool)
        return number + self.plus if known else None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Declaration(ByValue):
    """One component.

    Attributes:
        name: what `type = "..."` says in a pipeline.
        summary: one line.
        target: where the class lives, `"package.module:Class"`; imported on first use.
        config: its settings, a Config class in a module free of torch.
        defaults: values for this and other tables, under the user's own; read of encoders, models
            and what `[training]` names. A component in one of their lists that is not installed is
            left out.
        presets: name to values for this and other tables, chosen with `preset = "name"`.
        requires: libraries looked for before any data is read.
        default_for: what it is taken for where neither the pipeline nor the defaults of its model
            and encoder name a component of its kind. Losses and samplers: names of layouts;
            encoders and writers: contents, such as `score` or `run`; metrics: what a model
            offers, such as `likelihood`; callbacks: `run`, and `choice` for what `musengine run
            FOLDER` chooses; components inside a section: the section. Of writers, metrics and
            callbacks for a `choice` all are taken, of the others one: the core's, else the first
            by name.
    """

    kind: ClassVar[str]
    name: str
    summary: str
    target: str
    config: type[Config] = NoSettings
    defaults: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    requires: tuple[Requirement, ...] = ()
    default_for: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ReaderDeclaration(Declaration):
    """A reader of music files or of a built-in corpus.

    Attributes:
        suffixes: file name endings it reads, lower case, with the dot.
        scheme: the word before the colon in `path = "scheme:name"`, for corpora without a path.
        content: what it gives, scores or texts; only a reader of what the encoder takes is used.
        priority: where several such readers claim a suffix, the highest reads; the pipeline can
            name another.
    """

    kind: ClassVar[str] = "reader"
    suffixes: tuple[str, ...] = ()
    scheme: str = ""
    content: tuple[Content, ...] = ("score",)
    priority: int = 0


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EncoderDeclaration(Declaration):
    """An encoder: Score or Text to arrays and back. Its config derives from EncoderConfig."""

    kind: ClassVar[str] = "encoder"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ModelDeclaration(Declaration):
    """A model. Its config derives from ModelConfig.

    Attributes:
        layouts: names of the layouts it works on.
        training: `gradient` (the engine's loop) or `fit` (the model's own `fit`, once).
        generation: `stepping` (`start`, `step`) or `own` (`generate`).
        likelihood: its output is an exact likelihood, so that NLL may be reported: its logits on
            a grid or tokens, or `Output.nll`.
        stateful: it can carry its state from one batch to the next, as batching strategies that
            declare `stateful` need.
        own_loss: it brings its loss (`Output.loss`); a `[loss]` beside it is refused. Of every
            other model trained by gradients it is the pipeline's loss that is descended.
        uses_samplers: False for a model that draws its own choices.
        records: it can show what goes on inside (`inside`, or `record`).
        steering: what it can be asked for; the encoder of its layout has `steered`, and for an
            infill `guide`.
        templates: starter pipelines for `musengine init`, name to the place of a commented TOML
            file in the package, `"package:templates/name.toml"`. Its first line says what it is
            for, and `path = "..."` in its `[corpus]` gives way to the user's own.
    """

    kind: ClassVar[str] = "model"
    layouts: tuple[str, ...]
    training: Literal["gradient", "fit"] = "gradient"
    generation: Literal["stepping", "own"] = "stepping"
    likelihood: bool = True
    stateful: bool = False
    own_loss: bool = False
    uses_samplers: bool = True
    records: bool = False
    steering: tuple[SteeringKind, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)

    @property
    def takes_loss(self) -> bool:
        """Whether it is the pipeline's loss that it is trained by."""
        return self.training == "gradient" and not self.own_loss

    @property
    def offers(self) -> tuple[Capability, ...]:
        """What metrics may ask of it."""
        return ("likelihood",) if self.likelihood else ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LossDeclaration(Declaration):
    """A loss; `layouts` empty means any."""

    kind: ClassVar[str] = "loss"
    layouts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SamplerDeclaration(Declaration):
    """A sampler.

    Attributes:
        layouts: names of those it can draw for.
        options: options of `musengine generate` that stand for keys of it, such as
            `{"temperature": "temperature"}`: `temperature` and `top-p` there are.
    """

    kind: ClassVar[str] = "sampler"
    layouts: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MetricDeclaration(Declaration):
    """A metric: pieces and a reference set to named numbers.

    Attributes:
        of: `model`: asked of each held-out part, what the trained model makes of it; `pieces`:
            asked once, of the generated pieces beside the music that was learned from.
        needs: what the model must offer; without it the metric is left out.
        better: whether a `lower` or a `higher` figure is better: one word for all figures, or the
            names of figures to one each; empty, or not named, where neither is.
        comparable: figures that mean the same whatever the encoder, as long as the pieces are the
            same, such as what is told of a note and not of a step.
    """

    kind: ClassVar[str] = "metric"
    of: Literal["model", "pieces"] = "model"
    needs: tuple[Capability, ...] = ()
    better: Direction | Literal[""] | Mapping[str, Direction] = ""
    comparable: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class WriterDeclaration(Declaration):
    """A writer. Its config derives from WriterConfig where the system may lack what it needs.

    Attributes:
        content: what it writes: scores, texts, probabilities, activations, or whole runs. One that
            writes runs and is the default for `run` is called at the end of every run, after
            pieces made on the way, and after `generate` and `evaluate`.
        suffixes: file name endings, with the dot, by which `musengine convert` chooses it, each
            with the settings that make it write such files.
        notebook: where the function lives that tells a notebook how scores and runs are shown,
            `"package.module:function"`; it is given IPython's shell, once. Empty for none.
    """

    kind: ClassVar[str] = "writer"
    content: tuple[Content, ...] = ("score",)
    suffixes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notebook: str = ""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CallbackDeclaration(Declaration):
    """A callback, called at the events of a run."""

    kind: ClassVar[str] = "callback"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CommandDeclaration(Declaration):
    """A subcommand of the command line.

    Its `target` is a function that takes the parsed arguments and a `CommandContext` and returns
    an exit status.

    Attributes:
        arguments: where the function lives that adds its arguments to an `argparse` parser,
            `"package.module:function"`; empty for none.
    """

    kind: ClassVar[str] = "command"
    arguments: str = ""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TrainingPartDeclaration(Declaration):
    """Base of what `[training]` names: an optimizer, a schedule or a batching strategy.

    Attributes:
        uses: keys of `[training]` that it heeds, such as `momentum`. One that does nothing unless
            it is set, and is set beside a component that does not use it, is refused.
    """

    uses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class OptimizerDeclaration(TrainingPartDeclaration):
    """An optimizer; every one uses `learning_rate`.

    `uses` names those of `momentum`, `smoothing`, `epsilon` and `weight_decay` that it has, and
    `defaults` gives them and the rate, as `{"training": {"learning_rate": 0.01}}`.
    """

    kind: ClassVar[str] = "optimizer"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ScheduleDeclaration(TrainingPartDeclaration):
    """A schedule: what the learning rate is multiplied by in the course of training."""

    kind: ClassVar[str] = "schedule"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BatchingDeclaration(TrainingPartDeclaration):
    """A batching strategy: which steps of which pieces make each batch.

    Attributes:
        stateful: the model's state is carried from each batch to the next, row by row, so that
            only models that declare `stateful` can be trained with it.
    """

    kind: ClassVar[str] = "batching"
    stateful: bool = False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TrainedDeclaration(Declaration):
    """A trained model, used by its name wherever a run folder may stand.

    Its `target` is its run folder within an installed package, `"package:folder"`.

    Attributes:
        licence: under which the weights are passed on, such as `MIT`.
        size: bytes of all files in the folder.
        trained_on: which music, a phrase.
    """

    kind: ClassVar[str] = "trained"
    licence: str
    size: int
    trained_on: str


DECLARATIONS: dict[str, type[Declaration]] = {
    "musengine_readers": ReaderDeclaration,
    "musengine_encoders": EncoderDeclaration,
    "musengine_models": ModelDeclaration,
    "musengine_losses": LossDeclaration,
    "musengine_samplers": SamplerDeclaration,
    "musengine_metrics": MetricDeclaration,
    "musengine_writers": WriterDeclaration,
    "musengine_callbacks": CallbackDeclaration,
    "musengine_commands": CommandDeclaration,
    "musengine_optimizers": OptimizerDeclaration,
    "musengine_schedules": ScheduleDeclaration,
    "musengine_batching": BatchingDeclaration,
    "musengine_trained": TrainedDeclaration,
}
"""Hook name to the declaration that its implementations return."""
