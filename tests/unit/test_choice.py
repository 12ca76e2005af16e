"""How a model is chosen for music: by its own word, by what there is time for, for good."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomli

from helpers import refused
from musengine.builtin.configs import FrequenciesConfig
from musengine.cli import starter
from musengine.data.survey import survey_corpus
from musengine.pipeline.sections import GenerateConfig
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.declarations import ModelDeclaration
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.plugins.suggestions import CorpusSurvey, SuggestedSize, Suggestion
from musengine.runs.choice import timing
from musengine.runs.choice.budget import Budget
from musengine.runs.choice.candidates import Candidate, Search, candidates_for
from musengine.runs.choice.choice import Choice, choose
from musengine.runs.choice.music import begin_or_go_on
from musengine.runs.choice.timing import Timing
from musengine.testing import score_of, write_midi
from musengine.utils.progress import SILENT

TIMING = Timing(
    sequence_length=None,
    threads=1,
    step=0.0,
    scoring=0.0,
    generating=0.0,
    preparing=0.0,
    steps=64.0,
)

STEP = {("big", 0.8): 1.0, ("big", 0.6): 0.5, ("small", 0.5): 0.1, ("tiny", 0.3): 0.1}
"""Seconds of a step, by model and fit."""


@dataclass(frozen=True, kw_only=True)
class CountsConfig(FrequenciesConfig):
    """A model that suits lines; it counts, so that nothing is trained by steps."""

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        if not survey.single_lines:
            return None
        tables = {
            "encoder": {"type": "piano-roll", "step": survey.step},
            "model": {"type": "counts"},
            "training": {"batching": "pieces"},
            "sampler": [{"type": "bernoulli"}, {"type": "not-installed"}],
            "generate": {"length": "16 steps", "prompt_length": "4 steps"},
        }
        return Suggestion(why="it counts", sizes=(SuggestedSize(tables=tables, fit=0.4, steps=1),))


@dataclass(frozen=True, kw_only=True)
class OtherConfig(CountsConfig):
    """One that says that it suits better."""

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        suggestion = CountsConfig.suits(survey)
        assert suggestion is not None
        (size,) = suggestion.sizes
        tables = {**size.tables, "model": {"type": "other", "given": "pitch"}}
        return replace(suggestion, sizes=(replace(size, tables=tables, fit=0.6),))


def registry(*more: tuple[str, type[FrequenciesConfig]]) -> Registry:
    loaded = manager.load_from([]).registry
    for name, config in (("counts", CountsConfig), *more):
        declaration = ModelDeclaration(
            name=name,
            summary="Counts notes",
            target="musengine.builtin.models.frequencies:Frequencies",
            config=config,
            layouts=("grid",),
            training="fit",
        )
        loaded.add(RegistryEntry(declaration, Distribution("a-stranger", "1.0")))
    return loaded


def write_lines(folder: Path, count: int) -> Path:
    for number in range(count):
        notes = [(2 * i, 2, 60 + (i * (number + 2)) % 12) for i in range(32)]
        write_midi(score_of(notes), folder / f"{number}.mid")
    return folder


def chosen(folder: Path, models: Registry, settings: tuple[str, ...] = ()) -> Choice:
    corpus = survey_corpus(Source(str(folder)), models)
    return choose(corpus, models, Budget(1.0, time.monotonic()), settings)


@pytest.fixture
def folder(workplace: Path) -> Path:
    return write_lines(workplace / "lines", 5)


class TestChoosing:
    def test_a_strangers_model_takes_part(self, folder: Path) -> None:
        assert chosen(folder, registry()).model == "counts"
        found = chosen(folder, registry(("other", OtherConfig)))
        assert (found.model, found.why) == ("other", "it counts")
        assert found.tables["model"] == {"type": "other", "given": "pitch"}
        # A sampler that is not installed is left out, and the music's own step is kept.
        assert found.tables["sampler"] == [{"type": "bernoulli"}]
        assert found.tables["encoder"]["step"] == "1/2 beat"
        assert [each["type"] for each in found.tables["callback"]] == ["console", "early-stopping"]

    @pytest.mark.parametrize(
        ("pieces", "share"), [(5, 0.2), (25, 0.16), (40, 0.1), (300, 0.1), (400, 0.075)]
    )
    def test_some_pieces_are_held_out_of_few_and_of_many(
        self, folder: Path, pieces: int, share: float
    ) -> None:
        corpus = survey_corpus(Source(str(folder)), registry())
        survey = replace(corpus.survey, pieces=pieces)
        (found,) = candidates_for(replace(corpus, survey=survey), registry(), 1.0, ())
        assert found.tables["corpus"]["valid"] == share

    def test_a_model_that_is_named_is_the_only_one_asked(self, folder: Path) -> None:
        models = registry(("other", OtherConfig))
        found = chosen(folder, models, ("model.type=counts", "generate.count=2"))
        assert (found.model, found.tables["generate"]["count"]) == ("counts", 2)

    def test_no_model_that_suits(self, folder: Path) -> None:
        chords = folder / "chords"
        write_midi(score_of([(0, 8, 60), (0, 8, 64)]), chords / "a.mid")
        with refused("no-model", chords):
            chosen(chords, registry())

    def test_a_proposal_that_cannot_be_used_is_left_out(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Wrong(CountsConfig):
            @classmethod
            def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
                tables = {"model": {"type": "wrong", "sizes": 3}}
                return Suggestion(why="", sizes=(SuggestedSize(tables=tables, fit=1.0, steps=1),))

        assert chosen(folder, registry(("wrong", Wrong))).model == "counts"
        assert "a-stranger" in caplog.text

    def test_a_plugins_fault_is_told_and_keeps_no_other_from_being_asked(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Raises(CountsConfig):
            @classmethod
            def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
                raise ZeroDivisionError("by what")

        assert chosen(folder, registry(("raises", Raises))).model == "counts"
        assert "ZeroDivisionError: by what" in caplog.text

    def test_a_mistake_in_a_setting_is_the_users(self, folder: Path) -> None:
        with refused("unknown-key", "--set", "stps"):
            chosen(folder, registry(), ("training.stps=5",))
        with refused("unknown-component", "cuonts", "counts"):
            chosen(folder, registry(), ("model.type=cuonts",))

    def test_few_pieces_are_split_within(self, workplace: Path) -> None:
        found = chosen(write_lines(workplace / "few", 3), registry())
        assert found.tables["corpus"]["split"] == "within"
        assert sum("3 pieces" in line for line in found.lines()) == 2

    def test_only_one_kind_of_files_is_taken(self, folder: Path) -> None:
        (folder / "roll.json").write_text(json.dumps({"train": [[[60], [62]]]}))
        # No reader of scores would read it, so that it need not be excluded.
        (folder / "read me.txt").write_text("songs of my youth")
        found = chosen(folder, registry())
        assert found.tables["corpus"]["exclude"] == ["*.json"]
        assert any("1 .json file" in line for line in found.lines())


class TestSearch:
    """Sizes and seconds of a step by hand; there are 100 seconds to train."""

    def search(self, *sizes: tuple[str, float, int]) -> tuple[Any, list[tuple[str, float]]]:
        """Return the model and fit of the best of some sizes, and what was timed for it."""
        candidates = [candidate(name, fit, steps) for name, fit, steps in sizes]
        search, timed = Search(candidates), []
        while (each := search.next()) is not None:
            key = (each.model, each.size.fit)
            timed.append(key)
            search.add(each, replace(TIMING, step=STEP[key]), seconds=100.0)
        assert search.best is not None
        return (search.best[0].model, search.best[0].size.fit), timed

    def test_the_fittest_that_there_is_time_for(self) -> None:
        best, timed = self.search(("big", 0.8, 100), ("big", 0.6, 50), ("small", 0.5, 100))
        # The smaller size first, then the larger, whose 100 steps of a second just fit.
        assert best == ("big", 0.8)
        assert timed == [("big", 0.6), ("big", 0.8)]

    def test_too_few_steps_make_it_less_fit(self) -> None:
        # A hundredth of the steps: 0.8 * 0.01 ** 0.3 = 0.2; and of the smaller size 0.15.
        sizes = (("big", 0.8, 20_000), ("big", 0.6, 20_000), ("small", 0.5, 100))
        best, timed = self.search(*sizes, ("tiny", 0.3, 1))
        assert best == ("small", 0.5)
        assert timed == [("big", 0.8), ("small", 0.5)]


def candidate(name: str, fit: float, steps: int) -> Any:
    size: Any = SuggestedSize(tables={}, fit=fit, steps=steps)
    nothing: Any = None
    return Candidate(name, "", size, {}, nothing)


class TestBudget:
    def test_training_has_what_is_left(self, folder: Path) -> None:
        models = registry()
        corpus = survey_corpus(Source(str(folder)), models)
        choice = choose(corpus, models, Budget(10.0, time.monotonic() - 300), ())
        limited = choice.limited(choice.pipeline("lines", models))
        # Five minutes are over, seconds are kept for what follows.
        assert limited.training.minutes == pytest.approx(5 - 6 / 60, abs=0.2)

    def test_minutes_of_training_that_are_named_stay(self, folder: Path) -> None:
        found = chosen(folder, registry(), ("training.minutes=0.5",))
        pipeline = found.limited(found.pipeline("lines", registry()))
        assert pipeline.training.minutes == 0.5

    @pytest.mark.slow
    def test_of_more_files_than_can_be_read_a_sample_is(
        self, workplace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # 60 files of half a second each; a quarter of a minute is for reading.
        monkeypatch.setattr(
            "musengine.runs.choice.choice.time_pipeline", lambda *_: replace(TIMING, preparing=0.5)
        )
        folder = write_lines(workplace / "many", 60)
        found = chosen(folder, registry())
        assert found.files is not None
        assert len(found.files) == 30
        assert any("30 of 60 files" in line for line in found.lines())
        session = begin_or_go_on(
            Source(str(folder)), registry(), minutes=1.0, default=1.0, began=time.monotonic()
        )
        session.work()
        assert session.dataset is not None
        assert (len(session.dataset.files), len(session.dataset.later)) == (30, 30)


class TestRuns:
    def work(self, folder: Path, models: Registry, **options: Any) -> Any:
        session = begin_or_go_on(
            Source(str(folder)),
            models,
            minutes=options.pop("minutes", None),
            default=1.0,
            began=time.monotonic(),
            **options,
        )
        session.work()
        return session

    def test_a_choice_is_kept_and_new_files_are_told(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = self.work(folder, registry()).run
        assert run.path == Path("runs/lines")
        kept = tomli.loads(run.pipeline_file.read_text())
        assert kept["model"]["type"] == "counts"
        assert json.loads((run.path / "choice.json").read_text())["survey"]["pieces"] == 5
        assert len(list(run.samples.glob("*.mid"))) == 4
        write_midi(score_of([(0, 4, 60), (4, 4, 62)]), folder / "later.mid")
        caplog.set_level("INFO")
        # A better model and another file do not change what was begun; it is trained on.
        again = self.work(folder, registry(("other", OtherConfig)))
        assert again.pipeline.model.name == "counts"
        (run.path / "state.json").unlink()
        for path in run.checkpoint_paths():
            path.unlink()
        again = self.work(folder, registry(("other", OtherConfig)))
        assert again.dataset.later == ["later.mid"]
        assert "later.mid" in caplog.text
        new = self.work(folder, registry(("other", OtherConfig)), new=True)
        assert (new.run.path, new.pipeline.model.name) == (Path("runs/lines-2"), "other")
        assert new.dataset.later == []

    @pytest.mark.skipif(sys.platform == "win32", reason="links want a right there")
    def test_a_run_on_a_folder_behind_a_link_is_gone_on_with(self, folder: Path) -> None:
        (folder.parent / "tunes").symlink_to(folder)
        first = self.work(folder.parent / "tunes", registry())
        assert first.run.path == Path("runs/tunes")
        assert self.work(folder.parent / "tunes", registry()).run.path == first.run.path

    def test_a_run_of_other_music_is_left_alone(self, folder: Path) -> None:
        self.work(folder, registry())
        other = write_lines(folder.parent / "elsewhere" / "lines", 2)
        with refused("run-of-other-music", "lines"):
            self.work(other, registry())

    def test_more_minutes_train_on(self, folder: Path) -> None:
        first = self.work(folder, registry(), minutes=1.0)
        again = self.work(folder, registry(), minutes=3.0)
        more = again.pipeline.training.minutes - first.pipeline.training.minutes
        assert more == pytest.approx(2)
        same = self.work(folder, registry(), minutes=3.0)
        assert same.pipeline.training.minutes == again.pipeline.training.minutes
        less = self.work(folder, registry(), minutes=0.5)
        assert less.pipeline.training.minutes == first.pipeline.training.minutes


def test_a_starter_says_what_every_key_does(folder: Path) -> None:
    out = folder.parent / "mine.toml"
    starter.start(registry(), "lines", out, 2.0, time.monotonic(), SILENT)
    text = out.read_text()
    tables = tomli.loads(text)
    assert tables["corpus"]["path"] == "lines"
    assert tables["model"] == {"type": "counts"}
    lines = text.splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line and line[0] != "#"]
    assert [lines[number] for number in keys if lines[number - 1][:1] != "#"] == []


@pytest.mark.parametrize(("tuning_steps", "pieces"), [(100, 32), (0, 3)])
def test_tuning_is_timed_with_as_many_pieces_as_it_draws(
    tuning_steps: int, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((10.0, 10.0 + pieces))

    def made(model: Any, encoder: Any, samplers: Any, plan: Any, **others: Any) -> list[Any]:
        return [SimpleNamespace(steps=np.zeros(4)) for _ in plan.prompts]

    monkeypatch.setattr(timing.engine, "generate", made)
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(clock))
    sampler = SimpleNamespace(tuning_steps=tuning_steps, tuning_pieces=32)
    pipeline = SimpleNamespace(
        generate=GenerateConfig(count=3),
        samplers=[SimpleNamespace(create=lambda layout: sampler)],
        model_declaration=SimpleNamespace(generation="steps"),
    )
    encoder: Any = SimpleNamespace(empty=lambda: np.zeros(0), layout=None)
    task: Any = SimpleNamespace(model=None, device=None)
    found = timing._generating(pipeline, task, encoder)  # type: ignore[arg-type]
    # A second for each piece: four steps of a short stretch.
    assert found == pytest.approx(pieces / timing._SHARE + pieces / 4 * tuning_steps)
