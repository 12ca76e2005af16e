"""The wording of problems, all of it in one snapshot; other tests look at codes and places.

Where a sentence was changed on purpose, `MUSENGINE_UPDATE_SNAPSHOTS=1 pytest
tests/unit/test_wording.py` writes the snapshot anew, and its difference is reviewed like code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.cli import templates
from musengine.config import toml
from musengine.config.fields import build_config
from musengine.data.discovery import DiscoveryNotes, check_sources, find_items
from musengine.data.filters import Patterns, check_folders, check_used, rules_of
from musengine.data.storage.cache import size_limit
from musengine.encoding.pianoroll import MAX_GRID_STEPS
from musengine.errors import UserError
from musengine.interfaces.reader import Item
from musengine.interfaces.training import TrainingConfig
from musengine.music.piece import Text
from musengine.pipeline.resolve import load_pipeline
from musengine.pipeline.sections import CorpusConfig
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.declarations import ModelDeclaration, Requirement
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.runs.changes import refuse_changes
from musengine.runs.folder import RunFolder, newest_run
from musengine.testing import score_of
from musengine.training import checkpoint
from musengine.training.device import choose_device, memory_explained
from musengine.utils.files import explained, read_json

SNAPSHOT = Path(__file__).resolve().parents[1] / "snapshots" / "wording.json"
PIPELINE = '[corpus]\npath = "tunes"\n[model]\ntype = "frequencies"\n'

PIPELINES = {
    "unknown table": PIPELINE + "[trainning]\nsteps = 1",
    "unknown key": PIPELINE + "[training]\nstep = 1",
    "former table": PIPELINE + '[[callbacks]]\ntype = "console"',
    "former key": PIPELINE + '[training]\nfeed = "pieces"',
    "former metrics": PIPELINE + '[evaluate]\nmetrics = ["nll"]',
    "missing key": '[model]\ntype = "frequencies"',
    "missing type": PIPELINE + "[[output]]\n",
    "no table": PIPELINE.replace("[corpus]", "training = 5\n[corpus]"),
    "no list of tables": "output = [5]\n" + PIPELINE,
    "wrong type": PIPELINE + '[training]\nsteps = "many"',
    "no such choice": PIPELINE + 'given = "lost"',
    "out of range": PIPELINE + "[training]\nseed = -1",
    "unknown unit": PIPELINE + '[generate]\nlength = "64 barz"',
    "no length": PIPELINE + '[generate]\nlength = "0 bars"',
    "no meter": PIPELINE + '[generate]\nmeter = "3/5"',
    "unknown instrument": PIPELINE + '[generate]\ninstrument = "vilin"',
    "no step": PIPELINE + '[encoder]\nstep = "fast"',
    "conflict of settings": PIPELINE.replace("[model]", "valid = 0.5\ntest = 0.5\n[model]"),
    "empty path": PIPELINE.replace('"tunes"', "[]"),
    "no transposition": PIPELINE.replace("[model]", 'transpose = "up"\n[model]'),
    "no device": PIPELINE + '[training]\ndevice = "gpu"',
    "unknown component": PIPELINE + '[[output]]\ntype = "midy"',
    "no component": PIPELINE.replace("[model]", "reader = 5\n[model]"),
    "unknown preset": PIPELINE + 'preset = "x"',
    "sampler for another layout": PIPELINE + '[[sampler]]\ntype = "categorical"',
    "no sampler": "sampler = []\n" + PIPELINE,
    "writer of something else": PIPELINE + '[[output]]\ntype = "text"',
    "prompt of text": PIPELINE + '[generate]\nprompt_text = "X:1"',
    "state that is not kept": PIPELINE + '[training]\nbatching = "stateful"',
    "key of another optimizer": PIPELINE + "[training]\nmomentum = 0.9",
    "length to fill": PIPELINE + '[training]\nbatching = "pieces"\nfill = "repeat"',
    "metric twice": PIPELINE + '[[metric]]\ntype = "nll"\n[[metric]]\ntype = "nll"',
    "path that is not there": PIPELINE.replace("tunes", "tuns"),
    "corpus that nothing reads": PIPELINE.replace("tunes", "sonatas:all"),
    "not TOML": "[corpus]\npath = tunes\n",
    "too deep": "x = " + "[" * 5000,
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The core's components alone."""
    return manager.load_from([]).registry


def declared(name: str, **more: Any) -> ModelDeclaration:
    """A model of a plugin that cannot be imported."""
    return ModelDeclaration(
        name=name, summary="", target="no_such_module:Parrot", layouts=("tokens",), **more
    )


def _without_step(path: Path) -> None:
    run = RunFolder(path)
    run.checkpoints.mkdir(parents=True)
    for step in (500, 1000):
        (run.checkpoints / f"step-{step:09}_epoch-0001.safetensors").touch()
    run.checkpoint_for(700)


def _batches(device: torch.device) -> None:
    with memory_explained(TrainingConfig(), device):
        raise MemoryError


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _held(folder: Path) -> None:
    run = RunFolder(folder / "run")
    with run.held(), run.held():
        pass


def _changed(folder: Path, registry: Registry) -> None:
    path = folder / "pipe.toml"
    path.write_text(PIPELINE)
    stored = load_pipeline(path, registry).tables()
    refuse_changes(folder / "run", stored, load_pipeline(path, registry, ["encoder.highest=80"]))


def _other_model(folder: Path) -> None:
    weights = {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}
    checkpoint.load_weights(torch.nn.Linear(2, 4), weights, folder / "x.safetensors")


def _full(path: Path) -> None:
    with explained(path):
        raise OSError(28, "No space left on device")


def _long_piece() -> None:
    PianoRoll(PianoRollConfig()).encode(score_of([(MAX_GRID_STEPS * 2, 1, 60)]))


