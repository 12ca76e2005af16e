"""The compiled code of other processors than this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock


def compiled_ways() -> list[str]:
    """Return for which kinds of processors there is compiled code that runs here; none without."""
    from musengine.nn import compiled

    return [name for name in compiled.NAMES if compiled.kernels_of(name)]


@contextmanager
def compiled_way(name: str, *, threads: int | None = None) -> Iterator[None]:
    """Compute, while in the context, with the compiled code for a kind of processor.

    Args:
        name: one of `compiled_ways()`.
        threads: over so many threads, however little there is to do; as PyTorch has it without.
    """
    import torch

    from musengine.nn import compiled

    with mock.patch.object(compiled, "kernels", compiled.kernels_of(name)):
        if threads is None:
            yield
            return
        with (
            mock.patch.object(compiled, "LEAST_WORK", 1),
            mock.patch.object(torch, "get_num_threads", return_value=threads),
        ):
            yield
