"""How far training is."""

from __future__ import annotations

from dataclasses import dataclass


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
