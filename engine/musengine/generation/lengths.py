"""Musical lengths of encoded pieces: how many steps a length has, and how much of it has passed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from musengine.config.quantities import Length
from musengine.encoding.layouts import Layout, Tokens
from musengine.interfaces.contracts.values import check_elapsed
from musengine.interfaces.encoder import DecodeSettings, Encoder
from musengine.utils.arrays import Array


def steps_in(
    length: Length,
    steps: Array,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    before: Array | None = None,
) -> int | None:
    """Return how many of the steps make up a musical length; None if they are too few.

    Args:
        length: what is asked for.
        steps: what is counted.
        encoder: what tells their time.
        settings: tempo and meter.
        before: the steps that they follow, such as a prompt, which may say what the first of them
            is; a piece begins with them where there are none.
    """
    if not length.number:
        return 0
    # A billionth of slack: 0.1 added up three times must still reach 0.3.
    reached = length_shares(length, steps, encoder, settings, before) >= 1 - 1e-9
    return int(np.argmax(reached)) + 1 if reached.any() else None


def length_shares(
    length: Length,
    steps: Array,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    before: Array | None = None,
) -> npt.NDArray[np.float64]:
    """Return (T,): what share of a length has passed at the end of each step; as in `steps_in`."""
    target = length.number
    if length.unit == "tokens":
        return np.arange(1, len(steps) + 1) / target
    if length.unit == "steps":
        return _steps_passed(steps, encoder.layout) / target
    if length.unit == "bars":
        target *= float(settings.meter.beats_per_bar)
    unit: Literal["beats", "seconds"] = "seconds" if length.unit == "seconds" else "beats"
    if before is None or not len(before):
        return _elapsed(encoder, steps, unit, settings) / target
    passed = _elapsed(encoder, np.concatenate([before, steps]), unit, settings)
    # Told from the beginning of the prompt and its time taken off: a piece may begin amid a bar or
    # a held note, which the prompt's last step decides.
    shares: npt.NDArray[np.float64] = (passed[len(before) :] - passed[len(before) - 1]) / target
    return shares


def _elapsed(
    encoder: Encoder[Any],
    steps: Array,
    unit: Literal["beats", "seconds"],
    settings: DecodeSettings,
) -> npt.NDArray[np.float64]:
    return check_elapsed(encoder, encoder.elapsed(steps, unit, settings), len(steps))


def _steps_passed(steps: Array, layout: Layout) -> npt.NDArray[np.float64]:
    """Return (T,): how many time steps are over at the end of each array step.

    Each is one, but among tokens some of which move time on, these alone do.
    """
    moves = time_tokens(layout)
    if not moves:
        return np.arange(1, len(steps) + 1, dtype=np.float64)
    passed = np.zeros(len(steps))
    for token, count in moves.items():
        passed[steps == token] = count
    return np.cumsum(passed)


def time_tokens(layout: Layout) -> dict[int, int]:
    """Return the tokens that move time on, where not every one does, and by how many steps."""
    if not isinstance(layout, Tokens):
        return {}
    return layout.tokens_of("step")
