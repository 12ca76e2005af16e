"""How many notes the music of a piece has, and how many of them its arrays hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from musengine.data.decoding import as_score
from musengine.data.spans import PieceSpan
from musengine.interfaces.encoder import DecodeSettings, EncodedPiece, Encoder
from musengine.music.score import Score
from musengine.utils.arrays import Array


@dataclass(frozen=True)
class NoteCount:
    """Notes of a piece, or of a stretch of one.

    Attributes:
        source: how many the music has.
        held: how many of these the arrays hold.
    """

    source: int
    held: int


def count_notes(piece: EncodedPiece, encoder: Encoder[Any]) -> NoteCount | None:
    """Count the notes of a piece, of a stretch those that begin in it; None if not known."""
    if not isinstance(piece, PieceSpan):
        source = piece.encoded.notes
        return NoteCount(source, _held(piece.encoded.steps, encoder)) if source else None
    if not piece.whole_piece.encoded.notes:
        return None
    first, last = (_before(piece, step, encoder) for step in (piece.start, piece.stop))
    return NoteCount(last.source - first.source, last.held - first.held)


def _held(steps: Array, encoder: Encoder[Any]) -> int:
    score = as_score(steps, encoder)
    return 0 if score is None else len(score)


def _before(span: PieceSpan, step: int, encoder: Encoder[Any]) -> NoteCount:
    """Count the notes that begin before a step of the whole piece."""
    whole = span.whole_piece.encoded
    if step == 0:
        return NoteCount(0, 0)
    if step == len(whole.steps):
        return NoteCount(whole.notes, _held(whole.steps, encoder))
    held = _held(whole.steps[:step], encoder)
    decoded = as_score(whole.steps, encoder)
    # Notes that the arrays do not hold, such as those off their range: of a stretch they count too,
    # or its likelihood per note would look better than it is.
    left_out = whole.notes - (0 if decoded is None else len(decoded))
    if left_out > 0:
        content, before = span.content(), None
        if isinstance(content, Score) and decoded is not None and encoder.config.tells_time():
            before = _left_out_before(content, decoded, whole.steps, step, encoder)
        if before is None:  # where they lie is not known: as if evenly among the others
            before = round(left_out * held / (whole.notes - left_out))
        # Kept between none and all of them, whatever rounding of onsets does at the cut.
        return NoteCount(held + min(max(before, 0), left_out), held)
    return NoteCount(min(held, whole.notes), held)


def _left_out_before(
    source: Score, decoded: Score, steps: Array, step: int, encoder: Encoder[Any]
) -> int | None:
    """Return how many more notes the source has before a step than its arrays have there.

    None where the arrays' time does not move.
    """
    unit = _unit(steps, encoder)
    end_T = encoder.elapsed(steps, unit, DecodeSettings())
    moves = np.diff(end_T, prepend=0.0)
    if not (moves > 0).any():
        return None
    # Half of the finest step before the cut: from there on onsets are rounded to what follows it.
    cut = end_T[step - 1] - moves[moves > 0].min() / 2
    held_N, source_M = _onsets(decoded, unit), _onsets(source, unit)
    source_M = source_M - _offset(source, source_M, decoded, held_N)
    return int((source_M < cut).sum() - (held_N < cut).sum())


def _unit(steps: Array, encoder: Encoder[Any]) -> Literal["beats", "seconds"]:
    """Return the unit in which the arrays tell time whatever the tempo."""
    # An encoder whose time follows the tempo counts in beats: its beats are the same at both.
    slow, fast = (
        encoder.elapsed(steps, "beats", DecodeSettings(tempo=tempo)) for tempo in (60.0, 120.0)
    )
    return "beats" if np.array_equal(slow, fast) else "seconds"


def _onsets(score: Score, unit: Literal["beats", "seconds"]) -> npt.NDArray[np.float64]:
    """Return (N,) when the notes begin."""
    if unit == "seconds":
        return score.seconds(score.onset)
    beats: npt.NDArray[np.float64] = score.onset / score.ticks_per_beat
    return beats


def _offset(
    source: Score,
    source_M: npt.NDArray[np.float64],
    decoded: Score,
    held_N: npt.NDArray[np.float64],
) -> float:
    """Return by how much the arrays begin after the source, whose rest at the start they may skip.

    The first note that they hold is the source's first of that pitch.
    """
    if not len(decoded):
        return 0.0
    first = int(held_N.argmin())
    alike_M = source_M[source.pitch == decoded.pitch[first]]
    return float(alike_M.min() - held_N[first]) if len(alike_M) else 0.0
