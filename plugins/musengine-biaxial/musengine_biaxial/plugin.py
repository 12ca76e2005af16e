"""What the plugin declares."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, ModelDeclaration, hookimpl
from musengine_biaxial.config import BiaxialConfig, BiaxialEncoderConfig

musengine_api = ">=1,<2"

CLASSIC = {
    "encoder": {
        "type": "biaxial",
        "lowest": 24,
        "highest": 101,
        "step": "1/4 beat",
        "notes": "onsets",
        "meters": "cut",
        "numerators": [2, 4],
    },
    "model": {
        "time_layers": [300, 300],
        "note_layers": [100, 50],
        "dropout": 0.5,
        "beat": "classic",
        "position": "index",
        "candidate": "linear",
        "start": "fixed",
        "initialisation": "classic",
    },
    "training": {
        "steps": 10_000,
        "batching": "segments",
        "batch_size": 10,
        "sequence_length": 128,
        "align": 16,
        "loss_reduction": "sum",
        "optimizer": "adadelta",
        "learning_rate": 1.0,
        "smoothing": 0.95,
        "epsilon": 1e-6,
        "clip_each_norm": 5.0,
        "clip_norm": 0.0,
        "keep_checkpoints": "all",
    },
    "sampler": [{"type": "adaptive"}],
    "generate": {
        "prompt": "corpus",
        "prompt_length": "1 steps",
        "length": "1280 steps",
        "redraw": False,
    },
}
"""The constants of the original program (biaxial-rnn-music-composition, 2015)."""


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoder `biaxial`."""
    return [
        EncoderDeclaration(
            name="biaxial",
            summary="A grid of play and articulate with each step's place in bar and beat",
            target="musengine_biaxial.encoder:BiaxialEncoder",
            config=BiaxialEncoderConfig,
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `biaxial`."""
    return [
        ModelDeclaration(
            name="biaxial",
            summary="LSTM layers along time for every note, then from note to note",
            target="musengine_biaxial.model:Biaxial",
            config=BiaxialConfig,
            layouts=("grid",),
            stateful=True,
            records=True,
            presets={"classic": CLASSIC},
            templates={"biaxial": "musengine_biaxial:templates/biaxial.toml"},
            defaults={
                "encoder": {"type": "biaxial"},
                "training": {
                    "optimizer": "adam",
                    "learning_rate": 0.002,
                    "clip_norm": 1.0,
                    "batch_size": 10,
                },
                "sampler": [{"type": "adaptive"}],
            },
        )
    ]
