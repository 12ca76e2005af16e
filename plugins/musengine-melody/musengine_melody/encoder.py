"""The melody encoder: a track to a rest, a pitch or "hold" in every step, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.api import (
    Array,
    DecodeSettings,
    Encoded,
    Encoder,
    Layout,
    LeftOut,
    Piece,
    Score,
    Text,
    keep_tracks,
    left_out_of_performance,
    overlap,
    shown_number,
    steps_to_ticks,
)
from musengine.errors import UnreadableError
from musengine_melody.config import FIRST_PITCH, HOLD, PITCHES, REST, MelodyEncoderConfig
from musengine_melody.lines import Line, one_after_another, top_line

MAX_STEPS = 2**20
"""Longer pieces are refused before anything is allocated: 36 hours of sixteenths at 120 BPM."""

TICKS_PER_BEAT = 480


class Melody(Encoder[MelodyEncoderConfig]):
    """Every melody of a score by itself, one token for each step."""

    def __init__(self, config: MelodyEncoderConfig) -> None:
        super().__init__(config)
        self._layout = config.layout()

    @property
    def layout(self) -> Layout:
        """The layout; nothing of it is learned."""
        return self._layout

    def pieces(self, piece: Piece) -> Iterable[Piece]:
        """Return each melody of a score as a piece, `#N` for track N added to the id.

        A melody that is the only track keeps the id.
        """
        score = _notes(piece.content)
        chosen, reason = self._melodies(score)
        if not chosen:
            raise UnreadableError(reason, code="no-melody")
        if len(score.tracks) == 1:
            return [piece]
        return [
            replace(piece, id=f"{piece.id}#{track + 1}", content=keep_tracks(score, [track]))
            for track in chosen
        ]

    def _melodies(self, score: Score) -> tuple[list[int], str]:
        """Return the tracks that are melodies, by index, and why there are none."""
        config = self.config
        notes = np.bincount(score.track, ~score.is_drum, len(score.tracks))
        long_enough = notes >= config.fewest_notes
        if not long_enough.any():
            few = f"encoder.fewest_notes = {config.fewest_notes}"
            return [], f"no pitched track has as many notes as {few}"
        percent = overlap(score) * 100
        chosen = long_enough & (config.skyline | (percent <= config.tolerance))
        reason = (
            "no track is a melody: in each of them several notes sound at once for more than "
            f"encoder.tolerance = {shown_number(config.tolerance)} percent of its time; "
            "encoder.skyline = true takes the top line of every track"
        )
        return np.flatnonzero(chosen).tolist(), reason

    def copy_key(self, content: Score | Text) -> str:
        """Return a hash of the pitches in order, one struck again at once counted once.

        So the same melody in two recordings, a little differently timed, is the same.
        """
        score = _notes(content)
        # Cut to the length, since a score without notes has no first one either.
        changes = np.append(True, np.diff(score.pitch) != 0)[: len(score)]
        return hashlib.sha256(score.pitch[changes].tobytes()).hexdigest()

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T,) tokens from the first note to the end of the last.

        All pitched notes together are one melody; those not in its line are counted.
        """
        score = _notes(content)
        score = score.take(~score.is_drum)
        if not len(score):
            raise UnreadableError("no pitched notes", code="no-notes")
        line = (top_line if self.config.skyline else one_after_another)(score, self.config.step)
        begin, total = line.first[0], int(line.after[-1] - line.first[0])
        if total > MAX_STEPS:
            raise UnreadableError(
                f"{total} time steps are more than the {MAX_STEPS} a piece may have",
                code="piece-too-long",
            )
        steps_T = np.full(total, REST, dtype=np.int16)
        notes = zip(line.first - begin, line.after - begin, line.pitch, strict=True)
        for first, after, pitch in notes:
            # Holds first, the strike over the first of them.
            steps_T[first:after] = HOLD if self.config.hold else FIRST_PITCH + pitch
            steps_T[first] = FIRST_PITCH + pitch
        left_out = len(score) - len(line.pitch)
        return Encoded(
            steps=steps_T, dropped={"notes beside the melody": left_out} if left_out else {}
        )

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what a melody has no place for."""
        if isinstance(content, Text):
            return {}
        return left_out_of_performance(content, in_beats=self.config.step.unit == "beat")

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the notes; one still sounding at the end is ended."""
        line = _line(steps, hold=self.config.hold)
        ticks = self._ticks(np.arange(len(steps) + 1), settings.tempo)
        meter = settings.meter
        return Score.from_notes(
            onset=ticks[line.first],
            duration=ticks[line.after] - ticks[line.first],
            pitch=line.pitch,
            ticks_per_beat=TICKS_PER_BEAT,
            tempos=[(0, settings.tempo)],
            meters=[(0, meter.numerator, meter.denominator)],
            length=int(ticks[-1]),
        )

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): steps are all equally long."""
        size = float(self.config.step.size)
        in_beats = self.config.step.unit == "beat"
        if in_beats and unit == "seconds":
            size *= 60.0 / settings.tempo
        elif not in_beats and unit == "beats":
            size *= settings.tempo / 60.0
        return np.arange(1, len(steps) + 1, dtype=np.float64) * size

    def _ticks(self, numbers: Array, tempo: float) -> npt.NDArray[np.int64]:
        """Each step's tick is rounded by itself, so that no remainder accumulates."""
        step = self.config.step
        if step.unit == "beat":
            return steps_to_ticks(numbers.astype(np.int64), step.size, TICKS_PER_BEAT)
        return np.rint(numbers * float(step.size) * tempo / 60 * TICKS_PER_BEAT).astype(np.int64)


def _notes(content: Score | Text) -> Score:
    if not isinstance(content, Score):
        raise UnreadableError("a melody is made from notes, not from text", code="text-not-score")
    return content


def _line(steps: Array, *, hold: bool) -> Line:
    """Return the notes of tokens (T,); what is held after a rest, or from the start, is a rest."""
    steps_T = np.asarray(steps, dtype=np.int64)
    goes_on_T = np.zeros(len(steps_T), dtype=bool)
    goes_on_T[1:] = steps_T[1:] == HOLD if hold else steps_T[1:] == steps_T[:-1]
    # Notes and rests begin where nothing goes on. A hold at the very start is no pitch, and falls
    # out below as rests do.
    first = np.flatnonzero(~goes_on_T)
    after = np.append(first[1:], len(steps_T))[: len(first)]
    pitch = steps_T[first] - FIRST_PITCH
    notes = (pitch >= 0) & (pitch < PITCHES)
    return Line(first[notes], after[notes], pitch[notes])
