"""The biaxial net in whole runs: it learns, goes on where it stopped, says what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musengine.api import Score
from musengine.testing import (
    CommandResult,
    declarations,
    load_checkpoint,
    run_command,
    unpack,
    write_midi,
)

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
type = "biaxial"
step = "1 beat"
lowest = 58
highest = 73
notes = "merged"

[model]
type = "biaxial"
time_layers = [8, 7]
note_layers = [6, 5]
dropout = 0.2

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


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def last_weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_checkpoint(folder).model.items()}


SAMPLES = "callback=[{type='samples', every=10, early_every=4, early_until=10, length='8 steps'}]"


@pytest.mark.parametrize(
    "batching",
    ["segments", *(pytest.param(each, marks=pytest.mark.slow) for each in ("pieces", "stateful"))],
)
def test_continuing_equals_never_having_stopped(folder: Path, batching: str) -> None:
    batching = sets(f"training.batching={batching}", "model.start=trained")
    assert run("--run-dir", "whole", *batching).status == 0
    assert run("--run-dir", "parts", *batching, *sets("training.steps=7")).status == 0
    assert run("--run-dir", "parts", *batching).status == 0
    assert last_weights(folder / "parts") == last_weights(folder / "whole")
    samples = (folder / "whole/samples/piece-001.mid").read_bytes()
    assert (folder / "parts/samples/piece-003.mid").read_bytes() == samples


def test_samples_while_training_change_nothing_of_it(folder: Path) -> None:
    assert run("--run-dir", "plain", command="train").status == 0
    keep = "training.keep_checkpoints=99"
    assert run("--run-dir", "sampled", *sets(SAMPLES, keep), command="train").status == 0
    assert last_weights(folder / "sampled") == last_weights(folder / "plain")
    made = sorted(path.name for path in (folder / "sampled/samples/training").glob("*.mid"))
    # Every 4 steps up to the 10th, then every 10, of 24.
    assert made == [f"step-{step:09}-001.mid" for step in (4, 8, 20)]
    names = [path.name for path in (folder / "sampled/checkpoints").iterdir()]
    steps = {int(name.removeprefix("step-")[:9]) for name in names}
    # Those of `checkpoint_every = 6` beside its own; only there the validation part is measured.
    assert steps == {4, 6, 8, 12, 18, 20, 24}
    assert {int(name[5:14]) for name in names if "valid" in name} == {6, 12, 18, 24}


@pytest.mark.slow
def test_recording_what_goes_on_inside(folder: Path) -> None:
    callback = "callback=[{type='record', every=10}]"
    assert run(*sets(callback)).status == 0
    assert run("--run-dir", "plain").status == 0
    # Looking at training batches changes nothing of the training.
    assert last_weights(folder / "runs/pipe") == last_weights(folder / "plain")
    names = sorted(path.name for path in (folder / "runs/pipe/recordings").iterdir())
    assert names == ["step-000000010.npz", "step-000000020.npz"]
    generate = ["generate", "runs/pipe", "--set", "generate.seed=3", "--out", "more"]
    done = run_command(*generate, "--record", "inside.npz")
    assert done.status == 0
    assert "20 steps recorded in inside.npz" in done.err
    with np.load(folder / "inside.npz", allow_pickle=False) as inside:
        assert inside["steps"].shape == (20, 16, 1)  # 4 of the prompt, 16 made
        assert int(inside["prompt_steps"]) == 4
        assert int(inside["lowest"]) == 58
        for name, units in (("time.0", 8), ("time.1", 7), ("note.0", 6), ("note.1", 5)):
            for part in ("hidden", "cell"):
                assert inside[f"{name}.{part}"].shape == (20, 16, units)
                assert inside[f"{name}.{part}.axes"].tolist() == ["step", "note", "unit"]
            assert np.abs(inside[f"{name}.hidden"]).max() <= 1
    # Never over a file that is there, nor of a kind that is not known.
    for name, message in (("inside.npz", "is there already"), ("inside.txt", "only to .npz")):
        done = run_command(*generate, "--record", name)
        assert done.status == 1
        assert message in " ".join(done.err.split())


def test_recorded_probabilities_are_those_that_it_drew_from(folder: Path) -> None:
    pytest.importorskip("musengine_media")
    assert run(*sets("training.steps=2"), command="train").status == 0
    generate = ["generate", "--quiet", "--set", "output=[{type='probabilities'}]", "--out", "made"]
    assert run_command(*generate, "--record", "inside.npz").status == 0
    with np.load(folder / "inside.npz", allow_pickle=False) as inside:
        shares, steps = inside["probabilities"], inside["steps"]
    # The prompt's four steps come first in what was recorded.
    with np.load(folder / "made/piece-001.npz", allow_pickle=False) as thought:
        np.testing.assert_array_equal(thought["steps"], steps[4:])
        np.testing.assert_allclose(thought["probabilities"], shares[4:], atol=1e-5)


def test_the_picture_of_what_goes_on_inside(folder: Path) -> None:
    pytest.importorskip("musengine_media")
    from PIL import Image

    assert run(*sets("training.steps=2"), command="train").status == 0
    more = ["generate", "--quiet", "--out", "more", "--record", "inside.png"]
    assert run_command(*more).status == 0
    with Image.open(folder / "inside.png") as image:
        # The roll of 260 pixels, and nine panels of 180: four layers' hidden states and cells, and
        # the probabilities.
        assert image.size == (1200, 260 + 9 * 180)
        assert len(image.getcolors(maxcolors=2**20)) > 50
    callback = "callback=[{type='record', every=1, format='png'}]"
    told = run("--run-dir", "told", *sets(callback, "training.steps=2"), command="train")
    assert told.status == 0
    recordings = sorted(path.name for path in (folder / "told/recordings").iterdir())
    assert recordings == ["step-000000001.png", "step-000000002.png"]


@pytest.mark.slow
def test_training_lowers_the_validation_loss(folder: Path) -> None:
    assert (
        run(*sets("training.steps=150", "training.learning_rate=0.02", "model.dropout=0")).status
        == 0
    )
    lines = (folder / "runs/pipe/metrics.jsonl").read_text().splitlines()
    valid = [record["valid"]["loss"] for line in lines if "valid" in (record := json.loads(line))]
    # Sixteen independent fair coins cost 16 ln 2 = 11.1 nats; the tunes are deterministic.
    assert valid[-1] < 2.0 < valid[0]
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text())
    best = json.loads((folder / "runs/pipe/state.json").read_text())["best"]["figure"]
    assert figures["valid"]["nll"] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        ["model.candidate=linear", "training.precision=bfloat16"],
        ["training.precision=float64", "model.beat=classic"],
        ["encoder.notes=onsets", "training.loss_reduction=sum", "training.clip_each_norm=5"],
        ["encoder.type=piano-roll", "model.beat=none", "sampler.0.type=greedy"],
        ["model.start=fixed", "model.initialisation=classic", "generate.prompt=none"],
    ],
    ids=",".join,
)
def test_settings_run_whole(folder: Path, settings: list[str]) -> None:
    pipeline = PIPELINE
    if "encoder.type=piano-roll" in settings:
        settings, pipeline = settings[1:], PIPELINE.replace('type = "biaxial"\nstep', "step")
    (folder / "pipe.toml").write_text(pipeline)
    assert run(*sets("training.steps=6", *settings)).status == 0
    assert (folder / "runs/pipe/samples/piece-002.mid").is_file()


def test_sizes_that_do_not_fit_a_checkpoint_are_named(folder: Path) -> None:
    assert run("--run-dir", "a", *sets("training.steps=1"), command="train").status == 0
    changed = sets("training.init_from=a", "model.note_layers=[9, 5]")
    done = run("--run-dir", "b", *changed, command="train")
    assert done.status == 1
    error = " ".join(done.err.split())
    # Four gates of 9 units instead of 6 (the bias), both named.
    assert "note.layers.0.bias has shape (24,), the model needs (36,)" in error
    # A run whose settings were changed is refused by the key.
    done = run("--run-dir", "a", *sets("model.note_layers=[9, 5]"), command="train")
    assert done.status == 1
    assert "note_layers" in done.err


def test_the_classic_preset_has_the_originals_constants(folder: Path) -> None:
    import tomli

    text = '[corpus]\npath = "tunes.json"\n[model]\ntype = "biaxial"\npreset = "classic"\n'
    (folder / "classic.toml").write_text(text)
    small = sets(
        *("model.time_layers=[8]", "model.note_layers=[6]", "training.steps=2"),
        *("training.sequence_length=16", "generate.length=8 steps"),
    )
    # Its tunes are of quarter notes, 4 steps each: 30 beats are 120 steps.
    assert run(*small, file="classic.toml").status == 0
    tables = tomli.loads((folder / "runs/classic/pipeline.toml").read_text())
    training, model, encoder = tables["training"], tables["model"], tables["encoder"]
    assert (training["batch_size"], training["align"], training["batching"]) == (10, 16, "segments")
    assert (training["optimizer"], training["learning_rate"]) == ("adadelta", 1.0)
    assert (training["smoothing"], training["epsilon"]) == (0.95, 1e-6)
    assert (training["clip_each_norm"], training["clip_norm"]) == (5.0, 0.0)
    assert (model["dropout"], model["candidate"], model["start"]) == (0.5, "linear", "fixed")
    assert (model["beat"], model["position"]) == ("classic", "index")
    assert training["loss_reduction"] == "sum"
    assert (encoder["lowest"], encoder["highest"], encoder["step"]) == (24, 101, "1/4 beat")
    assert (encoder["meters"], encoder["numerators"]) == ("cut", [2, 4])
    assert tables["sampler"][0]["type"] == "adaptive"
    preset = declarations("model")["biaxial"].presets["classic"]
    assert (preset["training"]["steps"], preset["training"]["sequence_length"]) == (10_000, 128)
    assert preset["model"]["time_layers"] == [300, 300]
    assert preset["model"]["note_layers"] == [100, 50]


def scale(notes: int, meters: list[tuple[int, int, int]], lowest: int = 60) -> Score:
    onset = np.arange(notes) * 480
    pitch = lowest + np.arange(notes) % 12
    return Score.from_notes(onset, 480, pitch, ticks_per_beat=480, meters=meters)


def test_what_cannot_be_used_is_counted_and_listed(folder: Path) -> None:
    midi = folder / "midi"
    midi.mkdir()
    for k in range(5):
        write_midi(scale(40 + k, [(0, 4, 4)]), midi / f"good-{k}.mid")
    # One segment exactly: 8 beats are 32 sixteenths.
    write_midi(scale(8, [(0, 4, 4)]), midi / "exact.mid")
    write_midi(scale(5, [(0, 4, 4)]), midi / "short.mid")
    write_midi(scale(41, [(0, 3, 4)]), midi / "waltz.mid")
    write_midi(scale(30, [(0, 4, 4), (20 * 480, 3, 4)]), midi / "turns.mid")
    write_midi(scale(31, [(0, 4, 4)], lowest=100), midi / "high.mid")
    settings = sets(
        *("corpus.path=midi", "corpus.valid=0.0", "encoder.step=1/4 beat", "encoder.notes=onsets"),
        *("encoder.highest=101", "encoder.meters=cut", "training.sequence_length=32"),
        *("training.steps=2", "generate.count=1"),
    )
    done = run_command("run", "pipe.toml", *settings)
    assert done.status == 0
    said = " ".join(done.err.split())
    assert "waltz.mid: meter 3/4, which is not wanted" in said
    assert "short.mid: too short for training.sequence_length" in said
    assert "exact.mid" not in said
    # Ten of the thirty beats of turns.mid come after 3/4 begins; of 100 to 111, again and again for
    # 31 notes, those above 101 are out of range: 10 of 12, 10 of 12 and 5 of 7.
    assert "10 notes after a meter that is not wanted" in said
    assert "25 notes out of range (encoder.lowest, encoder.highest)" in said


def test_the_starter_pipeline_runs(folder: Path) -> None:
    midi = folder / "my tunes"
    midi.mkdir()
    for k in range(4):
        write_midi(scale(40 + k, [(0, 4, 4)], lowest=55 + k), midi / f"{k}.mid")
    made = run_command("init", "biaxial", "--corpus", "my tunes", "--out", "mine.toml")
    assert made.status == 0
    checked = run_command("check", "mine.toml")
    assert checked.status == 0
    assert "encoder biaxial, model biaxial, samplers adaptive, longest-note" in checked.err
    small = sets(
        *("model.time_layers=[6]", "model.note_layers=[4]", "training.steps=2", "corpus.jobs=1"),
        *("generate.count=1", "generate.length=16 beats"),
    )
    assert run(*small, file="mine.toml").status == 0
    assert (folder / "runs/mine/samples/piece-001.mid").is_file()


@pytest.mark.slow
def test_it_overfits_one_segment_of_real_piano_music(data_folder: Path, folder: Path) -> None:
    (path,) = unpack(data_folder / "piano-midi-de/piano-midi-de.tar.gz", folder, 1)
    text = f"""
