"""What is made of a folder of music without a word from its owner: model, size, grid, split."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musengine.config import toml
from musengine.config.quantities import Period
from musengine.data.discovery import check_sources
from musengine.data.survey import SurveyedCorpus, sample_items
from musengine.errors import UserError
from musengine.pipeline.layers import Layer, merged
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.pipeline.sections import LISTS
from musengine.plugins.declarations import ModelConfig
from musengine.plugins.registry import Registry
from musengine.plugins.suggestions import SuggestedSize
from musengine.runs.timing import Timing, time_pipeline
from musengine.utils.format import counted, duration
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)

_TIMED_FILES = 8
_HELD_OUT = 30
"""Pieces held out of a large corpus: more tell hardly more."""
_WITHIN_BELOW = 4
"""With fewer pieces the end of each is held out, since none can be spared."""
_VALIDATIONS = 12
_VALIDATION_SHARE = 0.015
"""Of the training time, that one validation may take."""
_GENERATION_SHARE = 0.3
"""Of the whole time, that is kept for generation at the most."""
_CHOOSING_SHARE = 0.12
"""Of the whole time, after which the choice is made among what was timed."""
_HASTE = 0.3
"""Power of the share of its steps that a size is trained for: a tenth of them halves its fit."""
_OVERHEAD = 6.0
"""Seconds for loading and saving, and for what is written at the end."""
_SHORTEST_TRAINING = 6.0


@dataclass(frozen=True)
class Budget:
    """The time that a command has from its start to its end.

    Attributes:
        minutes: all of it.
        began: when it began, by the clock of `time.monotonic`.
    """

    minutes: float
    began: float

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.began + 60 * self.minutes - time.monotonic()

    def spent(self) -> float:
        """Return the share of it that is over."""
        return 1 - self.left() / (60 * self.minutes)


@dataclass(frozen=True)
class Choice:
    """A model and everything else for a corpus, and why.

    Attributes:
        corpus: what was found.
        model: the model's name.
        why: what its plugin says for it.
        proposed: of the pipeline, what is chosen alone.
        tables: the same with the settings laid over it.
        timing: what it takes here.
        budget: the time there is.
        settings: `--set` settings.
    """

    corpus: SurveyedCorpus
    model: str
    why: str
    proposed: dict[str, Any]
    tables: dict[str, Any]
    timing: Timing
    budget: Budget
    settings: Sequence[str] = ()

    def pipeline(self, name: str, registry: Registry) -> Pipeline:
        """Return the whole pipeline, called so."""
        return _resolved(self.proposed, name, registry, self.settings)

    def limited(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline with as much training as there is time for from now on."""
        if any(setting.startswith("training.minutes") for setting in self.settings):
            return pipeline
        seconds = _training_seconds(self.timing, self.budget, self._valid_steps(pipeline))
        minutes = round(seconds / 60, 2)
        return replace(pipeline, training=replace(pipeline.training, minutes=minutes))

    def _valid_steps(self, pipeline: Pipeline) -> float:
        share = pipeline.corpus.share("valid")
        return share * self.corpus.survey.pieces * self.timing.steps

    def lines(self) -> list[str]:
        """Return what there is to say of it, a few lines."""
        lines = [_music(self.corpus)]
        if self.corpus.others:
            lines.append(_others(self.corpus))
        model = {k: v for k, v in self.tables["model"].items() if k != "type"}
        shown = ", ".join(f"{key} {value}" for key, value in model.items())
        lines.append(f"chosen: {self.model} ({shown}): {self.why}")
        training = self.tables["training"]
        if self.timing.step:
            steps = 60 * training["minutes"] / self.timing.step
            lines.append(
                f"a step takes {self.timing.step:.2g} seconds here, so about {steps:,.0f} in "
                f"{duration(60 * training['minutes'])} of training"
            )
        if self.tables["corpus"]["split"] == "within":
            lines.append(
                f"only {counted(self.corpus.survey.pieces, 'piece')}: the end of each is held out "
                "to measure by, and little can be learned but these"
            )
        return lines

    def record(self, pipeline: Pipeline) -> dict[str, Any]:
        """Return it as JSON values, for the run's folder; the pipeline tells how long it trains."""
        return {
            "minutes": self.budget.minutes,
            "training_minutes": pipeline.training.minutes,
            "said": self.lines(),
            "survey": dataclasses.asdict(self.corpus.survey),
            "timing": dataclasses.asdict(self.timing),
        }


