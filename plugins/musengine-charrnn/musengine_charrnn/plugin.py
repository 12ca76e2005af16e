"""What the plugin declares."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, ModelDeclaration, hookimpl
from musengine_charrnn.config import CharRnnConfig, CharsConfig, TextRollConfig

musengine_api = ">=1,<2"

CLASSIC = {
    "encoder": {"type": "text-roll", "step": "1/16 beat", "tempo": 120.0},
    "model": {
        "cell": "lstm",
        "layers": 3,
        "units": 178,
        "embedding": 178,
        "dropout": 0.0,
        "tied": False,
    },
    "training": {
        "epochs": 500,
        "batching": "stateful",
        "batch_size": 1,
        "sequence_length": 64,
        "optimizer": "adam",
        "rate_per_piece": True,
        "clip_norm": 0.0,
        "checkpoint_every": "1 epoch",
        "keep_checkpoints": 1,
    },
    "sampler": [{"type": "categorical"}],
    "generate": {"prompt": "none", "redraw": False},
}
"""The constants of the original program (MusicRNN, after char-rnn); its faults are not among them.
"""


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoders `text-roll` and `chars`."""
    return [
        EncoderDeclaration(
            name="text-roll",
            summary="A piano-roll as text: a character for each note, a separator for each step",
            target="musengine_charrnn.textroll:TextRoll",
            config=TextRollConfig,
        ),
        EncoderDeclaration(
            name="chars",
            summary="The characters of texts, such as ABC tunes, and where they end",
            target="musengine_charrnn.chars:Chars",
            config=CharsConfig,
            defaults={
                "generate": {
                    "prompt": "none",
                    "length": "3000 tokens",
                    "prompt_length": "64 tokens",
                }
            },
        ),
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `charrnn`."""
    return [
        ModelDeclaration(
            name="charrnn",
            summary="LSTM or GRU layers over characters, each predicted from all before it",
            target="musengine_charrnn.model:CharRnn",
            config=CharRnnConfig,
            layouts=("tokens",),
            stateful=True,
            records=True,
            presets={"classic": CLASSIC},
            templates={
                "charrnn": "musengine_charrnn:templates/charrnn.toml",
                "charrnn-abc": "musengine_charrnn:templates/charrnn-abc.toml",
            },
            defaults={
                "encoder": {"type": "text-roll"},
                "training": {
                    "batching": "stateful",
                    "batch_size": 64,
                    "sequence_length": 64,
                    "optimizer": "adam",
                    "learning_rate": 0.002,
                    "clip_norm": 1.0,
                },
                "generate": {"prompt": "none"},
            },
        )
    ]
