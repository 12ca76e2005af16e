"""What the other processes of a job do for the first one, which alone has the run folder.

The first one announces work, the others listen and carry it out with it. Of the files they read the
music alone, through the cache: weights and all that was learned come from the first one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.distributed.launch import Place
from musengine.distributed.meeting import joined
from musengine.distributed.ranks import ProcessLostError, Ranks
from musengine.errors import UserError
from musengine.interfaces.command import ExitStatus
from musengine.interfaces.contracts.values import check_state
from musengine.interfaces.encoder import Encoder
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.registry import Registry

if TYPE_CHECKING:
    from musengine.runs.trained import Trained


class Work(ABC):
    """Something that all processes do together; it is sent to those that listen."""

    @abstractmethod
    def carry_out(self, helper: Helper) -> None:
        """Do a listening process's part of it."""


@dataclass(frozen=True)
class SharedCorpus:
    """The music that the first process has read, for others to read the same.

    Attributes:
        pipeline: its settings, as the run has them.
        files: ids of the files.
        encoder_state: what the encoder has learned.
        fingerprint: of the encoded pieces.
    """

    pipeline: Pipeline
    files: frozenset[str]
    encoder_state: Any
    fingerprint: str

    @classmethod
    def of(cls, pipeline: Pipeline, dataset: Dataset, encoder: Encoder[Any]) -> SharedCorpus:
        """Return what others need to read a dataset."""
        state = check_state(encoder, encoder.state())
        return cls(pipeline, frozenset(dataset.files), state, _fingerprint(dataset))

    def encoder(self) -> Encoder[Any]:
        """Return the encoder, knowing what it learned."""
        encoder: Encoder[Any] = self.pipeline.encoder.create()
        encoder.load_state(self.encoder_state)
        return encoder


def _fingerprint(dataset: Dataset) -> str:
    pieces = {
        part: [[piece.id, piece.fingerprint, len(piece)] for piece in pieces]
        for part, pieces in dataset.parts.items()
    }
    return hashlib.sha256(json.dumps(pieces).encode()).hexdigest()


class Helper:
    """A process that listens.

    Attributes:
        trained: the model that the first process has loaded, once it was announced.
    """

    def __init__(self, registry: Registry, ranks: Ranks, *, first_here: bool) -> None:
        self.registry, self.ranks = registry, ranks
        self._first_here = first_here
        self.trained: Trained | None = None
        self._read: tuple[str, Dataset] | None = None

    def listen(self) -> None:
        """Carry out what is announced, until the first process is done."""
        # What the first process passes is returned to all; what is passed here is not looked at.
        while (work := self.ranks.agreed(_nothing())) is not None:
            work.carry_out(self)

    def known_model(self) -> Trained:
        """Return the model that was announced before."""
        assert self.trained is not None
        return self.trained

    def dataset(self, corpus: SharedCorpus) -> Dataset:
        """Return the music: read by one process of a machine first, from the cache by the rest."""
        if self._first_here:
            self._read_once(corpus)
        # A barrier: those that wait here find the cache written. `wait_for_readers` has its
        # counterpart.
        self.ranks.gathered("")
        dataset = self._read_once(corpus)
        self.ranks.gathered(_fingerprint(dataset))
        return dataset

    def _read_once(self, corpus: SharedCorpus) -> Dataset:
        if self._read is None or self._read[0] != corpus.fingerprint:
            pipeline, encoder = corpus.pipeline, corpus.encoder()
            manifest = read_corpus(pipeline, self.registry, known=corpus.files)
            dataset = prepare(pipeline, manifest, encoder, learned=True)
            self._read = corpus.fingerprint, dataset
        return self._read[1]


def _nothing() -> Work | None:
    return None


def announce(work: Work, ranks: Ranks) -> None:
    """Let the others carry out some work, where there are any; the first process does the same."""
    if not ranks.alone:
        ranks.agreed(work)


def wait_for_readers(corpus: SharedCorpus, ranks: Ranks) -> None:
    """Wait until the others have read the music.

    Raises:
        UserError: one of them has other music.
    """
    if ranks.alone:
        return
    ranks.gathered("")
    found = ranks.gathered(corpus.fingerprint)
    if other := [rank for rank, each in enumerate(found) if each != corpus.fingerprint]:
        raise UserError(
            f"process {other[0]} of {ranks.size} reads other music than process 0: every machine "
            "needs the same files, and the same versions of musengine and its plugins",
            code="music-differs",
        )


def own_device(device: torch.device, ranks: Ranks) -> torch.device:
    """Return the device of this process: of several on a machine each has a GPU of its own."""
    if ranks.alone or device.type != "cuda":
        return device
    return torch.device("cuda", torch.cuda.current_device())


def work_together(place: Place, registry: Registry, work: Callable[[Ranks], int]) -> int:
    """Meet the other processes; the first one works, the others help it. Returns the status.

    Args:
        place: of this process.
        registry: the components.
        work: what the first process does.
    """
    with joined(place) as ranks:
        if ranks.alone:
            return work(ranks)
        if not ranks.first:
            return _help(place, registry, ranks)
        try:
            status = work(ranks)
        except KeyboardInterrupt as stopped:
            if (lost := _told_to_end(stopped)) is not None:
                raise lost from stopped
            raise
        ranks.agreed(_nothing())
        return status


def _told_to_end(stopped: KeyboardInterrupt) -> ProcessLostError | None:
    """Return the error of a process that what started it has told to end; None at a Ctrl-C.

    When one process has ended, `torchrun` ends all others: this one may be told while it tidies up
    after the very same.
    """
    before = stopped.__context__
    while before is not None:
        if isinstance(before, ProcessLostError):
            return before
        before = before.__context__
    if stopped.args != (signal.SIGTERM,):
        return None
    return ProcessLostError(
        "this process was told to end: another one of this job has ended, and its own message says "
        "why, or the job was stopped; the same command goes on from the last checkpoint, with any "
        "number of processes",
        code="process-lost",
    )


def _help(place: Place, registry: Registry, ranks: Ranks) -> int:
    # The first process says all that there is to say.
    logging.disable(logging.WARNING)
    try:
        Helper(registry, ranks, first_here=place.local_rank == 0).listen()
    except (ProcessLostError, KeyboardInterrupt):
        return ExitStatus.FAULT
    except UserError as error:
        message = f"process {ranks.rank} of {ranks.size}: {error}"
        raise UserError(message, code=error.code) from error
    return ExitStatus.DONE