@dataclass(frozen=True)
class Candidate:
    """One size of a model, with the whole pipeline that it makes."""

    model: str
    why: str
    size: SuggestedSize
    tables: dict[str, Any]
    pipeline: Pipeline


def choose(
    corpus: SurveyedCorpus,
    registry: Registry,
    budget: Budget,
    settings: Sequence[str] = (),
    reporter: ProgressReporter = SILENT,
) -> Choice:
    """Choose among what the installed models propose: the fittest that there is time to train.

    Args:
        corpus: as it was surveyed.
        registry: the components.
        budget: the time for everything.
        settings: `--set` settings, laid over what is chosen; `model.type` leaves one model.
        reporter: told how far it is.

    Raises:
        UserError: no model can be trained on this music.
    """
    search = Search(_candidates(corpus, registry, budget, settings))
    files = frozenset(item.id for item in sample_items(_readable(corpus), _TIMED_FILES))
    problems: list[str] = []
    with reporter.bar("timing") as bar:
        while (candidate := search.next()) is not None:
            bar.update(search.share, candidate.model)
            try:
                timing = time_pipeline(candidate.pipeline, registry, files)
            except UserError as error:
                problems.append(f"{candidate.model}: {error.lines[0]}")
                continue
            search.add(candidate, timing, _seconds_for(timing, corpus, budget))
            if search.best is not None and budget.spent() > _CHOOSING_SHARE:
                break
    if search.best is None:
        why = "; ".join(problems) or "no installed model says that it suits"
        raise UserError(f"no model for {corpus.source.text}: {why}", code="no-model")
    return _choice(corpus, *search.best, budget, settings)


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


def _readable(corpus: SurveyedCorpus) -> list[Any]:
    return [item for item, _ in corpus.kind.read]


def _candidates(
    corpus: SurveyedCorpus, registry: Registry, budget: Budget, settings: Sequence[str]
) -> list[Candidate]:
    """Return every size of every model that suits the music."""
    own = toml.SettingsSource(Path("chosen.toml"), "--set", {}, Path.cwd())
    for setting in settings:
        toml.apply(own, setting)
    wanted = own.tables.get("model", {}).get("type")
    found: list[Candidate] = []
    for entry in registry.of_kind("model"):
        config = entry.declaration.config
        if not issubclass(config, ModelConfig) or wanted not in (None, entry.name):
            continue
        suggestion = config.suits(corpus.survey)
        if suggestion is None or entry.missing_requirements():
            continue
        for size in suggestion.sizes:
            tables = _installed(
                merged([Layer("", _base(corpus, budget, registry)), Layer("", size.tables)]).tables,
                registry,
            )
            try:
                pipeline = _resolved(tables, "chosen", registry, settings)
            except UserError as error:
                origin = f"what model {entry.name!r} of {entry.origin} proposes"
                logger.warning(f"{origin} cannot be used: {error.lines[0]}")
                continue
            found.append(Candidate(entry.name, suggestion.why, size, tables, pipeline))
    return found


def _base(corpus: SurveyedCorpus, budget: Budget, registry: Registry) -> dict[str, Any]:
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
            "valid": round(min(0.1, max(_HELD_OUT / max(survey.pieces, 1), 0.001)), 3),
        },
        "training": {"minutes": budget.minutes},
        "generate": {"count": 4},
        "callback": [{"type": entry.name} for entry in callbacks],
    }
    if corpus.others:
        tables["corpus"]["exclude"] = [f"*{end}" for kind in corpus.others for end in kind.suffixes]
    if survey.notes:
        length = f"{min(max(round(seconds), 20), 60)} seconds"
        tables["generate"] |= {"tempo": float(round(survey.tempo)), "length": length}
    return tables


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


