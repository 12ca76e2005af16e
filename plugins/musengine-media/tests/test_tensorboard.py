"""Curves of the training as TensorBoard reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musengine.api import Callback, Progress
from musengine.testing import create, run_command

pytest.importorskip("torch")


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def train(callback: Callback, folder: Path, first: int, last: int) -> None:
    callback.on_start(folder, Progress(step=first - 1))
    for step in range(first, last + 1):
        progress = Progress(step=step, loss=1.0 / step, learning_rate=0.5, steps_per_second=8.0)
        callback.on_step(progress)
        if step % 4 == 0:
            callback.on_validation(progress, {"loss": 2.0 / step})
    callback.on_end(progress, "done")


def test_every_third_step_and_every_validation_become_points(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(create("callback", "tensorboard", every=3), tmp_path, 1, 12)
    # A float of TensorBoard has 24 bits.
    assert scalars(tmp_path, "train/loss") == [
        (step, pytest.approx(1 / step, rel=1e-7)) for step in (3, 6, 9, 12)
    ]
    assert scalars(tmp_path, "train/learning rate") == [(step, 0.5) for step in (3, 6, 9, 12)]
    assert scalars(tmp_path, "valid/loss") == [
        (step, pytest.approx(2 / step, rel=1e-7)) for step in (4, 8, 12)
    ]


def test_a_continued_training_hides_the_points_it_makes_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(create("callback", "tensorboard", every=1), tmp_path, 1, 6)
    train(create("callback", "tensorboard", every=1), tmp_path, 4, 8)
    assert [step for step, _ in scalars(tmp_path, "train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_without_the_library_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    (tmp_path / "music").mkdir()
    (tmp_path / "pipe.toml").write_text(
        '[corpus]\npath = "music"\n[model]\ntype = "frequencies"\n'
        '[[callback]]\ntype = "tensorboard"\n'
    )
    done = run_command("run", str(tmp_path / "pipe.toml"))
    assert done.status == 1
    assert 'pip install "musengine-media[tensorboard]"' in done.err
