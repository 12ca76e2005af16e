"""What is made of a folder of music without a word from its owner: model, size, grid, split."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.config import toml
from musengine.config.quantities import Period
from musengine.data.survey import SurveyedCorpus, sample_items
from musengine.errors import MachineError, UserError
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.registry import Registry
from musengine.runs.choice.budget import SHORTEST_TRAINING, Budget
from musengine.runs.choice.candidates import (
    FEWEST_HELD_OUT,
    Candidate,
    Search,
    Start,
    candidate_from,
    candidates_for,
    resolved,
)
from musengine.runs.choice.timing import Timing, time_pipeline
from musengine.utils.format import counted, duration
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)

_TIMED_FILES = 8
_VALIDATIONS = 12
_VALIDATION_SHARE = 0.015
"""Of the training time, that one validation may take."""
_CHOOSING_SHARE = 0.12
"""Of the whole time, after which the choice is made among what was timed."""
_READING_SHARE = 0.25
"""Of the whole time, that reading may take; of more music a sample is read."""
_FEWEST_FILES = 20


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
        files: ids of those there is time to read; None for all.
        settings: `--set` settings.
    """

    corpus: SurveyedCorpus
    model: str
    why: str
    proposed: dict[str, Any]
    tables: dict[str, Any]
    timing: Timing
    budget: Budget
    files: frozenset[str] | None = None
    settings: Sequence[str] = ()

    def pipeline(self, name: str, registry: Registry) -> Pipeline:
        """Return the whole pipeline, called so."""
        return resolved(self.proposed, name, registry, self.settings)

    def limited(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline with as much training as there is time for from now on."""
        if any(setting.startswith("training.minutes") for setting in self.settings):
            return pipeline
        # The validation part is measured twice more: with the last checkpoint, and at the end.
        measuring = 2 * self.timing.scoring * self._valid_steps(pipeline)
        return self.budget.limited(pipeline, self.timing.generating, measuring)

    def _valid_steps(self, pipeline: Pipeline) -> float:
        pieces = _pieces(self.corpus, self.files)
        return pipeline.corpus.share("valid") * pieces * self.timing.steps

    def lines(self) -> list[str]:
        """Return what there is to say of it, a few lines."""
        lines = [_music(self.corpus)]
        if self.corpus.others:
            lines.append(_others(self.corpus))
        if self.files is not None:
            read = f"{len(self.files):,} of {self.corpus.survey.files:,} files"
            lines.append(f"{read} are read, for which there is time; more minutes read more")
        model = {k: v for k, v in self.tables["model"].items() if k != "type"}
        shown = ", ".join(f"{key} {value}" for key, value in model.items())
        training = self.tables["training"]
        # What is gone on from has every key written out.
        sized = f" ({shown})" if "init_from" not in training else ""
        lines.append(f"chosen: {self.model}{sized}: {self.why}")
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
            **self.budget.record(pipeline),
            "said": self.lines(),
            "survey": dataclasses.asdict(self.corpus.survey),
            "timing": dataclasses.asdict(self.timing),
        }


def choose(
    corpus: SurveyedCorpus,
    registry: Registry,
    budget: Budget,
    settings: Sequence[str] = (),
    reporter: ProgressReporter = SILENT,
    start: Start | None = None,
) -> Choice:
    """Choose among what the installed models propose: the fittest that there is time to train.

    Args:
        corpus: as it was surveyed.
        registry: the components.
        budget: the time for everything.
        settings: `--set` settings, laid over what is chosen; `model.type` leaves one model.
        reporter: receives the progress.
        start: the model that is gone on from, if one is; then it is the only one.

    Raises:
        UserError: no model can be trained on this music.
    """
    if start is None:
        search = Search(candidates_for(corpus, registry, budget.minutes, settings))
    else:
        search = Search([candidate_from(start, corpus, registry, settings)])
    files = frozenset(item.id for item in sample_items(_readable(corpus), _TIMED_FILES))
    problems: list[str] = []
    with reporter.bar("timing") as bar:
        while (candidate := search.next()) is not None:
            bar.update(search.share, candidate.model)
            try:
                timing = time_pipeline(candidate.pipeline, registry, files)
            except MachineError:
                raise
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


def _readable(corpus: SurveyedCorpus) -> list[Any]:
    return [item for item, _ in corpus.kind.read]


def _seconds_for(timing: Timing, corpus: SurveyedCorpus, budget: Budget) -> float:
    """Return the seconds of training that there will be when all music is read."""
    files = _readable_files(timing, corpus, budget)
    reading = timing.preparing * (corpus.survey.files if files is None else len(files))
    return max(budget.training_seconds(timing.generating, 0.0) - reading, 1.0)


def _readable_files(
    timing: Timing, corpus: SurveyedCorpus, budget: Budget
) -> frozenset[str] | None:
    """Return the ids of as many files as there is time to read; None for all."""
    number = _READING_SHARE * 60 * budget.minutes / max(timing.preparing, 1e-6)
    if number >= corpus.survey.files or corpus.survey.files <= _FEWEST_FILES:
        return None
    chosen = sample_items(corpus.kind.items, max(round(number), _FEWEST_FILES))
    return frozenset(item.id for item in chosen)


def _pieces(corpus: SurveyedCorpus, files: frozenset[str] | None) -> float:
    """Return how many pieces some files hold, at least one."""
    survey = corpus.survey
    share = 1.0 if files is None else len(files) / survey.files
    return max(share * survey.pieces, 1.0)


def _choice(
    corpus: SurveyedCorpus,
    chosen: Candidate,
    timing: Timing,
    budget: Budget,
    settings: Sequence[str],
) -> Choice:
    """Fill in what follows from the timing: threads, how much is held out, how often measured."""
    files = _readable_files(timing, corpus, budget)
    tables, pieces = chosen.tables, _pieces(corpus, files)
    seconds = budget.training_seconds(timing.generating, 0.0)
    everything = timing.scoring * pieces * timing.steps
    share = float(tables["corpus"]["valid"])
    if everything:
        affordable = _VALIDATION_SHARE * seconds / everything
        # At least this much is held out however slow the model is: figures of fewer pieces say
        # nothing.
        least = (
            min(FEWEST_HELD_OUT / pieces, share) if tables["corpus"]["split"] == "shares" else 0.02
        )
        share = round(min(share, max(affordable, least)), 4)
    one = everything * share
    # The validation part is measured twice outside the training: last checkpoint, and at the end.
    seconds = max(seconds - 2 * one, SHORTEST_TRAINING)
    # Never so often that validating takes more than a tenth of the time.
    period = max(seconds / _VALIDATIONS, 10 * one, 5.0) / 60
    tables["corpus"]["valid"] = share
    tables["training"] |= {
        "minutes": round(seconds / 60, 2),
        "checkpoint_every": Period(round(period, 2), "minutes").to_toml(),
        "threads": timing.threads,
    }
    if timing.sequence_length != chosen.pipeline.training.sequence_length:
        tables["training"] |= {"sequence_length": timing.sequence_length, "align": 1}
    # A copy, since settings are laid over it in place and `proposed` must stay without them.
    source = toml.SettingsSource(Path("chosen.toml"), "--set", copy.deepcopy(tables), Path.cwd())
    for setting in settings:
        toml.apply(source, setting)
    return Choice(
        corpus=corpus,
        model=chosen.model,
        why=chosen.why,
        proposed=tables,
        tables=source.tables,
        timing=timing,
        budget=budget,
        files=files,
        settings=settings,
    )


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
