"""What the installed models propose for some music, as whole pipelines, and which to time."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.config import toml
from musengine.data.discovery import check_sources
from musengine.data.survey import SurveyedCorpus
from musengine.errors import ConfigError, UserError, is_strict
from musengine.pipeline.layers import Layer, merged
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.pipeline.sections import LISTS
from musengine.plugins.configs import Content, ModelConfig
from musengine.plugins.registry import Registry, RegistryEntry
from musengine.plugins.suggestions import SuggestedSize, Suggestion
from musengine.runs.choice.timing import Timing
from musengine.runs.named import NamedRun

logger = logging.getLogger(__name__)

_HELD_OUT = 30
"""Pieces held out of a large corpus: more tell hardly more."""
FEWEST_HELD_OUT = 4
"""Pieces held out of a small corpus, if that is no more than a fifth: one alone tells little."""
_WITHIN_BELOW = 4
"""With fewer pieces the end of each is held out, since none can be spared."""
_HASTE = 0.3
"""Power of the share of its steps that a size is trained for: a tenth of them halves its fit."""


_TAKEN = ("encoder", "model", "loss", "sampler", "output")
"""Tables that are taken from the model that is gone on from."""
_NOT_TAKEN = (
    *("steps", "epochs", "minutes", "device", "threads", "seed", "precision"),
    *("checkpoint_every", "keep_checkpoints", "frozen"),
)
"""Keys of its `[training]` that are not."""
_SLOWER = 0.25
"""Of the rate that it was trained with, what goes on from it is trained with."""


@dataclass(frozen=True)
class Start:
    """What a run on a folder of music goes on from.

    Attributes:
        name: as it was asked for.
        run: what that stands for.
        minutes: how long the command may take.
    """

    name: str
    run: NamedRun
    minutes: float


@dataclass(frozen=True)
class Candidate:
    """One size of a model, with the whole pipeline that it makes."""

    model: str
    why: str
    size: SuggestedSize
    tables: dict[str, Any]
    pipeline: Pipeline


def candidates_for(
    corpus: SurveyedCorpus, registry: Registry, minutes: float, settings: Sequence[str]
) -> list[Candidate]:
    """Return every size of every model that suits the music.

    Raises:
        UserError: with these settings none can be used.
    """
    own = toml.SettingsSource(Path("chosen.toml"), "--set", {}, Path.cwd())
    for setting in settings:
        toml.apply(own, setting)
    wanted = own.tables.get("model", {}).get("type")
    if wanted is not None:
        registry.get("model", str(wanted))
    found: list[Candidate] = []
    mistaken: list[ConfigError] = []
    for entry in registry.of_kind("model"):
        if wanted not in (None, entry.name):
            continue
        suggestion = _suggestion(entry, corpus)
        for size in () if suggestion is None else suggestion.sizes:
            assert suggestion is not None
            # What the plugin proposes lies above what is the same for all; `--set` is applied last,
            # above both.
            layers = [Layer("", _base(corpus, minutes, registry)), Layer("", size.tables)]
            tables = _installed(merged(layers).tables, registry)
            try:
                pipeline = resolved(tables, "chosen", registry, settings)
                # Only the resolved pipeline tells what is read, hence resolved twice: files of
                # another kind that it would take too are excluded by pattern.
                if unwanted := _unwanted(corpus, pipeline.accepts()):
                    tables["corpus"] = {**tables["corpus"], "exclude": unwanted}
                    pipeline = resolved(tables, "chosen", registry, settings)
            except ConfigError as error:
                # A setting that one model does not have may be meant for another; it is the user's
                # mistake only where no model is left.
                if any(problem.file == "--set" for problem in error.problems):
                    mistaken.append(error)
                    continue
                origin = f"what model {entry.name!r} of {entry.origin} proposes"
                logger.warning(f"{origin} cannot be used: {error.lines[0]}")
                continue
            found.append(Candidate(entry.name, suggestion.why, size, tables, pipeline))
    if mistaken and not found:
        raise mistaken[0]
    return found


def candidate_from(
    start: Start, corpus: SurveyedCorpus, registry: Registry, settings: Sequence[str]
) -> Candidate:
    """Return what goes on from a trained model with the music: its encoder, model and samplers.

    Raises:
        UserError: it cannot, such as a model that is not trained by gradients.
    """
    pipeline = start.run.folder.read_pipeline(registry)
    if pipeline.model_declaration.training == "fit":
        raise UserError(
            f"--from {start.name}: model {pipeline.model.name!r} learns all at once and does not "
            "go on from what it knows",
            code="option-conflict",
        )
    own = pipeline.tables()
    training = {key: value for key, value in own["training"].items() if key not in _NOT_TAKEN}
    training["init_from"] = start.run.origin.to_toml()
    training["batch_size"] = max(2, min(training["batch_size"], corpus.survey.pieces))
    if rate := training.get("learning_rate"):
        training["learning_rate"] = round(_SLOWER * rate, 8)
    taken = {name: own[name] for name in _TAKEN if name in own} | {"training": training}
    base = _base(corpus, start.minutes, registry)
    tables = _installed(merged([Layer("", base), Layer("", taken)]).tables, registry)
    chosen = resolved(tables, "chosen", registry, settings)
    if unwanted := _unwanted(corpus, chosen.accepts()):
        tables["corpus"] = {**tables["corpus"], "exclude": unwanted}
        chosen = resolved(tables, "chosen", registry, settings)
    size = SuggestedSize(tables=tables, fit=1.0, steps=1)
    return Candidate(pipeline.model.name, f"it goes on from {start.name}", size, tables, chosen)


def _suggestion(entry: RegistryEntry, corpus: SurveyedCorpus) -> Suggestion | None:
    """Return what a model says to some music; a plugin's fault is told and is no answer."""
    config = entry.declaration.config
    if not issubclass(config, ModelConfig) or entry.missing_requirements():
        return None
    try:
        return config.suits(corpus.survey)
    # One plugin's fault must not keep the others from being asked.
    except Exception as error:
        if is_strict():
            raise
        reason = f"{type(error).__name__}: {error}"
        logger.warning(f"model {entry.name!r} of {entry.origin} is not asked: {reason}")
        return None