def _resolved(
    tables: Mapping[str, Any], name: str, registry: Registry, settings: Sequence[str]
) -> Pipeline:
    copied = {
        key: [dict(item) for item in table] if isinstance(table, list) else dict(table)
        for key, table in tables.items()
    }
    source = toml.SettingsSource(Path(f"{name}.toml"), f"the choice for {name}", copied, Path.cwd())
    for setting in settings:
        toml.apply(source, setting)
    return resolve_pipeline(source, registry, check_sources=check_sources)


def _seconds_for(timing: Timing, corpus: SurveyedCorpus, budget: Budget) -> float:
    """Return the seconds of training that there will be when all music is read."""
    reading = timing.preparing * corpus.survey.files
    return max(_training_seconds(timing, budget, 0.0) - reading, 1.0)


def _training_seconds(timing: Timing, budget: Budget, valid_steps: float) -> float:
    """Return the seconds from now on that can be trained."""
    generation = min(timing.generating, _GENERATION_SHARE * 60 * budget.minutes)
    # The validation part is measured twice more: with the last checkpoint, and at the end.
    reserve = generation + 2 * timing.scoring * valid_steps + _OVERHEAD
    return max(budget.left() - reserve, _SHORTEST_TRAINING)


def _choice(
    corpus: SurveyedCorpus,
    chosen: Candidate,
    timing: Timing,
    budget: Budget,
    settings: Sequence[str],
) -> Choice:
    """Fill in what follows from the timing: threads, how much is held out, how often measured."""
    tables, pieces = chosen.tables, max(corpus.survey.pieces, 1)
    seconds = _training_seconds(timing, budget, 0.0)
    everything = timing.scoring * pieces * timing.steps
    share = float(tables["corpus"]["valid"])
    if everything:
        affordable = _VALIDATION_SHARE * seconds / everything
        least = min(2 / pieces, share) if tables["corpus"]["split"] == "shares" else 0.02
        share = round(min(share, max(affordable, least)), 4)
    one = everything * share
    seconds = max(seconds - 2 * one, _SHORTEST_TRAINING)
    period = max(seconds / _VALIDATIONS, 10 * one, 5.0) / 60
    tables["corpus"]["valid"] = share
    tables["training"] |= {
        "minutes": round(seconds / 60, 2),
        "checkpoint_every": Period(round(period, 2), "minutes").to_toml(),
        "threads": timing.threads,
    }
    if timing.sequence_length != chosen.pipeline.training.sequence_length:
        tables["training"] |= {"sequence_length": timing.sequence_length, "align": 1}
    source = toml.SettingsSource(Path("chosen.toml"), "--set", copy.deepcopy(tables), Path.cwd())
    for setting in settings:
        toml.apply(source, setting)
    return Choice(corpus, chosen.model, chosen.why, tables, source.tables, timing, budget, settings)


def _music(corpus: SurveyedCorpus) -> str:
    survey, kind = corpus.survey, corpus.kind
    endings = " and ".join(kind.suffixes[:2])
    looked = f", {len(kind.read)} looked at" if len(kind.read) < survey.files else ""
    files = f"{counted(survey.files, f'{endings} file')}{looked}"
    if not survey.notes:
        return f"music: {files}: texts of {survey.characters:,} characters"
    hours = survey.seconds / 3600
    long = f"about {hours:.0f} hours" if hours >= 2 else duration(survey.seconds)
    about = f"{counted(survey.pieces, 'piece')}, {long} of music"
    kept = f"on the beat, steps of {survey.step}" if survey.on_beat else "off the beat"
    what = "drums" if survey.only_drums else f"{survey.polyphony:.1f} notes at once"
    if not survey.only_drums and survey.single_lines > 0.8:
        what = "single lines"
    return f"music: {files}; {about}: {what}, {kept}"


def _others(corpus: SurveyedCorpus) -> str:
    named = ", ".join(
        counted(len(kind.items), f"{' and '.join(kind.suffixes)} file") for kind in corpus.others
    )
    return f"left aside for holding less music: {named}; named alone they are learned from"
