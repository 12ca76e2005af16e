"""Freed memory is kept: what is asked for again is not fetched from the system anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from musengine.utils.allocator import keep_freed_memory

if {keep}:
    keep_freed_memory()
block = bytearray({size})
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    block = bytearray({size})
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_pages_of_a_freed_block_are_used_again() -> None:
    pages = {}
    for keep in (False, True):
        program = PROGRAM.format(keep=keep, size=40 * 2**20)
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        pages[keep] = int(done.stdout)
    # Four blocks of 40 MiB are 4 x 10,240 pages of 4 KiB, or 4 x 20 of 2 MiB.
    assert pages[False] >= 4 * 20
    assert pages[True] < pages[False] / 8
