"""The record callback: what goes on inside the model while it reads training batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from musengine.builtin.configs import RecordConfig
from musengine.errors import UserError
from musengine.generation import activations
from musengine.interfaces.callback import Callback, Progress
from musengine.interfaces.model import Batch, Model
from musengine.interfaces.writer import Writer
from musengine.plugins import manager


class RecordCallback(Callback[RecordConfig]):
    """Writes recordings of the first row of a batch to the run's folder `recordings`."""

    def __init__(self, config: RecordConfig) -> None:
        super().__init__(config)
        self._folder: Path | None = None
        self._writer: Writer[Any] | None = None

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Remember where the recordings go, and what writes them.

        Raises:
            UserError: nothing that is installed writes files of the format.
        """
        self._folder = folder / "recordings"
        registry = manager.load().registry
        suffix = f".{self.config.format}"
        self._writer = activations.find_writer(suffix, registry, "callback 'record'")

    def on_batch(self, progress: Progress, model: Model[Any], batch: Batch) -> None:
        """Record and write, if it is the time.

        Raises:
            UserError: the model cannot show what goes on inside it.
        """
        if self._folder is None or self._writer is None or progress.step % self.config.every:
            return
        device = next(model.parameters()).device
        try:
            # A model may draw while it is recorded; training goes on with the numbers it would have
            # had.
            with torch.random.fork_rng():
                recorded = activations.record(model, batch.to(device))
        except NotImplementedError as error:
            raise UserError(
                "callback 'record': this model cannot show what goes on inside it; leave it out",
                code="nothing-to-record",
            ) from error
        path = self._folder / f"step-{progress.step:09}.{self.config.format}"
        activations.write(recorded, self._writer, path, "--run-dir")
