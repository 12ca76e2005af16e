"""Whether what components return is what the engine asked for; each is refused where it comes in.

What models, losses and samplers return is in `tensors`; nothing here imports torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.interfaces.encoder import DecodeSettings
from musengine.music.piece import Piece, Text
from musengine.music.score import Score
from musengine.plugins.blame import broken
from musengine.utils.arrays import Array

if TYPE_CHECKING:
    from musengine.interfaces.batching import BatchingStrategy, EpochPlan
    from musengine.interfaces.encoder import Encoder


def check_elapsed(encoder: object, passed: Any, steps: int) -> npt.NDArray[np.float64]:
    """Return the times that `elapsed` returned.

    Raises:
        ContractError: they are not one for each step, or run backwards.
    """
    if not isinstance(passed, np.ndarray) or passed.shape != (steps,):
        shown = f"the shape {passed.shape}" if isinstance(passed, np.ndarray) else kind_of(passed)
        raise broken(encoder, "elapsed", f"returned {shown} for {steps} steps, expected ({steps},)")
    if steps and not np.isfinite(passed).all():
        raise broken(encoder, "elapsed", "returned a time that is no finite number")
    # Slack for rounding, as where beats are turned into seconds and added up.
    if steps and (falls := np.diff(passed) < -1e-9).any():
        place = int(np.argmax(falls)) + 1
        raise broken(encoder, "elapsed", f"runs backwards at step {place}")
    return passed


def check_time(encoder: Encoder[Any], steps: Array) -> None:
    """See that time passes in a piece, where the encoder tells it: lengths are reached by it.

    Raises:
        ContractError: it stands still, or is none.
    """
    if not encoder.config.tells_time() or not len(steps):
        return
    passed = check_elapsed(encoder, encoder.elapsed(steps, "beats", DecodeSettings()), len(steps))
    if not passed[-1] > 0:
        message = f"stands still: 0 beats after the {len(steps)} steps of a piece"
        raise broken(encoder, "elapsed", message)


def check_music(encoder: object, method: str, music: Any) -> Score | Text:
    """Return what `decode` returned.

    Raises:
        ContractError: it is neither a Score nor a Text.
    """
    if not isinstance(music, (Score, Text)):
        raise broken(encoder, method, f"returned {kind_of(music)}, expected a Score or a Text")
    return music


def check_state(component: object, state: Any) -> dict[str, Any]:
    """Return the `state` of an encoder or callback.

    Raises:
        ContractError: it is not JSON.
    """
    try:
        # NaN is no JSON: other programs could not read the checkpoint's metadata.
        json.dumps(state, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise broken(component, "state", f"is not JSON: {error}") from error
    if not isinstance(state, dict):
        raise broken(component, "state", f"returned {kind_of(state)}, expected a dict")
    return state


def check_figures(component: object, figures: Any, method: str = "measure") -> Mapping[str, Any]:
    """Return what a method returned that gives figures.

    Raises:
        ContractError: it is no mapping of names to numbers, or to such mappings.
    """
    if not isinstance(figures, Mapping):
        raise broken(component, method, f"returned {kind_of(figures)}, expected figures by name")
    for name, figure in figures.items():
        if isinstance(figure, Mapping):
            check_figures(component, figure, method)
        elif not isinstance(figure, (int, float, str, list, type(None), np.number)):
            raise broken(component, method, f"the figure {name!r} is {kind_of(figure)}, no number")
    return figures


def check_plan(strategy: BatchingStrategy[Any], plan: Any, lengths: Sequence[int]) -> EpochPlan:
    """Return the batches that `plan` returned.

    Raises:
        ContractError: a row is of no piece, or lies outside its piece.
    """
    if not isinstance(plan, list):
        raise broken(strategy, "plan", f"returned {kind_of(plan)}, expected a list of batches")
    for row in (row for rows in plan for row in rows):
        if row.piece < 0:
            continue
        fits = row.piece < len(lengths) and 0 <= row.start < row.stop
        if not fits or (row.stop > lengths[row.piece] and not row.repeat):
            message = f"planned {row}, of {len(lengths)} pieces"
            if row.piece < len(lengths):
                message = f"planned {row} of a piece of {lengths[row.piece]} steps"
            raise broken(strategy, "plan", message)
    return plan


def check_factor(component: object, method: str, factor: Any) -> float:
    """Return what a method returned that the learning rate is multiplied by.

    Raises:
        ContractError: it is no finite number of at least 0.
    """
    if not isinstance(factor, (int, float)) or not 0 <= factor < math.inf:
        shown = factor if isinstance(factor, (int, float)) else kind_of(factor)
        raise broken(component, method, f"returned {shown}, expected a number of at least 0")
    return float(factor)


def check_pieces(reader: object, pieces: Iterable[Any]) -> Iterator[Piece]:
    """Yield the pieces that a reader's `read` gives.

    Raises:
        ContractError: something else is among them.
    """
    if not isinstance(pieces, Iterable):
        raise broken(reader, "read", f"returned {kind_of(pieces)}, expected Pieces")
    for piece in pieces:
        if not isinstance(piece, Piece) or not isinstance(piece.content, (Score, Text)):
            found = piece.content if isinstance(piece, Piece) else piece
            raise broken(reader, "read", f"gave {kind_of(found)}, expected Pieces of music")
        yield piece


def encoding_fault(steps: Array, layout: Layout) -> str:
    """Return what is wrong with an encoded piece by its layout, with the place; else nothing."""
    if not isinstance(steps, np.ndarray) or steps.shape[1:] != layout.step_shape:
        shape = steps.shape[1:] if isinstance(steps, np.ndarray) else kind_of(steps)
        return f"steps have the shape {shape}, the layout {layout.step_shape}"
    if isinstance(layout, Tokens):
        if steps.dtype.kind not in "iu":
            return f"tokens are of type {steps.dtype}, expected whole numbers"
        outside = (steps < 0) | (steps >= layout.size)
        if outside.any():
            place = int(np.argmax(outside))
            return f"the token {steps[place]} at step {place}, of a vocabulary of {layout.size}"
        wrong = None if layout.grammar is None else layout.grammar.violation(steps)
        if wrong is not None:
            return f"its own grammar forbids the token {steps[wrong]} at step {wrong}"
    if isinstance(layout, Grid) and (other := steps != steps.astype(bool)).any():
        place = int(np.argmax(other.reshape(len(steps), -1).any(axis=1)))
        return f"a number other than 0 and 1 in step {place} of a grid"
    return ""


def kind_of(value: object) -> str:
    """Return what kind of thing a value is, for messages."""
    return "None" if value is None else f"a {type(value).__name__}"