def _base(corpus: SurveyedCorpus, minutes: float, registry: Registry) -> dict[str, Any]:
    """Return what is the same for every model."""
    survey, seconds = corpus.survey, 60 * corpus.survey.usual / corpus.survey.tempo
    callbacks = [
        *registry.defaults_for("callback", "run")[:1],
        *registry.defaults_for("callback", "choice"),
    ]
    tables: dict[str, Any] = {
        "corpus": {
            "path": corpus.source.text,
            "duplicates": "drop",
            "split": "within" if survey.pieces < _WITHIN_BELOW else "shares",
            "valid": round(_valid_share(max(survey.pieces, 1)), 3),
        },
        "training": {"minutes": minutes},
        "generate": {"count": 4},
        "callback": [{"type": entry.name} for entry in callbacks],
    }
    if survey.notes:
        length = f"{min(max(round(seconds), 20), 60)} seconds"
        tables["generate"] |= {"tempo": float(round(survey.tempo)), "length": length}
    return tables


def _valid_share(pieces: int) -> float:
    """Return the share of the pieces that is held out to measure by: a tenth, but not too few."""
    share = max(0.1, min(FEWEST_HELD_OUT / pieces, 0.2))
    return min(share, max(_HELD_OUT / pieces, 0.001))


def _unwanted(corpus: SurveyedCorpus, accepts: Sequence[Content]) -> list[str]:
    """Return patterns of the files that would be read too, beside those that are taken."""
    return [
        f"*{ending}"
        for kind in corpus.others
        if set(kind.contents()) & set(accepts)
        for ending in kind.suffixes
    ]


def _installed(tables: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Return the tables without components in lists that are not installed."""
    there = {name: set(registry.names(kind)) for name, kind in LISTS.items()}
    return {
        name: [item for item in table if item.get("type") in there[name]]
        if name in there
        else table
        for name, table in tables.items()
        if name not in there or any(item.get("type") in there[name] for item in table)
    }


def resolved(
    tables: Mapping[str, Any], name: str, registry: Registry, settings: Sequence[str]
) -> Pipeline:
    """Return the pipeline of some tables with `--set` settings, called so.

    Raises:
        ConfigError: they make none.
    """
    copied = {
        key: [dict(item) for item in table] if isinstance(table, list) else dict(table)
        for key, table in tables.items()
    }
    source = toml.SettingsSource(Path(f"{name}.toml"), f"the choice for {name}", copied, Path.cwd())
    for setting in settings:
        toml.apply(source, setting)
    return resolve_pipeline(source, registry, check_sources=check_sources)


class Search:
    """Finds the candidate of the highest value, and times few for it.

    The value is the fit, less the fewer of its steps there is time for. The smallest size of each
    model is timed first: a step of a larger one takes no less, which bounds its value.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.best: tuple[Candidate, Timing] | None = None
        self._value, self._count = -1.0, max(len(candidates), 1)
        self._untimed = sorted(candidates, key=lambda each: each.size.steps)
        self._known: dict[str, tuple[float, float]] = {}
        """For a model, the seconds of a step of the size timed last, and those there are."""

    @property
    def share(self) -> float:
        """How many of the candidates are done with."""
        return 1 - len(self._untimed) / self._count

    def next(self) -> Candidate | None:
        """Return the one to time next, None where none can be better than the best."""
        self._untimed = [each for each in self._untimed if self._bound(each) > self._value]
        if not self._untimed:
            return None
        likeliest = max(self._untimed, key=self._bound)
        chosen = next(each for each in self._untimed if each.model == likeliest.model)
        self._untimed.remove(chosen)
        return chosen

    def add(self, candidate: Candidate, timing: Timing, seconds: float) -> None:
        """Note what was timed, and how many seconds of training there are for it."""
        self._known[candidate.model] = timing.step, seconds
        value = self._bound(candidate)
        if value > self._value:
            self.best, self._value = (candidate, timing), value

    def _bound(self, candidate: Candidate) -> float:
        step, seconds = self._known.get(candidate.model, (0.0, 0.0))
        needed = candidate.size.steps * step
        share = min(seconds / needed, 1.0) if needed else 1.0
        return candidate.size.fit * math.pow(share, _HASTE)
