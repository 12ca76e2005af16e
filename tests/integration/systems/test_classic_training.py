"""The pipelines of the older programs with every optimizer and every loss, two steps each."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from musengine.music.score import Score
from musengine.plugins import manager
from musengine.runs.pipelines import load_pipeline
from musengine.runs.run import run_pipeline
from musengine.testing import load_checkpoint, write_midi

PIPELINES = Path(__file__).resolve().parents[3] / "pipelines"
SMALL = {
    "biaxial-classic": ("model.time_layers=[6, 5]", "model.note_layers=[4, 3]"),
    "musicguru": ("model.time_layers=[6, 5]", "model.note_layers=[4, 3]"),
    "lstm3-classic": ("model.layers=[8, 8, 8]",),
    "midi-rnn": ("model.layers=[8]",),
    "charrnn": ("model.units=8", "model.embedding=8"),
}
OWN_RATES = {
    "adadelta": 1.0,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamax": 0.002,
    "adamw": 0.001,
    "nadam": 0.002,
    "rmsprop": 0.01,
    "sgd": 0.001,
}
"""What each optimizer takes where nobody names a rate: PyTorch's defaults."""


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six melodies of sixty notes and more, of half a beat each."""
    folder = tmp_path_factory.mktemp("midi")
    for k in range(6):
        onset = np.arange(60 + k) * 240
        pitch = 60 + np.arange(60 + k) * (2 * k + 1) % 12
        score = Score.from_notes(onset, 240, pitch, ticks_per_beat=480, meters=[(0, 4, 4)])
        write_midi(score, folder / f"{k}.mid")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_optimizer_and_loss_count(name: str, midi: Path, workplace: Path) -> None:
    trained: dict[tuple[str, str], str] = {}
    registry = manager.load().registry
    optimizers, losses = registry.names("optimizer"), registry.names("loss")
    assert set(OWN_RATES) <= set(optimizers)
    assert len(losses) >= 2
    common = (
        *(f"corpus.path={midi}", "corpus.jobs=1", "training.steps=2", "training.threads=1"),
        *(*SMALL[name], "output=[]", 'callback=[{type="console"}]'),
    )
    own = load_pipeline(PIPELINES / f"{name}.toml", common)
    for optimizer in optimizers:
        for loss in losses:
            chosen = (*common, f"training.optimizer={optimizer}", f"loss.type={loss}")
            pipeline = load_pipeline(PIPELINES / f"{name}.toml", chosen)
            assert pipeline.omitted == ()
            if optimizer == own.optimizer.name:
                assert pipeline.training == own.training
            elif optimizer in OWN_RATES:
                assert pipeline.training.learning_rate == OWN_RATES[optimizer]
            run = run_pipeline(pipeline, f"{optimizer}-{loss}", train_only=True)
            weights = load_checkpoint(run.path).model
            digest = hashlib.sha256(b"".join(w.numpy().tobytes() for w in weights.values()))
            trained[optimizer, loss] = digest.hexdigest()
    same = [pair for pair in trained if [*trained.values()].count(trained[pair]) > 1]
    assert same == []
