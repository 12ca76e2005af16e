"""The encoder `chars`: texts as their characters, and where they end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from musengine.api import Array, DecodeSettings, Encoded, Encoder, Piece, Score, Text, Tokens
from musengine.errors import UnreadableError
from musengine_charrnn.config import END, FIRST_CHARACTER, UNKNOWN, CharsConfig
from musengine_notation import abc_to_score

_START = np.zeros(1, dtype=np.int64)


class Chars(Encoder[CharsConfig]):
    """Texts to tokens and back; the vocabulary is the characters of the training part."""

    def __init__(self, config: CharsConfig) -> None:
        super().__init__(config)
        self.characters = ""

    @property
    def layout(self) -> Tokens:
        """The layout, with the number of tokens learned so far."""
        return Tokens(size=FIRST_CHARACTER + len(self.characters), end=END)

    def fit(self, pieces: Iterable[Piece]) -> None:
        """Learn which characters there are."""
        found: set[str] = set()
        for piece in pieces:
            if isinstance(piece.content, Text):
                found.update(piece.content.text)
        # Sorted, so that the order of the pieces does not matter.
        self.characters = "".join(sorted(found))

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T + 1,) tokens, the last of them the end; unknown characters are counted."""
        if not isinstance(content, Text):
            raise UnreadableError(
                "characters are read from texts, not from notes", code="score-not-text"
            )
        if not content.text:
            raise UnreadableError("the text is empty", code="file-empty")
        prompt = self.encode_prompt(content.text)
        return Encoded(np.append(prompt.steps, END), dropped=prompt.dropped)

    def encode_prompt(self, text: str) -> Encoded:
        """Return the tokens of a piece's first characters, without an end."""
        known = {c: token for token, c in enumerate(self.characters, FIRST_CHARACTER)}
        tokens = np.array([known.get(c, UNKNOWN) for c in text], dtype=np.int64)
        unknown = int((tokens == UNKNOWN).sum())
        return Encoded(tokens, dropped={"unknown characters": unknown} if unknown else {})

    def decode(self, steps: Array, settings: DecodeSettings) -> Text:
        """Return the text; tokens that stand for no character are left out."""
        wanted = steps[steps >= FIRST_CHARACTER] - FIRST_CHARACTER
        text = "".join(self.characters[index] for index in wanted.tolist())
        return Text(text, self.config.texts)

    def score_of(self, text: Text, settings: DecodeSettings) -> Score:
        """Return the score of an ABC tune, with its own tempo and meter where it says any.

        Raises:
            UnreadableError: it is no tune, or there are no notes in it.
        """
        score = abc_to_score(text.text)
        if not _has_field(text.text, "Q"):
            # As MIDI keeps a tempo, so that what is written reads back as the same.
            beat_us = round(60e6 / settings.tempo)
            score = replace(score, tempo_tick=_START, tempo_bpm=np.array([60e6 / beat_us]))
        if not _has_field(text.text, "M"):
            meter = [[settings.meter.numerator, settings.meter.denominator]]
            score = replace(score, meter_tick=_START, meter=np.array(meter, dtype=np.int64))
        return score

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,) zeros: how long a character lasts is not known."""
        return np.zeros(len(steps))

    def state(self) -> dict[str, Any]:
        """Return the vocabulary."""
        return {"characters": self.characters}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the vocabulary; raises ValueError where it is none."""
        characters = state["characters"]
        if not isinstance(characters, str) or len(set(characters)) < len(characters):
            raise ValueError("a vocabulary is a string in which no character stands twice")
        self.characters = characters


def _has_field(tune: str, letter: str) -> bool:
    """Return whether a tune in ABC has a field, as a line of its own or amid the music."""
    lines = [line.partition("%")[0] for line in tune.splitlines()]
    # Not in a title or the like, which may hold anything.
    music = [line for line in lines if not re.match(r"[A-Za-z+]:", line)]
    return any(line.startswith(f"{letter}:") for line in lines) or any(
        f"[{letter}:" in line for line in music
    )
