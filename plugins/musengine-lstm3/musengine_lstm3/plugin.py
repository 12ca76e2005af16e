"""What the plugin declares."""

from __future__ import annotations

from musengine.api import ModelDeclaration, hookimpl
from musengine_lstm3.config import Lstm3Config

musengine_api = ">=1,<2"

CLASSIC = {
    "encoder": {
        "type": "piano-roll",
        "lowest": 21,
        "highest": 108,
        "step": "0.3 seconds",
        "silence_marker": True,
    },
    "model": {
        "layers": [176, 176, 176],
        "skip_connections": True,
        "peepholes": True,
        "dropout": 0.0,
        "initialisation": "classic",
        "weight_sigma": 0.1,
        "start": "fixed",
        "start_range": 0.01,
        "rates": [0.001, 0.001, 0.001, 0.001],
    },
    "training": {
        "epochs": 100,
        "batching": "pieces",
        "batch_size": 5,
        "sequence_length": 100,
        "fill": "repeat",
        "updates_per_batch": 2,
        "optimizer": "rmsprop",
        "learning_rate": 0.001,
        "smoothing": 0.9,
        "epsilon": 1e-5,
        "clip_value": 30.0,
        "clip_norm": 0.0,
        "log_every": 1,
    },
    "sampler": [{"type": "threshold", "threshold": 0.1}],
    "generate": {"prompt": "corpus", "prompt_length": "20 steps", "redraw": False},
}
"""The constants of the original program (LSTMmusic, 2015); its faults are not among them."""


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `lstm3`."""
    return [
        ModelDeclaration(
            name="lstm3",
            summary="Three LSTM layers on a piano-roll, with skip connections and peepholes",
            target="musengine_lstm3.model:Lstm3",
            config=Lstm3Config,
            layouts=("grid",),
            stateful=True,
            records=True,
            presets={"classic": CLASSIC},
            templates={"lstm3": "musengine_lstm3:templates/lstm3.toml"},
            defaults={
                "training": {"optimizer": "adam", "learning_rate": 0.002, "clip_norm": 1.0},
            },
        )
    ]
