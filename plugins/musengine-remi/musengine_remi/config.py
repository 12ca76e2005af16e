"""Settings of MidiTok's tokenisers and of the transformer; neither MidiTok nor PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from musengine.api import (
    CorpusSurvey,
    EncoderConfig,
    Kept,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    Tokens,
    Window,
    setting,
)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MidiTokConfig(EncoderConfig):
    """A score as one sequence of MidiTok's tokens: when, program, pitch, velocity, duration."""

    tokenizer: Literal["remi", "tsd", "structured"] = setting(
        "remi",
        doc="How time is told: `remi` by bars and positions in them, `tsd` by the time from event "
        "to event, `structured` by that from note to note, with neither tempo nor metre.",
    )
    resolution: Literal[4, 6, 8, 12] = setting(8, doc="Positions in each beat of the metre.")
    longest: int = setting(
        12, doc="Beats of the longest note; one that is longer is cut.", low=5, high=64
    )
    velocities: int = setting(16, doc="How many velocities are told apart.", low=1, high=127)
    tempos: int = setting(64, doc="How many tempos from 40 to 250 are told apart.", low=2, high=512)

    def layout(self) -> Tokens:
        """Return the layout without its tokens: to count them MidiTok must be imported."""
        return Tokens()

    def keeps(self) -> tuple[Kept, ...]:
        """Return that programs and velocities are told of each note."""
        return ("program", "velocity")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TransformerConfig(ModelConfig):
    """A decoder-only transformer: each token attends to a bounded stretch before it."""

    layers: int = setting(4, doc="Layers of attention.", low=1, high=128)
    units: int = setting(256, doc="Numbers that stand for each token.", low=8, high=16384)
    heads: int = setting(4, doc="Heads of each layer's attention.", low=1, high=256)
    context: int = setting(
        512, doc="Tokens that each one attends to, itself counted.", low=2, high=2**17
    )
    dropout: float = setting(
        0.1, doc="Share of each layer's results dropped in training.", low=0.0, below=1.0
    )

    def window(self) -> Window:
        """Return that long pieces are scored with at least half the context before each token."""
        return Window(self.context, self.context // 2)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield heads that do not share the units evenly, in pairs."""
        if self.units % (2 * self.heads):
            yield "units", f"must be a multiple of {2 * self.heads}, twice the heads"

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself, modestly, for music of several parts that keeps a beat."""
        tuneful = survey.single_lines <= 0.5 and not survey.only_drums
        if "score" not in survey.contents or not survey.on_beat or not tuneful:
            return None
        fit = 0.4 if survey.drums else 0.3
        return Suggestion(
            why="it learns instruments, drums and velocities too",
            sizes=(
                SuggestedSize(tables=_tables(survey, layers=2, units=128), fit=0.2, steps=1000),
                SuggestedSize(tables=_tables(survey, layers=4, units=256), fit=fit, steps=5000),
            ),
        )


def _tables(survey: CorpusSurvey, *, layers: int, units: int) -> dict[str, Any]:
    """Return what is proposed for some music, whose rhythm the positions are to hold."""
    needed = max(survey.steps(1), 1)
    resolution = next((positions for positions in (4, 6, 8, 12) if positions % needed == 0), 8)
    return {
        "corpus": {"transpose": "-3..3" if survey.few else []},
        "encoder": {"type": "miditok", "resolution": resolution},
        "model": {"type": "token-transformer", "layers": layers, "units": units},
    }
