"""The encoder `text-roll`: a piano-roll as text, a character for each note and each step.

A step is the characters of the notes that sound in it, low to high, and the separator. Empty steps
at the beginning and the end are left out, and a separator stands before the first step. So C4 and
E4 for two steps, one step of silence and one of G4 are written as `_4^_4^__/_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.api import (
    MAX_GRID_STEPS,
    Array,
    DecodeSettings,
    Encoded,
    Encoder,
    Grid,
    LeftOut,
    Score,
    Text,
    decode_piano_roll,
    encode_piano_roll,
    grid_times,
    left_out_of_grid,
    pitched_notes,
)
from musengine.errors import UnreadableError
from musengine_charrnn.config import TextRollConfig

Tokens = npt.NDArray[np.int64]


class TextRoll(Encoder[TextRollConfig]):
    """Scores and texts to tokens, the characters' places in the alphabet, and back to texts.

    All tracks are united. A note that is struck while it sounds is silent in the step before, so
    that one can see it; where the step before is itself the whole of a note, that note stays and
    the two are one.
    """

    def __init__(self, config: TextRollConfig) -> None:
        super().__init__(config)
        self.pitches = len(config.alphabet)
        characters = np.array([ord(c) for c in config.alphabet + config.separator])
        # For looking up by bisection: character codes have gaps of any size.
        self._order = np.argsort(characters)
        self._code_of_token, self._sorted_codes = characters, characters[self._order]

    @property
    def grid(self) -> Grid:
        """The roll that a text is written from."""
        return Grid(
            lowest=self.config.lowest,
            pitches=self.pitches,
            channels=("sound", "onset"),
            step=self.config.step,
        )

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T,) tokens; notes out of range and unknown characters are counted."""
        if isinstance(content, Text):
            tokens, unknown = self._tokens_of(content)
            return Encoded(tokens, dropped={"unknown characters": unknown} if unknown else {})
        score = pitched_notes(content, drums=self.config.drums)
        roll_TPC, dropped = encode_piano_roll(score, self.grid)
        sound_TP, onset_TP = roll_TPC[..., 0].astype(bool), roll_TPC[..., 1].astype(bool)
        # Silent where the next step strikes the note again, unless this step is itself its onset.
        sound_TP[:-1] &= onset_TP[:-1] | ~onset_TP[1:]
        return Encoded(self._written(sound_TP), dropped=dropped)

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what a text-roll has no place for."""
        config = self.config
        return left_out_of_grid(
            content,
            step=config.step,
            lowest=config.lowest,
            highest=config.lowest + self.pitches - 1,
            onsets=True,
            drums=config.drums,
        )

    def encode_prompt(self, text: str) -> Encoded:
        """Return the tokens of a piece's first characters.

        Raises:
            UnreadableError: a character stands for nothing.
        """
        tokens, unknown = self._known(text)
        if unknown:
            strange = "".join(sorted(set(text) - set(self.config.alphabet + self.config.separator)))
            raise UnreadableError(
                f"{strange!r} are no characters of a text-roll", code="unknown-characters"
            )
        return Encoded(tokens)

    def decode(self, steps: Array, settings: DecodeSettings) -> Text:
        """Return the text that tokens (T,) spell."""
        codes = self._code_of_token[steps.astype(np.int64)]
        return Text("".join(map(chr, codes.tolist())), self.config.notation())

    def score_of(self, text: Text, settings: DecodeSettings) -> Score:
        """Return a text's notes on one track; order and repetition within a step do not count.

        Raises:
            UnreadableError: there is nothing of a text-roll in it, or too much.
        """
        tokens, _ = self._tokens_of(text)
        step = self._steps_before(tokens)
        notes = tokens != self.pitches
        if not notes.any():
            raise UnreadableError("no notes in it", code="no-notes")
        total = int(step[-1]) + 1
        if total > MAX_GRID_STEPS:
            raise UnreadableError(
                f"{total} time steps are more than {MAX_GRID_STEPS}", code="piece-too-long"
            )
        roll_TPC = np.zeros((total, self.pitches, 2), dtype=np.uint8)
        roll_TPC[step[notes], tokens[notes], 0] = 1
        # What MIDI can write is rounded, and the ticks must be those of the tempo as written.
        tempo = 60e6 / round(60e6 / settings.tempo)
        return decode_piano_roll(roll_TPC, self.grid, tempo=tempo, meter=settings.meter)

    def to_text(self, score: Score) -> Text:
        """Write a score as a text."""
        return self.decode(self.encode(score).steps, DecodeSettings())

    def dropped_in_text(self, score: Score) -> Mapping[str, int]:
        """Return how many notes are out of range."""
        return self.encode(score).dropped

    def from_text(self, text: Text) -> Score:
        """Read a text's notes, at the tempo of the settings."""
        return self.score_of(text, DecodeSettings(tempo=self.config.tempo))

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): only separators move time on."""
        passed = self._steps_before(steps) + (steps == self.pitches)
        whole = grid_times(int(passed.max(initial=0)), self.config.step, unit, settings.tempo)
        times: npt.NDArray[np.float64] = np.concatenate([[0.0], whole])[passed]
        return times

    def _written(self, sound_TP: npt.NDArray[np.bool_]) -> Tokens:
        """Return the tokens of a roll, without its empty steps at both ends."""
        sounding = np.flatnonzero(sound_TP.any(axis=1))
        used_TP = sound_TP[sounding[0] : sounding[-1] + 1]
        # Each step's row of notes ends with a separator; read row by row that is the text.
        _, tokens = np.nonzero(np.pad(used_TP, ((0, 0), (0, 1)), constant_values=True))
        result: Tokens = np.concatenate([[self.pitches], tokens]).astype(np.int64)
        return result

    def _tokens_of(self, text: Text) -> tuple[Tokens, int]:
        """Return the tokens of a text and how many of its characters are none.

        Raises:
            UnreadableError: there is no separator in it.
        """
        tokens, unknown = self._known(text.text)
        if self.pitches not in tokens:
            raise UnreadableError(
                f"no text-roll: there is no separator {self.config.separator!r} in it",
                code="not-a-text-roll",
            )
        return tokens, unknown

    def _known(self, text: str) -> tuple[Tokens, int]:
        """Return the tokens of known characters, and how many others there are, blanks aside."""
        bare = "".join(text.split())
        codes = np.fromiter(map(ord, bare), dtype=np.int64, count=len(bare))
        place = np.searchsorted(self._sorted_codes, codes).clip(max=self.pitches)
        known = self._sorted_codes[place] == codes
        tokens: Tokens = self._order[place[known]].astype(np.int64)
        return tokens, int((~known).sum())

    def _is_marked(self, tokens: Array) -> bool:
        """Return whether the first token is the separator before the first step."""
        return bool(len(tokens)) and bool(tokens[0] == self.pitches)

    def _steps_before(self, tokens: Array) -> Tokens:
        """Return (T,): the step each token belongs to; -1 for the mark of the beginning."""
        separators = tokens == self.pitches
        result: Tokens = np.cumsum(separators) - separators - int(self._is_marked(tokens))
        return result
