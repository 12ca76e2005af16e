"""What the plugin declares."""

from __future__ import annotations

from musengine.api import EncoderDeclaration, ModelDeclaration, SamplerDeclaration, hookimpl
from musengine_notes.config import NotesEncoderConfig, NotesModelConfig, NotesSamplerConfig

musengine_api = ">=1,<2"


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the encoder `notes`."""
    return [
        EncoderDeclaration(
            name="notes",
            summary="One step for each note: when, which instrument, pitch, how long, how loud",
            target="musengine_notes.encoder:Notes",
            config=NotesEncoderConfig,
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `notes`."""
    return [
        ModelDeclaration(
            name="notes",
            summary="Each note from all before it, field by field, with what came bars ago in view",
            target="musengine_notes.model:NoteModel",
            config=NotesModelConfig,
            layouts=("notes",),
            stateful=True,
            own_loss=True,
            steering=("infill", "instruments", "density", "key"),
            templates={
                name: f"musengine_notes:templates/{name}.toml"
                for name in ("notes-band", "notes-chorales", "notes-piano")
            },
            defaults={
                "encoder": {"type": "notes"},
                "training": {
                    "batching": "stateful",
                    "batch_size": 12,
                    "sequence_length": 128,
                    "optimizer": "adamw",
                    "learning_rate": 0.002,
                    "schedule": "cosine",
                    "clip_norm": 1.0,
                },
            },
        )
    ]


@hookimpl
def musengine_samplers() -> list[SamplerDeclaration]:
    """Declare the sampler `notes`."""
    return [
        SamplerDeclaration(
            name="notes",
            summary="Draws the fields of a note one after another from their likeliest values",
            target="musengine_notes.sampler:NotesSampler",
            config=NotesSamplerConfig,
            layouts=("notes",),
            options={"temperature": "temperature", "top-p": "top_p"},
            default_for=("notes",),
        )
    ]
