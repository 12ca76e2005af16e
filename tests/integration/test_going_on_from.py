"""A run that goes on from a trained model: what it takes over, what it refuses, what is frozen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers import no_model_but, refused
from musengine.testing import (
    CommandResult,
    SitePackages,
    load_checkpoint,
    run_command,
    score_of,
    write_midi,
)

pytest.importorskip("torch")
pytest.importorskip("musengine_lstm3")
from musengine.interfaces.training import Origin
from musengine.plugins import manager
from musengine.plugins.suggestions import CorpusSurvey
from musengine.runs.choice.nearest import nearest_model
from musengine.runs.run import Run

PIPELINE = """
[corpus]
path = "first"
[encoder]
step = "1 beat"
lowest = 30
highest = 89
[model]
type = "lstm3"
layers = [8, 8]
[training]
steps = 2
batch_size = 8
sequence_length = 8
learning_rate = 0.02
threads = 1
[generate]
count = 1
length = "4 beats"
prompt = "none"
"""
PLUGIN = """
from musengine.api import TrainedDeclaration, hookimpl

@hookimpl
def musengine_trained():
    return [TrainedDeclaration(name="tiny", summary="", target="musengine_tiny:tiny",
        licence="MIT", size=1000, trained_on="noise")]
"""
QUICK = ("--minutes", "0.2", "-q", "--set", "report.enabled=false", "--set", "training.threads=1")

Command = Callable[..., CommandResult]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a small trained run in `runs/base`, and music."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("first", "mine"):
            (folder / name).mkdir()
            for number in range(5):
                notes = [(beat, 1, 50 + (beat * (number + 3)) % 17) for beat in range(40)]
                write_midi(score_of(notes, ticks_per_beat=1), folder / name / f"{number}.mid")
        (folder / "base.toml").write_text(PIPELINE)
        assert run_command("train", "base.toml", "-q").status == 0
    return folder


@pytest.fixture
def folder(kept: Path, workplace: Path) -> Path:
    for name in ("first", "mine", "runs"):
        shutil.copytree(kept / name, workplace / name)
    (workplace / "base.toml").write_text(PIPELINE)
    return workplace


def begun(steps: int, *arguments: str) -> Run:
    result = run_command(
        "train",
        "mine",
        "--run-dir",
        "own",
        *QUICK,
        *arguments,
        settings=[f"training.steps={steps}"],
    )
    assert result == (0, "", "")
    return Run(Path("own"))


@pytest.fixture
def installed(folder: Path, site_packages: SitePackages) -> Iterator[Path]:
    """The model `tiny`, of the run `base`, in a package."""
    package = site_packages.folder / "musengine_tiny"
    Run(folder / "runs" / "base").pack(package / "tiny", name="tiny")
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    site_packages.add("musengine-tiny", {"tiny": "musengine_tiny.plugin"})
    with no_model_but("tiny"):
        yield package / "tiny"


def test_it_has_the_model_and_the_encoder_and_begins_with_the_weights(folder: Path) -> None:
    own, base = begun(0, "--from", "base"), Run(folder / "runs" / "base")
    taken, first = own.pipeline(), base.pipeline()
    assert taken.encoder == first.encoder
    assert taken.model == first.model
    assert taken.training.sequence_length == 8
    assert taken.training.learning_rate == 0.005
    assert taken.training.init_from == Origin(base.path.resolve())
    assert [each.name for each in taken.callbacks] == ["console", "early-stopping"]
    weights = load_checkpoint(base.path).model
    for name, weight in load_checkpoint(own.path).model.items():
        assert weight.equal(weights[name]), name


def test_it_learns_and_the_same_command_goes_on(folder: Path) -> None:
    begun(2, "--from", "base")
    before = load_checkpoint(Path("own"))
    begun(3, "--from", "base")
    after = load_checkpoint(Path("own"))
    assert before.meta["state"]["step"] == 2
    assert after.meta["state"]["step"] == 3
    assert any(not after.model[name].equal(each) for name, each in before.model.items())


def test_a_trained_model_is_named_and_not_its_folder(installed: Path) -> None:
    own = begun(0, "--from", "tiny")
    assert 'init_from = "tiny"' in (own.path / "pipeline.toml").read_text()
    weights = load_checkpoint(installed).model
    for name, weight in load_checkpoint(own.path).model.items():
        assert weight.equal(weights[name].float()), name


def test_a_run_that_began_otherwise_is_not_gone_on_with(folder: Path, installed: Path) -> None:
    begun(0, "--from", "base")
    result = run_command("train", "mine", "--run-dir", "own", "--from", "tiny", *QUICK)
    assert result.status == 1
    assert "own was not begun with --from tiny" in result.err


def test_a_pipeline_file_goes_on_from_a_model_too(installed: Path, musengine: Command) -> None:
    command = ("train", "base.toml", "--run-dir", "own", "-q")
    assert musengine(*command, "--from", "tiny", "--set", "training.steps=0").status == 0
    assert Run(Path("own")).pipeline().training.init_from == Origin("tiny")


def test_check_finds_a_model_that_is_not_installed(installed: Path, musengine: Command) -> None:
    assert musengine("check", "base.toml", "--set", "training.init_from=tiny").status == 0
    result = musengine("check", "base.toml", "--set", "training.init_from=tinny")
    assert result.status == 1
    assert "did you mean 'tiny'?" in result.err


def test_what_learns_all_at_once_does_not_go_on(folder: Path, musengine: Command) -> None:
    counted = PIPELINE.replace('"lstm3"\nlayers = [8, 8]', '"frequencies"')
    (folder / "counted.toml").write_text(counted)
    assert musengine("train", "counted.toml", "-q").status == 0
    result = musengine("train", "mine", "--run-dir", "own", "--from", "counted", *QUICK)
    assert result.status == 1
    assert "model 'frequencies' learns all at once" in result.err


def test_frozen_weights_stay_as_they_are(folder: Path) -> None:
    names = list(load_checkpoint(folder / "runs" / "base").model)
    frozen = [name for name in names if name.startswith(names[0].split(".")[0])]
    pattern = names[0].split(".")[0] + ".*"
    before = load_checkpoint(folder / "runs" / "base").model
    begun(2, "--from", "base", "--set", f"training.frozen={json.dumps(pattern)}")
    after = load_checkpoint(Path("own")).model
    changed = {name for name in names if not after[name].equal(before[name])}
    assert changed
    assert frozen
    assert not changed & set(frozen)


def test_a_pattern_that_freezes_nothing_and_one_that_freezes_all(folder: Path) -> None:
    for pattern, code in (("layer", "pattern-unused"), ("*", "settings-conflict")):
        from musengine.runs.pipelines import load_pipeline
        from musengine.runs.run import run_pipeline

        with refused(code, "training.frozen"):
            changes = [f"training.frozen={json.dumps(pattern)}"]
            run_pipeline(load_pipeline("base.toml", changes), "own")


def survey(*, notes: int = 800, pieces: int = 5, on_beat: bool = True) -> CorpusSurvey:
    return CorpusSurvey(files=5, pieces=pieces, notes=notes, beats=200.0, on_beat=on_beat)


class TestOffered:
    def test_where_there_are_few_pieces_like_those_it_learned_from(self, installed: Path) -> None:
        registry = manager.load_registry()
        middle = json.loads((installed / "corpus.json").read_text())["range"]["notes_per_beat"]
        near = survey(notes=round(200 * middle["middle"]))
        found = nearest_model(near, registry)
        assert found is not None
        assert found.name == "tiny"
        assert nearest_model(survey(notes=20_000), registry) is None
        assert nearest_model(survey(notes=near.notes, pieces=5000), registry) is None
        assert nearest_model(survey(notes=near.notes, on_beat=False), registry) is None

    def test_a_damaged_model_is_not_offered(self, installed: Path) -> None:
        (installed / "corpus.json").write_text('{"range": {"notes_per_beat": {"low": "x"}}}')
        assert nearest_model(survey(), manager.load_registry()) is None

    def test_in_a_line(self, installed: Path, musengine: Command) -> None:
        settings = ("model.type=lstm3", "training.steps=0", "report.enabled=false")
        command = ("train", "mine", "--run-dir", "own", "--minutes", "0.2")
        assert "few pieces: --from tiny goes on from" in musengine(*command, settings=settings).err
