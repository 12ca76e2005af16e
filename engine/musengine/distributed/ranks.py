"""Several processes that do one job together, and what they tell each other.

Imports torch only where there are several.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from musengine.distributed.launch import Place
from musengine.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torch._C._distributed_c10d import Store

T = TypeVar("T")

_PATIENCE = timedelta(days=1)
"""How long a process waits for the others: the first may encode a large corpus. One that ends is
noticed at once."""

_meetings = itertools.count()
"""How often this process has met others: the number is the same at all of them."""


class ProcessLostError(UserError):
    """Another process of the job has ended before its work was done."""


class Ranks:
    """This process among those of its job; alone it is the first of one, and nothing is sent.

    What every process calls, all of them have to call, in the same order.

    Args:
        rank: its number.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether it is the one that has the run folder and talks to the user."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    def agreed(self, value: T) -> T:
        """Return at every process what the first one gives."""
        agreed: T = value if self.alone else self._told(value, 0)
        return agreed

    def gathered(self, value: T) -> list[T]:
        """Return at every process what each one gives, by rank."""
        if self.alone:
            return [value]
        return [self._told(value, source) for source in range(self.size)]

    def _told(self, value: Any, source: int) -> Any:
        """Return at every process what one of them gives."""
        import torch
        from torch.distributed import broadcast_object_list

        # Objects are pickled: the processes are of one job and trust each other, as nothing else
        # does.
        box = [value if self.rank == source else None]
        with _lost():
            broadcast_object_list(box, src=source, device=torch.device("cpu"))
        return box[0]

    def add_up(self, tensor: Tensor) -> None:
        """Put the sum over all processes into a tensor: to the bit the same at each."""
        if self.alone:
            return
        from torch.distributed import all_reduce

        with _lost():
            all_reduce(tensor)

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Put the first process's values into tensors."""
        if self.alone:
            return
        from torch.distributed import broadcast

        with _lost():
            for tensor in tensors:
                broadcast(tensor, src=0)

    def share(self, count: int) -> slice:
        """Return which of so many things in a row are this process's: about as many for each."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


ALONE = Ranks()


@contextlib.contextmanager
def joined(place: Place | None) -> Iterator[Ranks]:
    """Meet the other processes of a job, over gloo, and over NCCL what is on GPUs.

    Args:
        place: of this one; None where it is alone.

    Raises:
        UserError: they do not meet.
    """
    if place is None:
        yield ALONE
        return
    import torch
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    own_gpu = _own_gpu(place)
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local_rank % torch.cuda.device_count())
    try:
        store, rank, size = next(rendezvous("env://", timeout=_PATIENCE))
        # On one machine the store outlives a job that is started again: what the processes that
        # are gone have left in it is not to be found.
        life = place.restarts if place.on_one_machine else 0
        store = PrefixStore(f"musengine/{life}/{next(_meetings)}", store)
        backend = _backend(store, place, own_gpu=own_gpu)
        init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"the {place.size} processes of this job do not meet ({reason}): start them with "
            "torchrun, and look whether they reach MASTER_ADDR and MASTER_PORT",
            code="processes-apart",
        ) from error
    yield Ranks(place.rank, place.size)
    # After a fault the others may be gone; the end of the process is the end of it all.
    destroy_process_group()


def _own_gpu(place: Place) -> bool:
    """Return whether this process can send over NCCL, which takes one GPU for one process."""
    import torch
    from torch.distributed import is_nccl_available

    if not torch.cuda.is_available() or not is_nccl_available():
        return False
    return (place.local_size or place.size) <= torch.cuda.device_count()


def _backend(store: Store, place: Place, *, own_gpu: bool) -> str:
    """Return over what all processes send, agreed on: NCCL for what is on GPUs where all can.

    Gloo sends what is on either, more slowly.

    Args:
        store: that all of them share.
        place: of this one.
        own_gpu: this one can send over NCCL.
    """
    store.set(f"own_gpu/{place.rank}", str(int(own_gpu)))
    able = [store.get(f"own_gpu/{rank}") == b"1" for rank in range(place.size)]
    return "cpu:gloo,cuda:nccl" if all(able) else "gloo"


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """Say in one line what PyTorch's engine has to say of a process that is gone."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            "another process of this job has ended, its own message says why; the same command "
            "goes on from the last checkpoint, with any number of processes",
            code="process-lost",
        ) from error
