"""What a folder of music is like, and what a model proposes for it: how models are chosen among.

Nothing here imports torch or NumPy, as nothing does that settings are declared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from musengine.utils.by_value import ByValue


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CorpusSurvey(ByValue):
    """What a corpus is like, told from a sample of its files; whole amounts are estimates.

    Attributes:
        files: how many there are.
        contents: what its files can be read as: `score`, `text` or both.
        notation: of the texts, such as `abc` or `plain`; empty where there are none.
        pieces: how many there are.
        notes: how many there are, drums included.
        beats: quarter notes of music.
        seconds: of music.
        characters: of the texts.
        polyphony: how many notes sound at once where any does.
        single_lines: share of the pieces in which hardly two notes sound at once, 0 to 1.
        melodies: share of the notes that are in tracks in which hardly two notes sound at once.
        drums: share of the notes that are drums.
        step: time step for the music: the coarsest that keeps its rhythm, as `1/4 beat`; where
            the music keeps no beat, in seconds.
        on_beat: whether it keeps a beat.
        tempo: quarter notes per minute, the median.
        lowest: pitch, a MIDI number; one in a thousand notes is lower.
        highest: pitch; one in a thousand notes is higher.
        shortest: beats of a piece; one piece in ten is shorter.
        usual: beats of a piece, the median.
    """

    files: int
    contents: tuple[Literal["score", "text"], ...] = ("score",)
    notation: str = ""
    pieces: int = 0
    notes: int = 0
    beats: float = 0.0
    seconds: float = 0.0
    characters: int = 0
    polyphony: float = 0.0
    single_lines: float = 0.0
    melodies: float = 0.0
    drums: float = 0.0
    step: str = "1/4 beat"
    on_beat: bool = True
    tempo: float = 120.0
    lowest: int = 21
    highest: int = 108
    shortest: float = 0.0
    usual: float = 0.0

    @property
    def only_drums(self) -> bool:
        """Whether there is hardly a note that is no drum."""
        return self.notes > 0 and self.drums > 0.95

    @property
    def few(self) -> bool:
        """Whether there are so few pieces that copies in other keys help not to learn by heart."""
        return 0 < self.pieces < 30

    def steps(self, beats: float) -> int:
        """Return how many time steps, of `step` each, so many beats have."""
        size, unit = self.step.split()
        time = Fraction(beats) if unit == "beat" else Fraction(beats) * 60 / Fraction(self.tempo)
        return int(time / Fraction(size))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SuggestedSize(ByValue):
    """One size of a model for some music.

    Attributes:
        tables: values for the tables of a pipeline, `model` with its `type` among them. A
            component in one of their lists that is not installed is left out.
        fit: how good the music is that this size learns to make, 0 to 1, once it has been trained
            for `steps`: 0.2 where it can be trained on such music at all, 0.5 where its pieces are
            worth hearing, 0.8 where no other model is known to do better.
        steps: optimizer steps that this takes, measured or guessed. How long a step takes on this
            machine is timed by the engine.
    """

    tables: Mapping[str, Any]
    fit: float
    steps: int


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Suggestion(ByValue):
    """What a model proposes for some music.

    Attributes:
        why: a phrase that says what makes it suit this music.
        sizes: in any order; of all models' sizes the fittest is taken for whose steps there is
            time.
    """

    why: str
    sizes: tuple[SuggestedSize, ...] = field(default=())
