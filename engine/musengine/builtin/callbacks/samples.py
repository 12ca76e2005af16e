"""The samples callback: pieces made with the weights of the moment, while training goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from musengine.builtin.configs import SamplesConfig
from musengine.errors import UserError
from musengine.interfaces.callback import Callback, Progress
from musengine.plugins import manager
from musengine.runs.folder import RunFolder
from musengine.runs.pieces import generate as generation
from musengine.runs.presentation.run_writers import write_run

logger = logging.getLogger(__name__)


class SamplesCallback(Callback[SamplesConfig]):
    """Asks for a checkpoint at its steps and makes pieces of it, into `samples/training`."""

    def __init__(self, config: SamplesConfig) -> None:
        super().__init__(config)
        self._run: RunFolder | None = None

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Remember where the run is."""
        self._run = RunFolder(folder)

    def wants_checkpoint(self, progress: Progress) -> bool:
        """Return whether samples are due after this step: they need a checkpoint of it."""
        early = progress.step <= self.config.early_until
        every = self.config.early_every if early else self.config.every
        return progress.step > 0 and progress.step % every == 0

    def on_checkpoint(self, progress: Progress, path: Path) -> None:
        """Make the pieces, as `musengine generate` would; what hinders it is a warning."""
        if self._run is None or not self.wants_checkpoint(progress):
            return
        # As they come: they are to show what the weights of the moment make.
        settings = ["generate.checkpoint=last", "generate.redraw=false", "generate.best_of=1"]
        settings.append(f"generate.count={self.config.count}")
        if self.config.length is not None:
            settings.append(f"generate.length={self.config.length.to_toml()}")
        registry = manager.load().registry
        # What is drawn here must not change what training draws.
        with torch.random.fork_rng():
            try:
                pipeline = self._run.read_pipeline(registry, settings)
                generation.generate(
                    pipeline,
                    self._run,
                    registry,
                    seed=generation.run_seed(pipeline),
                    folder=self._run.samples / "training",
                    name=f"step-{progress.step:09}",
                    keep_found=False,
                )
                write_run(self._run, pipeline, registry, underway=True)
            except UserError as error:
                logger.warning(f"no samples at step {progress.step}: {error}")
