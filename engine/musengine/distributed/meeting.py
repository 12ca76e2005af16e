"""How the processes of a job meet: at one address, over gloo and NCCL."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from musengine.distributed.launch import Place
from musengine.distributed.ranks import ALONE, Ranks
from musengine.errors import UserError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_PATIENCE = timedelta(days=1)
"""How long a process waits for the others: the first may encode a large corpus. One that ends is
noticed at once."""

_PAUSE = 0.05
"""Seconds between two looks at what others have left."""


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
        store = PrefixStore("musengine", store)
        ranks = Ranks(rank, size, store)
        if not ranks.alone:
            life = PrefixStore(_life(store, rank, size), store)
            backend = _backend(life, place, own_gpu=own_gpu)
            init_process_group(backend, store=life, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        _apart(place.size, str(error).strip().splitlines()[0], error)
    yield ranks
    # After a fault the others may be gone; the end of the process is the end of it all.
    if not ranks.alone:
        destroy_process_group()


def _apart(size: int, reason: str, cause: Exception | None = None) -> NoReturn:
    raise UserError(
        f"the {size} processes of this job do not meet ({reason}): start them with torchrun, and "
        "look whether they reach MASTER_ADDR and MASTER_PORT",
        code="processes-apart",
    ) from cause


def _life(store: Store, rank: int, size: int) -> str:
    """Return a name that the processes which are alive now have, and no others ever had.

    The store outlives a job that is started again, and what the processes that are gone have left
    in it must not be found: addresses, for one, at which nobody answers. `torchrun` counts restarts
    on each machine by itself, so that its count is no such name.

    Every process leaves a word that is new, the first one all words that it has found with a name
    of its own making. Who finds its word there says so, and when all have the name holds.

    Args:
        store: that all of them share.
        rank: of this one.
        size: how many there are.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"word/{rank}", own)
        while True:
            name, table = _table(store)
            if table[rank : rank + 1] == [own]:
                store.set(f"{name}/word/{rank}", own)
                if store.check([f"{name}/holds"]):
                    return name
            time.sleep(_PAUSE)
    words: list[str] = []
    others = range(1, size)
    while True:
        # A word may be of a process that is gone: then it is never confirmed, and soon replaced.
        found = [own, *(_kept(store, f"word/{other}") for other in others)]
        if found != words:
            words = found
            store.set("words", json.dumps([own, words]))
        if all(
            words[other] and _kept(store, f"{own}/word/{other}") == words[other] for other in others
        ):
            store.set(f"{own}/holds", "1")
            return own
        time.sleep(_PAUSE)


def _table(store: Store) -> tuple[str, list[str]]:
    """Return the name and the words that the first process has left last."""
    text = _kept(store, "words")
    if not text:
        return "", []
    name, words = json.loads(text)
    return name, words


def _kept(store: Store, key: str) -> str:
    """Return what a store has under a key; empty where it has nothing, instead of waiting."""
    return store.get(key).decode() if store.check([key]) else ""


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
