"""The end of a training in which nothing becomes better, validation by validation."""

from __future__ import annotations

from musengine.builtin.callbacks.early_stopping import EarlyStoppingCallback
from musengine.builtin.configs import EarlyStoppingConfig
from musengine.interfaces.callback import Progress


def told(callback: EarlyStoppingCallback, *figures: float, first: int = 1) -> list[str | None]:
    """Return what it says after each validation, ten steps apart."""
    answers = []
    for number, figure in enumerate(figures, first):
        progress = Progress(step=10 * number)
        callback.on_validation(progress, {"loss": figure})
        answers.append(callback.should_stop(progress))
    return answers


def stopping(patience: int) -> EarlyStoppingCallback:
    return EarlyStoppingCallback(EarlyStoppingConfig(patience=patience))


def test_patience_is_for_validations_in_a_row() -> None:
    # The lowest is 2.0 at step 30; the same figure again is no progress.
    answers = told(stopping(2), 3.0, 3.5, 2.0, 2.0, 1.5, 1.6, 1.7)
    assert answers[:-1] == [None] * 6
    assert answers[-1] is not None
    assert "1.5" in answers[-1]
    assert "50" in answers[-1]


def test_no_figure_is_worse_than_none() -> None:
    assert stopping(1).should_stop(Progress(step=5)) is None
    assert told(stopping(1), float("nan"))[0] is not None


def test_a_run_goes_on_with_what_was_counted() -> None:
    first, second = stopping(3), stopping(3)
    assert told(first, 2.0, 2.1, 2.2) == [None, None, None]
    second.load_state(first.state())
    assert told(second, 2.3, first=4) == told(first, 2.3, first=4)
    fresh = stopping(3)
    fresh.load_state(stopping(3).state())
    assert told(fresh, 5.0) == [None]
