"""What the plugin declares."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, Follows, ModelDeclaration, hookimpl
from musengine_melody.config import MelodyEncoderConfig, MelodyModelConfig

musengine_api = ">=1,<2"

CLASSIC = {
    "corpus": {"valid": 0.2},
    "encoder": {
        "type": "melody",
        "step": "0.25 seconds",
        "hold": False,
        "tolerance": 0.0,
        "skyline": False,
        # Tracks with no more notes than a window has steps were left out.
        "fewest_notes": Follows("training", "sequence_length", plus=1),
    },
    "model": {"layers": [64], "dropout": 0.2},
    "training": {
        "epochs": 10,
        "batching": "windows",
        "sequence_length": 20,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "schedule": "plateau",
        "plateau_patience": 3,
        "plateau_factor": 0.5,
        "clip_value": 5.0,
        "clip_norm": 0.0,
        "checkpoint_every": "1 epoch",
        "keep_checkpoints": "all",
    },
    "sampler": [{"type": "categorical"}],
    "generate": {
        "count": 10,
        "length": "1000 steps",
        "prompt": "corpus",
        "prompt_length": "20 steps",
        "velocity": 127,
        "redraw": False,
    },
}
"""The constants of the original program (midi-rnn, 2017); its faults are not among them."""


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoder `melody`."""
    return [
        EncoderDeclaration(
            name="melody",
            summary="The single melodies of every score: a rest, a pitch or `hold` in each step",
            target="musengine_melody.encoder:Melody",
            config=MelodyEncoderConfig,
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `melody`."""
    return [
        ModelDeclaration(
            name="melody",
            summary="LSTM layers on one token after another, with a softmax over the next",
            target="musengine_melody.model:MelodyLSTM",
            config=MelodyModelConfig,
            layouts=("tokens",),
            stateful=True,
            records=True,
            presets={"classic": CLASSIC},
            templates={"melody": "musengine_melody:templates/melody.toml"},
            defaults={
                "encoder": {"type": "melody"},
                "training": {
                    "batching": "stateful",
                    "optimizer": "adam",
                    "learning_rate": 0.003,
                    "clip_norm": 1.0,
                },
                "metric": [{"type": "nll"}, {"type": "accuracy"}, {"type": "perplexity"}],
            },
        )
    ]
