"""Settings of the character model and of its two encoders; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from musengine.api import (
    Content,
    CorpusSurvey,
    EncoderConfig,
    GridStep,
    Layout,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    Tokens,
    setting,
)

ALPHABET = (
    'GINSBLDPKUzEJ@ROFMQ=CWHZX;T?V>xA6<Y89[74:{]^a3/5102`+-cb.d*,f(e)hg$i|kj#}ml&!npotq"sruwy'
)
"""One character for each key of a piano, low to high."""

END, UNKNOWN, FIRST_CHARACTER = 0, 1, 2
"""Tokens of the encoder `chars`: where a text ends, what was not learned, then the characters."""

_TRAINING = {
    "batch_size": 32,
    "sequence_length": 64,
    "learning_rate": 0.003,
    "schedule": "cosine",
}
"""What is proposed for any music."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TextRollConfig(EncoderConfig):
    """A piano-roll as text: a character for each note that sounds, a separator for each step."""

    alphabet: str = setting(ALPHABET, doc="One character for each pitch, low to high.")
    lowest: int = setting(21, doc="Pitch of the first character, a MIDI number.", low=0, high=127)
    separator: str = setting("_", doc="The character that ends a step.")
    step: GridStep = setting(
        GridStep(Fraction(1, 16), "beat"),
        doc="Length of one time step: a fraction of a beat (a quarter note), or seconds.",
    )
    tempo: float = setting(
        120.0,
        doc="Beats (quarter notes) per minute of a score that is made from a text alone; what is "
        "generated has the tempo of [generate].",
        low=4.0,
        high=1000.0,
    )
    drums: bool = setting(False, doc="Read drum tracks as if they were pitched notes.")

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield characters that stand for two things or cannot be kept in a file of lines."""
        if len(self.separator) != 1:
            yield "separator", f"expected one character, got {self.separator!r}"
        elif not self.separator.isprintable() or self.separator.isspace():
            yield "separator", "must be a character that prints"
        if not self.alphabet:
            yield "alphabet", "expected a character for each pitch, got none"
        if not self.alphabet.isprintable() or any(map(str.isspace, self.alphabet)):
            yield "alphabet", "must hold characters that print, and no blanks"
        twice = sorted({c for c in self.alphabet if self.alphabet.count(c) > 1})
        if twice:
            yield "alphabet", f"{''.join(twice)!r} stands there more than once"
        if self.separator in self.alphabet:
            yield "separator", f"{self.separator!r} is in the alphabet too"
        if self.lowest + len(self.alphabet) > 128:
            yield "alphabet", f"from pitch {self.lowest} there are only {128 - self.lowest} left"

    def layout(self) -> Layout:
        """Return the tokens: a pitch for each character, and last the separator, which steps."""
        pitches = len(self.alphabet)
        meanings = {token: ("pitch", self.lowest + token) for token in range(pitches)}
        return Tokens(size=pitches + 1, step=self.step, meanings={**meanings, pitches: ("step", 1)})

    def accepts(self) -> tuple[Content, ...]:
        """Return that scores and texts are taken."""
        return ("score", "text")

    def produces(self) -> tuple[Content, ...]:
        """Return that a text and the score it stands for are given."""
        return ("text", "score")

    def notation(self) -> str:
        """Return the notation's name."""
        return "text-roll"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CharsConfig(EncoderConfig):
    """Texts as their characters, of which those of the training part are learned."""

    texts: Literal["abc", "plain"] = setting(
        "abc",
        doc="What the texts are: `abc` for tunes in ABC notation, which are also given as scores "
        "where music21 can read them; `plain` for any other text.",
    )

    def layout(self) -> Layout:
        """Return the tokens, their number not known yet; a text's end is one of them."""
        return Tokens(end=END)

    def accepts(self) -> tuple[Content, ...]:
        """Return that texts are taken."""
        return ("text",)

    def produces(self) -> tuple[Content, ...]:
        """Return that a text is given, and of ABC tunes the score."""
        return ("text", "score") if self.texts == "abc" else ("text",)

    def tells_time(self) -> bool:
        """Return that characters have no musical time."""
        return False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CharRnnConfig(ModelConfig):
    """Recurrent layers over characters: each predicts the next from all before it."""

    cell: Literal["lstm", "gru"] = setting("lstm", doc="Kind of the recurrent layers.")
    layers: int = setting(3, doc="How many recurrent layers.", low=1, high=32)
    units: int = setting(178, doc="Units of each layer.", low=1, high=8192)
    embedding: int = setting(178, doc="Numbers that stand for a character.", low=1, high=8192)
    dropout: float = setting(
        0.0, doc="Share of every layer's outputs that is dropped in training.", low=0.0, below=1.0
    )
    tied: bool = setting(
        False,
        doc="The output layer has the embedding's weights; where the widths differ a linear layer "
        "stands between.",
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for texts, tunes in ABC first of all; else for music as text-rolls."""
        sizes = (([2, 128], 300), ([3, 178], 2500))
        if survey.notation and survey.characters:
            why = "it learns the tunes as they are written, letter by letter"
            fits, tables = (0.55, 0.75), _of_texts
        elif survey.notes and not survey.only_drums:
            why = "it reads music as a text, a character for each note"
            fits, tables = (0.25, 0.3), _of_scores
        else:
            return None
        return Suggestion(
            why=why,
            sizes=tuple(
                SuggestedSize(tables=tables(survey, layers, units), fit=fit, steps=steps)
                for ((layers, units), steps), fit in zip(sizes, fits, strict=True)
            ),
        )


def _of_texts(survey: CorpusSurvey, layers: int, units: int) -> dict[str, Any]:
    """Return what is proposed for texts as they are."""
    tunes = survey.notation == "abc"
    start = {"prompt_text": "X:"} if tunes else {"prompt": "none"}
    return {
        "encoder": {"type": "chars", "texts": "abc" if tunes else "plain"},
        "model": _model(layers, units),
        "training": dict(_TRAINING),
        # One character that is hardly ever there can spoil a whole tune.
        "sampler": [{"type": "nucleus", "p": 0.9}],
        "generate": {"length": "3000 tokens", **start},
    }


def _of_scores(survey: CorpusSurvey, layers: int, units: int) -> dict[str, Any]:
    """Return what is proposed for scores, which are written as text-rolls."""
    time = "beats" if survey.on_beat else "seconds"
    return {
        "corpus": {"key": "common", "transpose": "-2..2" if survey.few else []},
        "encoder": {"type": "text-roll", "step": survey.step},
        "model": _model(layers, units),
        "training": dict(_TRAINING),
        "sampler": [
            {"type": "min-p", "p": 0.05},
            {"type": "longest-note", "length": f"8 {time}"},
            {"type": "longest-rest", "length": f"2 {time}"},
        ],
        "generate": {"prompt": "corpus"},
    }


def _model(layers: int, units: int) -> dict[str, Any]:
    return {
        "type": "charrnn",
        "layers": layers,
        "units": units,
        "embedding": units,
        "dropout": 0.2,
    }
