"""What the plugin offers: declarations only. The classes are imported when a pipeline uses them."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, ModelDeclaration, SamplerDeclaration, hookimpl
from musengine_markov.config import ChordsConfig, MarkovConfig, NextChordConfig

musengine_api = ">=1,<2"
"""The versions of musengine's plugin API that this is made for."""


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoder `chords`."""
    return [
        EncoderDeclaration(
            name="chords",
            summary="The chord of each beat, as one symbol of a learned vocabulary",
            target="musengine_markov.encoder:Chords",
            config=ChordsConfig,
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `markov`."""
    return [
        ModelDeclaration(
            name="markov",
            summary="Counts which chord follows which",
            target="musengine_markov.model:Markov",
            config=MarkovConfig,
            layouts=("chord-symbols",),
            training="fit",  # it sees the training part once, no optimizer
            # A pipeline that names this model needs to name nothing else.
            defaults={"encoder": {"type": "chords"}, "training": {"batching": "pieces"}},
        )
    ]


@hookimpl
def musengine_samplers() -> list[SamplerDeclaration]:
    """Declare the sampler `next-chord`."""
    return [
        SamplerDeclaration(
            name="next-chord",
            summary="Draws the next chord, and moves on from one held too long",
            target="musengine_markov.sampler:NextChord",
            config=NextChordConfig,
            layouts=("chord-symbols",),
        )
    ]
