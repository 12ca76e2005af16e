"""The three-layer LSTM in whole runs: it learns, goes on exactly where it stopped, repeats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from musengine.testing import CommandResult, load_checkpoint, run_command, unpack

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "lstm3"
layers = [12, 12, 12]

[training]
steps = 24
batch_size = 4
sequence_length = 8
checkpoint_every = 6
threads = 1

[generate]
count = 2
length = "16 steps"
prompt_length = "4 steps"
"""
STRATEGIES = ["segments", "pieces", "stateful", "windows"]


def tune(shift: int, length: int) -> list[list[int]]:
    chords = ([60, 64, 67], [60, 65, 69], [62, 65, 71])
    return [sorted({chords[(t // 4 + shift) % 3][k] for k in (0, t % 3)}) for t in range(length)]


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    tunes = {
        "train": [tune(k, 30 + 3 * k) for k in range(7)],
        "valid": [tune(k, 24) for k in range(2)],
        "test": [tune(2, 24)],
    }
    (workplace / "tunes.json").write_text(json.dumps(tunes))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def run(*arguments: str, command: str = "run", file: str = "pipe.toml") -> CommandResult:
    return run_command(command, file, "--quiet", *arguments)


def last_weights(folder: Path) -> dict[str, list[float]]:
    weights = load_checkpoint(folder).model
    return {name: tensor.flatten().tolist() for name, tensor in weights.items()}


def losses(folder: Path) -> list[dict[str, Any]]:
    """The log's lines about the training part, without how long it took."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{**line, "seconds": None} for line in lines if "loss" in line]


@pytest.mark.parametrize(
    "batching",
    ["segments", *(pytest.param(each, marks=pytest.mark.slow) for each in STRATEGIES[1:])],
)
def test_continuing_equals_never_having_stopped(folder: Path, batching: str) -> None:
    batching = ("--set", f"training.batching={batching}")
    assert run("--run-dir", "whole", *batching).status == 0
    # 7 steps: in the middle of an epoch with every batching strategy.
    assert run("--run-dir", "parts", *batching, "--set", "training.steps=7").status == 0
    assert run("--run-dir", "parts", *batching, "--set", "training.steps=19").status == 0
    assert run("--run-dir", "parts", *batching).status == 0
    assert last_weights(folder / "parts") == last_weights(folder / "whole")
    # Means of steps that lie in two parts too, and no line of what was left at a part's end.
    logged = losses(folder / "whole")
    assert losses(folder / "parts") == logged
    assert [each["step"] for each in logged] == [10, 20, 24]
    assert "</svg>" in (folder / "parts/learning-curve.svg").read_text()
    samples = (folder / "whole/samples/piece-001.mid").read_bytes()
    assert (folder / "parts/samples/piece-005.mid").read_bytes() == samples


@pytest.mark.slow
def test_same_seed_same_music_other_seed_other_music(folder: Path) -> None:
    run("--run-dir", "a")
    run("--run-dir", "b")
    run("--run-dir", "c", "--set", "training.seed=1")
    music = {
        name: [(folder / name / f"samples/piece-00{k}.mid").read_bytes() for k in (1, 2)]
        for name in "abc"
    }
    assert music["a"] == music["b"]
    assert music["a"] != music["c"]


@pytest.mark.slow
def test_training_lowers_the_validation_loss(folder: Path) -> None:
    assert run("--set", "training.steps=200", "--set", "training.learning_rate=0.01").status == 0
    lines = (folder / "runs/pipe/metrics.jsonl").read_text().splitlines()
    valid = [record["valid"]["loss"] for line in lines if "valid" in (record := json.loads(line))]
    # Thirteen independent fair coins cost 13 ln 2 = 9.01 nats; the tunes are deterministic.
    assert valid[-1] < 2.5 < valid[0]
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text())
    best = json.loads((folder / "runs/pipe/state.json").read_text())["best"]["figure"]
    assert figures["valid"]["nll"] == pytest.approx(best, rel=1e-6)
    assert figures["test"]["steps"] == 24


def test_limits(folder: Path) -> None:
    assert run("--run-dir", "epochs", "--set", "training.epochs=2", command="train").status == 0
    meta = load_checkpoint(folder / "epochs").meta
    assert meta["state"]["epoch"] == 2
    assert run("--run-dir", "none", "--set", "training.steps=0").status == 0
    assert (folder / "none/samples/piece-002.mid").is_file()
    assert (
        run("--run-dir", "short", "--set", "training.minutes=0.00001", command="train").status == 0
    )
    meta = load_checkpoint(folder / "short").meta
    assert meta["state"]["step"] <= 1


@pytest.mark.parametrize(
    "settings",
    [
        ["training.optimizer=sgd", "training.learning_rate=0.1"],
        ["training.optimizer=rmsprop", "training.clip_value=1.0"],
        ["training.optimizer=adadelta", "training.schedule=cosine"],
        ["training.optimizer=nadam", "training.schedule=linear"],
        ["training.precision=bfloat16"],
        ["training.precision=float64"],
        ["loss.type=squared-error"],
        ["encoder.notes=onsets", "training.batching=stateful"],
        ["encoder.silence_marker=true", "training.batching=pieces", "training.fill=repeat"],
        ["sampler.0.type=greedy", "generate.prompt=none"],
    ],
    ids=",".join,
)
def test_settings_run_whole(folder: Path, settings: list[str]) -> None:
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert run("--set", "training.steps=6", *arguments).status == 0
    assert (folder / "runs/pipe/samples/piece-002.mid").is_file()


def test_old_checkpoints_go_the_best_stays(folder: Path) -> None:
    assert run("--set", "training.keep_checkpoints=1", command="train").status == 0
    names = {path.name for path in (folder / "runs/pipe/checkpoints").iterdir()}
    best = json.loads((folder / "runs/pipe/state.json").read_text())["best"]["checkpoint"]
    assert names == {best, max(names)}
    # The name tells the step, the epochs done (7 pieces in batches of 4 segments of 8) and the
    # validation figure.
    assert re.fullmatch(r"step-000000024_epoch-\d{4}_valid-\d+\.\d{4}\.safetensors", max(names))


def test_rates_may_change_when_training_goes_on(folder: Path) -> None:
    rates = "model.rates=[0.01, 0.01, 0.01, 0.01]"
    assert run("--set", rates, "--set", "training.steps=6", command="train").status == 0
    before = last_weights(folder / "runs/pipe")
    # A rate next to nothing for the second layer leaves it where it was; the others go on.
    slower = "model.rates=[0.01, 1e-30, 0.01, 0.01]"
    assert run("--set", slower, "--set", "training.steps=12", command="train").status == 0
    after = last_weights(folder / "runs/pipe")
    assert after["stack.layers.1.hidden_weight"] == before["stack.layers.1.hidden_weight"]
    assert after["stack.layers.0.hidden_weight"] != before["stack.layers.0.hidden_weight"]
    assert run("--set", slower, "--set", "model.layers=[9,9,9]", command="train").status == 1


def test_rates_may_give_way_to_one_when_training_goes_on(folder: Path) -> None:
    rates = "model.rates=[0.01, 0.01, 0.01, 0.01]"
    assert run("--set", rates, "--set", "training.steps=6", command="train").status == 0
    # Beside the rates a single one does nothing, and is no change.
    refused = run("--set", rates, "--set", "training.learning_rate=0.5", command="train")
    assert (refused.status, "[training] learning_rate" in refused.err) == (1, True)
    one = ("--set", "training.learning_rate=1e-30", "--set", "training.steps=12")
    before = last_weights(folder / "runs/pipe")
    assert run_command("train", "pipe.toml", *one).status == 0
    assert last_weights(folder / "runs/pipe") == before


def test_rates_that_do_not_fit_the_layers_are_one_mistake(folder: Path) -> None:
    pytest.importorskip("musengine_samplers")
    pytest.importorskip("musengine_media")
    text = '[corpus]\npath = "tunes.json"\n[model]\ntype = "lstm3"\npreset = "classic"\n'
    (folder / "classic.toml").write_text(text + '[[output]]\ntype = "probabilities"\n')
    two = ("--set", "model.layers=[8, 8]")
    (error,) = run("--json", *two, command="check", file="classic.toml").err.splitlines()
    assert "[model] rates" in error
    for settings in (("model.rates=[1, 1, 1]",), ("model.rates=",), ("training.optimizer=adam",)):
        words = [word for setting in settings for word in ("--set", setting)]
        assert run(*two, *words, command="check", file="classic.toml").status == 0


def test_updates_per_batch_repeat_the_batch(folder: Path) -> None:
    assert run("--set", "training.updates_per_batch=3", "--set", "training.steps=24").status == 0
    lines = (folder / "runs/pipe/metrics.jsonl").read_text().splitlines()
    epochs = [record["epoch"] for line in lines if "loss" in (record := json.loads(line))]
    # 7 tunes of 30 to 48 steps: 38 segments of 8 steps, 4 at once, about 10 batches, each thrice.
    assert epochs == [0, 0, 0]


def test_the_classic_preset_has_the_originals_constants(folder: Path) -> None:
    pytest.importorskip("musengine_samplers")
    import tomli

    text = '[corpus]\npath = "tunes.json"\n[model]\ntype = "lstm3"\npreset = "classic"\n'
    (folder / "classic.toml").write_text(text)
    small = ("--set", "model.layers=[8, 8, 8]", "--set", "training.epochs=1")
    assert run(*small, command="train", file="classic.toml").status == 0
    tables = tomli.loads((folder / "runs/classic/pipeline.toml").read_text())
    training = tables["training"]
    assert (training["batch_size"], training["sequence_length"]) == (5, 100)
    assert (training["batching"], training["fill"]) == ("pieces", "repeat")
    assert (training["optimizer"], training["smoothing"]) == ("rmsprop", 0.9)
    assert (training["epsilon"], training["updates_per_batch"]) == (1e-5, 2)
    assert (training["clip_value"], training["clip_norm"]) == (30.0, 0.0)
    assert tables["encoder"]["step"] == "0.3 seconds"
    assert tables["encoder"]["silence_marker"] is True
    assert tables["model"]["rates"] == [0.001] * 4
    assert tables["sampler"] == [{"type": "threshold", "threshold": 0.1}]
    # What was resolved resolves to itself: the run goes on without the preset.
    longer = ("--set", "training.epochs=2")
    assert run(*small, *longer, command="train", file="classic.toml").status == 0


def test_the_classic_preset_on_real_piano_music(data_folder: Path, folder: Path) -> None:
    pytest.importorskip("musengine_samplers")
    pytest.importorskip("musengine_media")
    unpack(data_folder / "piano-midi-de" / "piano-midi-de.tar.gz", folder / "midi", 10)
    pipeline = Path(__file__).resolve().parents[3] / "pipelines" / "lstm3-classic.toml"
    settings = ["corpus.path=midi", "model.layers=[16, 16, 16]", "training.epochs=1"]
    settings += ["output=[{type='midi'}, {type='probabilities'}]", "generate.length=40 steps"]
    settings += ["generate.tempo=120"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert run("--run-dir", "classic", *arguments, file=str(pipeline)).status == 0
    import miditoolkit
    import numpy as np

    midi = miditoolkit.MidiFile(folder / "classic/samples/piece-001.mid")
    # 0.3 s at 120 beats a minute are 0.6 beats of 480 ticks: every time is a multiple of 288.
    times = [time for note in midi.instruments[0].notes for time in (note.start, note.end)]
    assert times
    assert {time % 288 for time in times} == {0}
    with np.load(folder / "classic/samples/piece-001.npz", allow_pickle=False) as arrays:
        steps, shares = arrays["steps"][..., 0], arrays["probabilities"][..., 0]
    assert steps.shape == shares.shape == (40, 88)
    # Nothing at or below the threshold was drawn.
    assert shares[steps == 1].min() > 0.1


def test_recording_what_goes_on_inside(folder: Path) -> None:
    pytest.importorskip("musengine_media")
    import numpy as np
    from PIL import Image

    assert run("--set", "training.steps=4", command="train").status == 0
    generate = ["generate", "--quiet", "--set", "output=[{type='probabilities'}]", "--out"]
    assert run_command(*generate, "a", "--record", "inside.npz").status == 0
    with np.load("inside.npz", allow_pickle=False) as inside:
        assert inside["layers.0.hidden"].shape == (20, 12)  # 4 steps of the prompt, 16 made
        assert inside["layers.2.cell.axes"].tolist() == ["step", "unit"]
        shares, steps = inside["probabilities"], inside["steps"]
    with np.load("a/piece-001.npz", allow_pickle=False) as made:
        np.testing.assert_array_equal(made["steps"], steps[4:])
        np.testing.assert_allclose(made["probabilities"], shares[4:], atol=1e-5)
    assert run_command(*generate, "b", "--record", "inside.png").status == 0
    with Image.open("inside.png") as image:
        assert image.size == (1200, 260 + 7 * 180)
