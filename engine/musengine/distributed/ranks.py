"""Several processes that do one job together, and what they tell each other.

Imports torch only where there are several.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from musengine.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torch._C._distributed_c10d import Store

T = TypeVar("T")


class ProcessLostError(UserError):
    """Another process of the job has ended before its work was done."""


class Ranks:
    """This process among those of its job; alone it is the first of one, and nothing is sent.

    What every process calls, all of them have to call, in the same order.

    Args:
        rank: its number.
        size: how many there are.
        store: that they share, and that is still there when the job is started again by itself.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: Store | None = None) -> None:
        self.rank, self.size = rank, size
        self._store = store

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

    def settled(self, name: str, value: str) -> str:
        """Return what was given under a name first, now or before the job was started again."""
        if self._store is None:
            return value
        return self._store.compare_set(f"settled/{name}", "", value).decode()

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
