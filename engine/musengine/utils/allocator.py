"""The memory allocator of the C library: freed tensors' memory stays with the process."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_LARGEST_KEPT = 128 * 2**20
_MOST_KEPT = 2**31 - 1


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks of up to 128 MiB; with other C libraries nothing changes.

    By default it gives each block over 32 MiB back to the system at once. A training step on the
    CPU frees and allocates dozens of them, and the system clears every page of each anew.
    `benchmarks/biaxial.py` measures a training step with and without, and its peak memory.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Larger blocks come straight from the system and go back at once; setting one threshold
        # also ends glibc's own adapting of both.
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
