"""What the plugin declares."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, ModelDeclaration, Requirement, hookimpl
from musengine_remi.config import MidiTokConfig, TransformerConfig

musengine_api = ">=1,<2"


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoder `miditok`."""
    return [
        EncoderDeclaration(
            name="miditok",
            summary="Scores as tokens of MidiTok: REMI, TSD or structured",
            target="musengine_remi.encoder:MidiTokEncoder",
            config=MidiTokConfig,
            requires=(Requirement(module="miditok", install="pip install miditok"),),
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `token-transformer`."""
    return [
        ModelDeclaration(
            name="token-transformer",
            summary="A decoder-only transformer over tokens, with rotary positions",
            target="musengine_remi.model:Transformer",
            config=TransformerConfig,
            layouts=("tokens",),
            templates={"remi": "musengine_remi:templates/remi.toml"},
            defaults={
                "encoder": {"type": "miditok"},
                "training": {
                    "batch_size": 8,
                    "sequence_length": 256,
                    "optimizer": "adamw",
                    "learning_rate": 0.001,
                    "schedule": "cosine",
                    "clip_norm": 1.0,
                },
                "metric": [{"type": "nll"}, {"type": "accuracy"}, {"type": "perplexity"}],
            },
        )
    ]