def _calls(folder: Path, registry: Registry) -> dict[str, Callable[[], object]]:
    """What provokes each problem outside a pipeline's tables."""
    here = Source(str(folder / "a.tune"))
    (folder / "a.tune").touch()
    (folder / "full").mkdir()
    (folder / "full" / "letter.txt").touch()
    entries = Registry()
    distribution = Distribution("parrot-plugin", "1.0")
    entries.add(RegistryEntry(declared("parrot"), distribution))
    harp = Requirement(module="no_such_module", install="pip install harp")
    entries.add(RegistryEntry(declared("harpist", requires=(harp,)), distribution))
    for owner in ("a", "b"):
        entries.add(RegistryEntry(declared("twin"), Distribution(owner, "1.0")))
    source = toml.SettingsSource(folder / "x.toml", "x.toml", {"output": []}, folder)
    corpus = {"path": "x", "split": str(folder / "list.json")}
    item = Item(_bytes(folder / "latin.txt", b"one\nna\xefve"), "latin.txt")
    empty = Item(_bytes(folder / "empty.txt", b""), "empty.txt")
    return {
        "pipeline that is not there": lambda: toml.read(folder / "none.toml"),
        "pipeline that is a folder": lambda: toml.read(folder),
        "pipeline in another encoding": lambda: toml.read(_bytes(folder / "l.toml", b"\xff")),
        "assignment without a value": lambda: toml.apply(source, "training.steps"),
        "assignment to a whole entry": lambda: toml.apply(source, "output.0=5"),
        "assignment beyond a list": lambda: toml.apply(source, "output.7.type=midi"),
        "assignment of no TOML": lambda: toml.apply(source, "training.steps=[1"),
        "file without a reader": lambda: list(find_items(here, registry, None, DiscoveryNotes())),
        "pattern that stands for nothing": lambda: check_used(
            "styles", Patterns(["jaz"]), [], ["jazz", "rock"]
        ),
        "list of parts that is not there": lambda: rules_of(build_config(CorpusConfig, corpus)),
        "no folders of parts": lambda: check_folders([Item(folder / "a.mid", "a.mid")]),
        "library missing": lambda: entries.get("model", "harpist").load(),
        "broken component": lambda: entries.get("model", "parrot").load(),
        "contested component": lambda: entries.get("model", "twin"),
        "component of no plugin": lambda: entries.get("model", "skald"),
        "unknown template": lambda: templates.choose(Registry(), "piano"),
        "template over a file": lambda: templates.write_new(folder / "a.tune", "x"),
        "size of the cache": size_limit,
        "device that is not here": lambda: choose_device("cuda:99"),
        "memory": lambda: _batches(torch.device("cpu")),
        "no run folder": lambda: RunFolder(folder / "none").read_pipeline(registry),
        "no run at all": newest_run,
        "no checkpoint": lambda: RunFolder(folder / "none").checkpoint_for("best"),
        "no such checkpoint": lambda: _without_step(folder / "kept"),
        "folder of something else": lambda: RunFolder(folder / "full").held().__enter__(),
        "file for a folder": lambda: RunFolder(folder / "a.tune").held().__enter__(),
        "run in use": lambda: _held(folder),
        "settings changed": lambda: _changed(folder, registry),
        "checkpoint of another model": lambda: _other_model(folder),
        "damaged file": lambda: read_json(_bytes(folder / "state.json", b"{")),
        "file too large": lambda: read_json(_bytes(folder / "large.json", b"[1, 2]"), limit=3),
        "full disk": lambda: _full(folder / "x"),
        "text in another encoding": lambda: item.read_text(100),
        "text too large": lambda: item.read_text(3),
        "empty text": lambda: empty.read_text(100),
        "text for a piano-roll": lambda: PianoRoll(PianoRollConfig()).encode(Text("x")),
        "notes outside the range": lambda: PianoRoll(PianoRollConfig(lowest=60)).encode(
            score_of([(0, 4, 20)])
        ),
        "piece too long": _long_piece,
    }


def _told(error: UserError, folder: Path) -> list[dict[str, str]]:
    """The problems of an error, without what differs from system to system."""
    return [
        {name: _anywhere(value, folder) for name, value in vars(problem).items()}
        for problem in error.problems
    ]


def _anywhere(text: str, folder: Path) -> str:
    for name in (str(folder.resolve()), str(folder)):
        text = text.replace(name.replace("\\", "\\\\"), "FOLDER").replace(name, "FOLDER")
    return text.replace("\\\\", "/").replace("\\", "/")


def _of_pipelines(registry: Registry) -> Iterable[tuple[str, Callable[[], object]]]:
    def load(text: str) -> object:
        Path("pipe.toml").write_text(text, encoding="utf-8")
        return load_pipeline(Path("pipe.toml"), registry, check_sources=check_sources)

    for name, text in PIPELINES.items():
        yield name, lambda text=text: load(text)  # type: ignore[misc]


def test_every_problem_is_worded_as_in_the_snapshot(
    workplace: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "tunes").mkdir()
    (workplace / "more").mkdir()
    monkeypatch.setenv("MUSENGINE_CACHE_SIZE", "much")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    calls = dict(_of_pipelines(registry)) | _calls(workplace / "more", registry)
    found = {}
    for name, call in calls.items():
        with pytest.raises(UserError) as caught:
            print(name, call())
        found[name] = _told(caught.value, workplace)
    messages = [problem["message"] for problems in found.values() for problem in problems]
    assert not [text for text in messages if "?;" in text or "? " in text]
    if os.environ.get("MUSENGINE_UPDATE_SNAPSHOTS") == "1":
        text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
        SNAPSHOT.write_text(text + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "MUSENGINE_UPDATE_SNAPSHOTS=1 writes the snapshot anew"
    )
