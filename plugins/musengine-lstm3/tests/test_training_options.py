"""Training options that every model has: plateau, rate per piece, another run's weights, notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Callback, NoSettings, Progress, load_pipeline, run_pipeline
from musengine.testing import CommandResult, load_checkpoint, run_command

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "lstm3"
layers = [8]

[training]
steps = 12
batch_size = 4
sequence_length = 8
checkpoint_every = 2
threads = 1
"""


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    tune = [[60, 64], [62, 65], [64, 67], [60]]
    tunes = {"train": [tune * 8, tune * 2, tune * 19], "valid": [tune * 3]}
    (workplace / "tunes.json").write_text(json.dumps(tunes))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def train(name: str, *settings: str) -> CommandResult:
    return run_command("train", "pipe.toml", "--quiet", "--run-dir", name, settings=settings)


def weights(name: str) -> dict[str, list[float]]:
    model = load_checkpoint(Path(name)).model
    return {key: tensor.flatten().tolist() for key, tensor in model.items()}


class Rates(Callback[NoSettings]):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        super().__init__(NoSettings())
        self.rates: list[float] = []

    def on_step(self, progress: Progress) -> None:
        self.rates.append(progress.learning_rate)


def rates_of(name: str, *settings: str) -> list[float]:
    """Return the learning rate of each step of a run."""
    callback = Rates()
    pipeline = load_pipeline("pipe.toml", settings)
    run_pipeline(pipeline, name, train_only=True, callbacks=[callback])
    return callback.rates


def test_a_plateau_halves_the_rate_and_survives_an_interruption() -> None:
    # A rate of nothing to speak of: no validation is ever better than the first, at step 2, by
    # more than rounding; weights in float32 do not move at all by 1e-30.
    settings = (
        *("training.schedule=plateau", "training.plateau_patience=2"),
        *("training.learning_rate=1e-30", "training.optimizer=sgd"),
    )
    rates = rates_of("whole", *settings)
    # Validated after steps 2, 4, 6, ...: two in a row without a better one at 6 and at 10.
    assert rates == [1e-30] * 6 + [5e-31] * 4 + [2.5e-31] * 2
    assert rates_of("parts", *settings, "training.steps=8") == rates[:8]
    assert rates_of("parts", *settings) == rates[8:]


def test_the_rate_of_a_piece_falls_with_the_root_of_its_length() -> None:
    # Chunks of 8 steps: 32 steps are 4, 8 steps are 1, 76 steps are 10 (the last not full).
    # The roots' whole parts: 2, 1 and 3.
    settings = (
        *("training.rate_per_piece=true", "training.batching=stateful", "training.batch_size=1"),
        *("training.learning_rate=0.6", "training.optimizer=sgd", "training.epochs=1"),
        "training.steps=15",
    )
    rates = rates_of("run", *settings)
    assert sorted(rates) == pytest.approx([0.2] * 10 + [0.3] * 4 + [0.6])


def test_a_rate_per_piece_needs_one_piece_at_a_time() -> None:
    done = train("run", "training.rate_per_piece=true")
    assert done.status == 1
    # Neither the batching strategy nor the size of a batch is what it needs.
    assert ["[training] rate_per_piece" in line for line in done.err.splitlines()] == [True, True]
    settings = ("training.rate_per_piece=true", "training.batching=stateful", "training.steps=0")
    assert train("run", *settings, "training.batch_size=2").status == 1
    assert train("run", *settings, "training.batch_size=1").status == 0


def test_a_run_may_start_from_the_weights_of_another(folder: Path) -> None:
    assert train("first").status == 0
    assert train("second", "training.init_from=first", "training.steps=0").status == 0
    best = json.loads(Path("first/state.json").read_text())["best"]["checkpoint"]
    expected = load_checkpoint(folder / "first/checkpoints" / best).model
    second = load_checkpoint(folder / "second")
    assert all((second.model[name] == expected[name]).all() for name in expected)
    assert second.meta["state"]["step"] == 0
    # A checkpoint may be named too, and going on is not starting again.
    path = max(Path("first/checkpoints").glob("*"))
    assert train("third", f"training.init_from={path}", "training.steps=2").status == 0
    before = weights("third")
    assert train("third", f"training.init_from={path}", "training.steps=2").status == 0
    assert weights("third") == before != weights("first")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["training.init_from=nowhere"], "nowhere is neither a run folder nor a trained model"),
        (["training.init_from=first", "model.layers=[9]"], "belongs to another model"),
        (["training.init_from=tunes.json"], "cannot be read"),
    ],
)
def test_what_is_no_fitting_origin_is_said_and_leaves_no_run(
    settings: list[str], said: str
) -> None:
    assert train("first", "training.steps=2").status == 0
    done = train("second", *settings)
    assert done.status == 1
    assert said in done.err
    assert not Path("second").exists()


def test_a_note_is_kept_with_the_run_and_may_change() -> None:
    assert train("run", "run.message=a first try", "training.steps=2").status == 0
    assert train("run", "run.message=no better", "training.steps=2").status == 0
    stored: Any = Path("run/pipeline.toml").read_text()
    assert 'message = "a first try"' in stored or 'message = "no better"' in stored
