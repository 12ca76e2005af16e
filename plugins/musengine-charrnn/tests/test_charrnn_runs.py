"""The character model in whole runs, on MIDI files and on tunes: trained, continued, generating."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Text
from musengine.testing import (
    CommandResult,
    create,
    load_checkpoint,
    read_midi,
    run_command,
    score_of,
    write_midi,
)

ROLLS = """
[corpus]
path = "midi"

[encoder]
type = "text-roll"
step = "1/4 beat"

[model]
type = "charrnn"
layers = 2
units = 12
embedding = 6

[training]
steps = 12
batch_size = 3
sequence_length = 16
checkpoint_every = 6
threads = 1

[generate]
count = 2
length = "12 steps"
"""
TUNES = """
[corpus]
path = "tunes.abc"
valid = 0.2

[encoder]
type = "chars"

[model]
type = "charrnn"
layers = 1
units = 24
embedding = 12

[training]
steps = 300
batch_size = 4
sequence_length = 32
learning_rate = 0.02
checkpoint_every = 100
threads = 1

[generate]
count = 3
length = "400 tokens"
"""


def tune(number: int) -> str:
    """A tune of four bars that follow from its number."""
    bars = "|".join(("CEGc", "DFAd", "EGBe", "FAcf")[(number + k) % 4] for k in range(4))
    return f"X:{number}\nM:4/4\nL:1/4\nK:C\n{bars}|]\n"


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    (workplace / "midi").mkdir()
    for shift in range(6):
        notes = [(k, 1, 60 + (5 * k + shift) % 12) for k in range(20 + 3 * shift)]
        write_midi(score_of(notes, ticks_per_beat=4), workplace / "midi" / f"{shift}.mid")
    (workplace / "tunes.abc").write_text("\n".join(tune(number) for number in range(20)))
    (workplace / "rolls.toml").write_text(ROLLS)
    (workplace / "tunes.toml").write_text(TUNES)
    return workplace


def run(
    file: str, *settings: str, command: str = "run", more: tuple[str, ...] = ()
) -> CommandResult:
    return run_command(command, file, "--quiet", *more, settings=settings)


def last_weights(folder: Path) -> dict[str, list[float]]:
    weights = load_checkpoint(folder).model
    return {name: tensor.flatten().tolist() for name, tensor in weights.items()}


def figures(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return result


@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_continuing_equals_never_having_stopped(folder: Path, cell: str) -> None:
    settings = (f"model.cell={cell}", "model.dropout=0.3")
    assert run("rolls.toml", *settings, more=("--run-dir", "whole")).status == 0
    # 5 steps: in the middle of an epoch, with streams in the middle of their pieces.
    assert run("rolls.toml", *settings, "training.steps=5", more=("--run-dir", "parts")).status == 0
    assert run("rolls.toml", *settings, more=("--run-dir", "parts")).status == 0
    assert last_weights(folder / "parts") == last_weights(folder / "whole")
    sample = (folder / "whole/samples/piece-001.txt").read_text()
    assert (folder / "parts/samples/piece-003.txt").read_text() == sample


def test_a_piece_is_written_as_text_and_as_midi(folder: Path) -> None:
    assert run("rolls.toml").status == 0
    encoder = create("encoder", "text-roll", step="1/4 beat")
    for number in (1, 2):
        text = (folder / f"runs/rolls/samples/piece-00{number}.txt").read_text()
        # The separator before the first step is no step; after 12 separators the piece is over.
        assert text.count("_") == 12
        assert text.endswith("_")
        written = read_midi(folder / f"runs/rolls/samples/piece-00{number}.mid")
        assert encoder.to_text(written) == encoder.to_text(encoder.from_text(Text(text)))
    figure = figures(folder / "runs/rolls")["valid"]
    # A nat is 1 / ln 2 = 1.442695 bits.
    assert figure["bits_per_token"] == pytest.approx(1.442695 * figure["nll"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length", "separators"),
    # A step is 1/4 beat, at 120 beats a minute 1/8 second. What is generated begins with the mark
    # of the beginning or in the first step, as the prompt ends there or not.
    [("12 steps", 12), ("3 beats", 12), ("1 bar", 16), ("1.5 seconds", 12)],
)
def test_lengths_in_every_unit(folder: Path, length: str, separators: int) -> None:
    prompt = 'generate.prompt_text="_4"'
    assert run("rolls.toml", prompt, f"generate.length={length}", "training.steps=1").status == 0
    text = (folder / "runs/rolls/samples/piece-001.txt").read_text()
    assert text.startswith("_4")
    generated = text.removeprefix("_4")
    # The step of the prompt's note is still open: its separator marks no step of its own when
    # musical time is counted.
    marked = generated.startswith("_") and "steps" not in length
    assert generated.count("_") == separators + marked


def test_a_number_of_characters(folder: Path) -> None:
    assert run("rolls.toml", "generate.length=50 tokens").status == 0
    assert len((folder / "runs/rolls/samples/piece-002.txt").read_text()) == 50


@pytest.mark.slow
def test_a_text_is_the_same_among_many_and_alone(folder: Path) -> None:
    assert run("rolls.toml", "generate.count=6").status == 0
    assert run("rolls.toml", "generate.count=1").status == 0
    samples = folder / "runs/rolls/samples"
    assert (samples / "piece-007.txt").read_text() == (samples / "piece-001.txt").read_text()


@pytest.mark.slow
def test_it_learns_tunes_and_where_they_end(folder: Path) -> None:
    assert run("tunes.toml", 'generate.prompt_text="X:1\\nM:4/4\\n"').status == 0
    lines = (folder / "runs/tunes/metrics.jsonl").read_text().splitlines()
    valid = [record["valid"]["loss"] for line in lines if "valid" in (record := json.loads(line))]
    # 26 different characters: ln 26 = 3.3 nats where nothing is known.
    assert valid[-1] < 0.5
    texts = [path.read_text() for path in sorted((folder / "runs/tunes/samples").glob("*.txt"))]
    assert len(texts) == 3
    for text in texts:
        assert text.startswith("X:1\nM:4/4\n")
        assert len(text) < 120  # ended by itself
    assert list((folder / "runs/tunes/samples").glob("*.mid"))
    # A tune is judged with its beginning, without which there is no music in it.
    lines = (folder / "runs/tunes/samples/generated.jsonl").read_text().splitlines()
    assert all("no music" not in json.loads(line)["faults"] for line in lines)


def test_what_is_no_tune_is_kept_as_text_and_the_reason_told(folder: Path) -> None:
    done = run("tunes.toml", "training.steps=1", "generate.length=40 tokens")
    assert done.status == 0
    samples = {path.name for path in (folder / "runs/tunes/samples").iterdir()}
    assert {"piece-001.txt", "piece-002.txt", "piece-003.txt"} <= samples
    assert not any(name.endswith(".mid") for name in samples)
    assert "piece-001: only the text is written: no ABC tune" in done.err


def test_plain_texts_are_not_made_midi_of(folder: Path) -> None:
    (folder / "letters.txt").write_text("so it goes, and so it went\n" * 40)
    settings = ("corpus.path=letters.txt", "encoder.texts=plain", "training.steps=2")
    assert run("tunes.toml", *settings).status == 0
    suffixes = {path.suffix for path in (folder / "runs/tunes/samples").iterdir()}
    assert suffixes == {".txt", ".jsonl"}
    state = load_checkpoint(folder / "runs/tunes").meta["encoder"]
    assert state == {"characters": "".join(sorted(set("so it goes, and so it went\n")))}


def test_the_vocabulary_is_the_training_parts_alone(folder: Path) -> None:
    # Every tune has a character of its own: those that are held out are not known.
    tunes = [tune(number).replace("M:", f"N:{chr(0x4E00 + number)}\nM:") for number in range(20)]
    (folder / "tunes.abc").write_text("\n".join(tunes))
    done = run_command("train", "tunes.toml", settings=["training.steps=1"])
    assert done.status == 0
    known = load_checkpoint(folder / "runs/tunes").meta["encoder"]["characters"]
    parts = json.loads((folder / "runs/tunes/split.json").read_text())["parts"]
    learned, held_out = len(parts["train"]), len(parts["valid"])
    assert learned + held_out == 20
    assert sum(chr(0x4E00 + number) in known for number in range(20)) == learned
    assert f"left out: {held_out} unknown characters" in done.err


def test_another_runs_weights_and_vocabulary_are_a_beginning(folder: Path) -> None:
    settings = ("training.steps=2", "generate.count=0")
    assert run("tunes.toml", *settings, more=("--run-dir", "first")).status == 0
    (folder / "tunes.abc").write_text("\n".join(tune(number) for number in range(20, 40)))
    origin = "training.init_from=first"
    more = ("--run-dir", "second")
    assert run("tunes.toml", "training.steps=0", "generate.count=0", origin, more=more).status == 0
    assert last_weights(folder / "second") == last_weights(folder / "first")


def test_the_classic_preset_has_the_originals_constants(folder: Path) -> None:
    import tomli

    text = '[corpus]\npath = "midi"\n[model]\ntype = "charrnn"\npreset = "classic"\n'
    (folder / "classic.toml").write_text(text)
    small = ("model.units=8", "model.embedding=8", "training.epochs=1")
    assert run("classic.toml", *small, command="train").status == 0
    tables = tomli.loads((folder / "runs/classic/pipeline.toml").read_text())
    training = tables["training"]
    assert (training["batch_size"], training["sequence_length"]) == (1, 64)
    assert (training["batching"], training["rate_per_piece"]) == ("stateful", True)
    assert (training["optimizer"], training["clip_norm"]) == ("adam", 0.0)
    assert tables["encoder"]["type"] == "text-roll"
    assert (tables["encoder"]["step"], tables["encoder"]["tempo"]) == ("1/16 beat", 120.0)
    assert (tables["model"]["layers"], tables["model"]["dropout"]) == (3, 0.0)


@pytest.mark.parametrize(
    ("file", "settings", "problem"),
    [
        (
            "grid.toml",
            ["generate.prompt_text=a"],
            "[generate] prompt_text: this encoder makes music from notes, not from text",
        ),
        ("rolls.toml", ['generate.prompt_text="é"'], "generate.prompt_text: 'é' are no characters"),
        (
            "rolls.toml",
            ["generate.prompt_text=_", "generate.prompt=midi"],
            "[generate] prompt_text: takes the place of prompt; leave one of them out",
        ),
        (
            "tunes.toml",
            ["generate.length=30 seconds"],
            "[generate] length: this encoder does not tell how long a token lasts",
        ),
        (
            "tunes.toml",
            ["generate.prompt=corpus", "generate.prompt_length=2 beats"],
            "[generate] prompt_length: this encoder does not tell how long a token lasts",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    folder: Path, file: str, settings: list[str], problem: str
) -> None:
    (folder / "grid.toml").write_text('[corpus]\npath="midi"\n[model]\ntype="frequencies"\n')
    done = run(file, *settings, "training.steps=1")
    assert done.status == 1
    assert problem in done.err


def test_a_vocabulary_without_weights_takes_no_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save

    assert run("tunes.toml", "training.steps=1", command="train").status == 0
    made = load_checkpoint(folder / "runs/tunes")
    # A million characters of 8192 numbers each would be 34 gigabytes.
    encoder = {"characters": "".join(map(chr, range(0x10000, 0x10FFFF)))}
    meta = json.dumps({**made.meta, "encoder": encoder})
    weights = {f"model/{name}": tensor for name, tensor in made.model.items()}
    (folder / "theirs.safetensors").write_bytes(save(weights, metadata={"meta": meta}))
    file = folder / "runs/tunes/pipeline.toml"
    file.write_text(file.read_text().replace("embedding = 12", "embedding = 8192"))
    made_sizes: list[int] = []
    monkeypatch.setattr(
        torch.nn.init, "normal_", lambda t, *_: made_sizes.append(0 if t.is_meta else t.numel())
    )
    done = run_command("generate", "--checkpoint", "theirs.safetensors")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "belongs to another model" in done.err
    assert set(made_sizes) == {0}


def test_recording_what_goes_on_inside(folder: Path) -> None:
    import numpy as np

    assert run("rolls.toml", "training.steps=2", command="train").status == 0
    generate = ["generate", "--quiet", "--out", "more", "--length", "40 tokens"]
    assert run_command(*generate, "--record", "inside.npz").status == 0
    with np.load(folder / "inside.npz", allow_pickle=False) as inside:
        assert inside["steps"].shape == (40,)
        assert inside["layers.1.cell"].shape == (40, 12)
        np.testing.assert_allclose(inside["probabilities"].sum(axis=1), 1, atol=1e-5)
    pytest.importorskip("musengine_media")
    from PIL import Image

    assert run_command(*generate, "--record", "inside.png").status == 0
    with Image.open(folder / "inside.png") as image:
        assert image.size == (1200, 260 + 5 * 180)
