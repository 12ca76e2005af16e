"""What the plugin declares."""

from __future__ import annotations

from musengine.api import SamplerDeclaration, hookimpl
from musengine_samplers import config

musengine_api = ">=1,<2"

_GRID, _TOKENS, _BOTH = ("grid",), ("tokens",), ("grid", "tokens")


@hookimpl
def musengine_samplers() -> list[SamplerDeclaration]:
    """Declare what shapes the draw, what leaves out the unlikely, and the guards."""
    return [*_shaping(), *_truncating(), *_guards()]


def _shaping() -> list[SamplerDeclaration]:
    return [
        SamplerDeclaration(
            name="threshold",
            summary="Notes at or below a probability are never drawn, the others as they are",
            target="musengine_samplers.shaping:Threshold",
            config=config.ThresholdConfig,
            layouts=_GRID,
        ),
        SamplerDeclaration(
            name="adaptive",
            summary="The longer few notes sound, the more readily notes are drawn",
            target="musengine_samplers.shaping:Adaptive",
            config=config.AdaptiveConfig,
            layouts=_GRID,
        ),
        SamplerDeclaration(
            name="tempered",
            summary="Probabilities to a power that is drawn once for each piece",
            target="musengine_samplers.shaping:Tempered",
            config=config.TemperedConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="temperature",
            summary="Logits divided by a temperature: safer below 1, more varied above",
            target="musengine_samplers.shaping:Temperature",
            config=config.TemperatureConfig,
            layouts=_BOTH,
            options={"temperature": "temperature"},
        ),
    ]


def _truncating() -> list[SamplerDeclaration]:
    return [
        SamplerDeclaration(
            name="top-k",
            summary="Only the k likeliest tokens, or notes of a step, are drawn from",
            target="musengine_samplers.truncation:TopK",
            config=config.TopKConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="nucleus",
            summary="Only the likeliest tokens that together reach a probability (top-p)",
            target="musengine_samplers.truncation:Nucleus",
            config=config.NucleusConfig,
            layouts=_TOKENS,
            options={"top-p": "p"},
        ),
        SamplerDeclaration(
            name="min-p",
            summary="Only tokens with a share of the likeliest token's probability",
            target="musengine_samplers.truncation:MinP",
            config=config.MinPConfig,
            layouts=_TOKENS,
        ),
    ]


def _guards() -> list[SamplerDeclaration]:
    return [
        SamplerDeclaration(
            name="longest-note",
            summary="Guard: no note is held longer than a length",
            target="musengine_samplers.guards:LongestNote",
            config=config.LongestNoteConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="longest-rest",
            summary="Guard: silence lasts no longer than a length",
            target="musengine_samplers.guards:LongestRest",
            config=config.LongestRestConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="notes-at-once",
            summary="Guard: at least, or at most, so many notes sound at once",
            target="musengine_samplers.guards:NotesAtOnce",
            config=config.NotesAtOnceConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="smallest-interval",
            summary="Guard: notes that sound at once keep a distance",
            target="musengine_samplers.guards:SmallestInterval",
            config=config.SmallestIntervalConfig,
            layouts=_BOTH,
        ),
        SamplerDeclaration(
            name="scale",
            summary="Guard: only notes of a key and scale are drawn",
            target="musengine_samplers.guards:Scale",
            config=config.ScaleConfig,
            layouts=_BOTH,
        ),
    ]
