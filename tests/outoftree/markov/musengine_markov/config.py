"""The plugin's settings and its layout; no torch, so that checking a pipeline stays quick."""

from __future__ import annotations

from dataclasses import dataclass

from musengine.api import (
    Config,
    CorpusSurvey,
    EncoderConfig,
    Layout,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class ChordSymbols(Layout):
    """One whole number for each step: 0 is silence, 1 to `size - 1` are chords.

    `size` is 0 until the encoder has learned its chords from the training part.
    """

    name: str = "chord-symbols"
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class ChordsConfig(EncoderConfig):
    """The chord of each step, as one symbol of a learned vocabulary."""

    beats: int = setting(1, doc="Beats (quarter notes) one symbol stands for.", low=1, high=16)
    most: int = setting(
        500, doc="How many chords are learned at the most, the frequent ones first.", low=1
    )

    def layout(self) -> Layout:
        """Return the layout, its size not known yet."""
        return ChordSymbols()


@dataclass(frozen=True, kw_only=True)
class MarkovConfig(ModelConfig):
    """Counts which chord follows which."""

    order: int = setting(
        2, doc="How many chords back it looks; each counts half as much.", low=1, high=8
    )
    smoothing: float = setting(
        0.01, doc="Added to every count, so that nothing is impossible.", above=0.0
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for chords on the beat; what the notes do between them it does not see."""
        if survey.only_drums or not survey.on_beat or survey.polyphony < 2:
            return None
        tables = {"encoder": {"type": "chords"}, "model": {"type": "markov"}}
        # It has counted all there is at once, whatever time there is.
        size = SuggestedSize(tables=tables, fit=0.3, steps=1)
        return Suggestion(why="it counts which chord follows which", sizes=(size,))


@dataclass(frozen=True, kw_only=True)
class NextChordConfig(Config):
    """Draws the next chord, and moves on from one held too long."""

    temperature: float = setting(
        1.0, doc="Above 1 more adventurous, below 1 more predictable.", above=0.0
    )
    longest: int = setting(8, doc="Steps one chord may last.", low=1)
