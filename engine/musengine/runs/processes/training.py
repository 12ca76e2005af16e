"""Training by several processes: what the first one announces, and what the others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from musengine.data.dataset import Dataset
from musengine.distributed.ranks import Ranks
from musengine.interfaces.encoder import Encoder
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.blame import phase
from musengine.runs.assembly import trainer_for, training_task
from musengine.runs.processes.ranks import (
    Helper,
    SharedCorpus,
    Work,
    announce,
    own_device,
    wait_for_readers,
)
from musengine.training.checkpoint import Checkpoint
from musengine.training.device import choose_device
from musengine.training.store import NoStore
from musengine.utils.allocator import keep_freed_memory
from musengine.utils.progress import SILENT
from musengine.utils.signals import stop_on_interrupt


@dataclass(frozen=True)
class SharedTraining(Work):
    """A training.

    Attributes:
        corpus: what on.
        stored: the checkpoint that it goes on from, without its weights.
    """

    corpus: SharedCorpus
    stored: Checkpoint | None

    def carry_out(self, helper: Helper) -> None:
        """Train with the first process, whose weights the model gets."""
        pipeline, ranks = self.corpus.pipeline, helper.ranks
        keep_freed_memory()
        torch.set_num_threads(pipeline.training.threads)
        device = own_device(choose_device(pipeline.training.device), ranks)
        dataset, encoder = helper.dataset(self.corpus), self.corpus.encoder()
        task = training_task(pipeline, NoStore(), device, encoder, dataset, [], SILENT, ranks)
        trainer = trainer_for(task, pipeline, self.stored)
        with stop_on_interrupt(lambda _: None, once=False) as stop, phase("training"):
            trainer.train(stop)


def begin_together(
    pipeline: Pipeline,
    dataset: Dataset,
    encoder: Encoder[Any],
    stored: Checkpoint | None,
    ranks: Ranks,
) -> None:
    """Have the other processes, if there are any, begin the training that begins here.

    Args:
        pipeline: as the run has it.
        dataset: the music.
        encoder: having learned.
        stored: the checkpoint that it goes on from.
        ranks: the processes.

    Raises:
        UserError: one of them has other music, or ends.
    """
    if ranks.alone or pipeline.model_declaration.training == "fit":
        return
    corpus = SharedCorpus.of(pipeline, dataset, encoder)
    rest = None if stored is None else Checkpoint({}, stored.meta, stored.extra)
    announce(SharedTraining(corpus, rest), ranks)
    wait_for_readers(corpus, ranks)
