"""How far training is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class TrainerState:
    """The counters with which training goes on at the very next batch.

    Attributes:
        step: optimizer steps taken.
        epoch: whole passes over the training part.
        batch: batches done of the pass after these, `updates_per_batch` repeats counted.
        seconds: time spent in training, earlier sessions included.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, value: Any) -> TrainerState:
        """Return the counters that a checkpoint holds.

        Raises:
            ValueError: they are none, as in a file that something else wrote.
        """
        wrong = not isinstance(value, Mapping) or set(value) != set(vars(cls()))
        for name, number in () if wrong else value.items():
            # Strictly, as a checkpoint may be a stranger's: bool is an int in Python, and counters
            # beyond 2**53 could not be told apart once they are floats.
            whole = isinstance(number, int) and not isinstance(number, bool)
            wrong |= not (whole or (name == "seconds" and isinstance(number, float)))
            wrong = wrong or not 0 <= number < 2**53
        if wrong:
            raise ValueError(f"its counters are {str(value)[:100]}")
        return cls(**value)
