"""Music for tests out of tar archives."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(
    archive: Path, folder: Path, count: int | None = None, *, endings: tuple[str, ...] = (".mid",)
) -> list[Path]:
    """Unpack files of a tar archive; skips the running test where there is no such archive.

    Args:
        archive: the archive.
        folder: where the files go, with the folders they have in the archive.
        count: how many, spread evenly over the archive; all without it.
        endings: what the files' names end in, in lower case or not.

    Returns:
        Their paths, in the archive's order.
    """
    if not archive.is_file():
        import pytest

        pytest.skip(f"no {archive}")
    lowered = tuple(ending.lower() for ending in endings)
    with tarfile.open(archive) as tar:
        files = [entry for entry in tar.getmembers() if entry.name.lower().endswith(lowered)]
        if count is not None:
            files = files[:: max(1, len(files) // count)][:count]
        # The filter refuses links and paths that lead out of the folder.
        tar.extractall(folder, members=files, filter="data")
    return [folder / entry.name for entry in files]