[corpus]
path = "{path.as_posix()}"
valid = 0.0

[encoder]
type = "biaxial"

[model]
type = "biaxial"
time_layers = [64]
note_layers = [48]
dropout = 0.0

[training]
steps = 150
batch_size = 1
sequence_length = 128
align = 100000
learning_rate = 0.02
schedule = "cosine"
threads = 1
"""
    (folder / "one.toml").write_text(text)
    # The only multiple of 100,000 in the piece is its start: one segment, again and again.
    assert run(file="one.toml", command="train").status == 0
    lines = (folder / "runs/one/metrics.jsonl").read_text().splitlines()
    losses = [record["loss"] for line in lines if "loss" in (record := json.loads(line))]
    assert losses[-1] < 0.5 < 5 < losses[0]


@pytest.mark.slow
def test_the_classic_pipeline_on_real_piano_music(data_folder: Path, folder: Path) -> None:
    midi = folder / "midi"
    midi.mkdir()
    archive = data_folder / "piano-midi-de/piano-midi-de.tar.gz"
    for index, path in enumerate(unpack(archive, folder, 30)):
        path.rename(midi / f"{index}.mid")
    pipeline = Path(__file__).resolve().parents[3] / "pipelines" / "biaxial-classic.toml"
    settings = sets(
        *("corpus.path=midi", "model.time_layers=[16, 16]", "model.note_layers=[8, 8]"),
        *("training.steps=3", "generate.length=40 steps", "generate.count=2"),
    )
    assert run("--run-dir", "classic", *settings, file=str(pipeline)).status == 0
    assert (folder / "classic/samples/piece-002.mid").is_file()
