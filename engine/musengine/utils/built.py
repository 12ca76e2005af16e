"""Compiled modules, and whether they were made of the sources that lie beside them."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)


def checksum(source: Path) -> int:
    """Return the CRC-32 of a module's source, a `.pyx` file, and of the headers in its folder."""
    made = 0
    for path in [source, *sorted(source.parent.glob("*.hpp"))]:
        made = zlib.crc32(path.read_bytes(), made)
    return made


def current(module: ModuleType) -> bool:
    """Return whether a compiled module may be used; where not, a line says what to do.

    In a checkout its sources lie beside it, and may have changed since. Code that reads the memory
    it is handed in another order than it is laid out in would end the process. A wheel holds no
    sources, and its modules are those of its release.
    """
    # The file's name goes on with what the interpreter and the system are called.
    name = module.__name__.rpartition(".")[2]
    source = Path(module.__file__ or "").with_name(f"{name}.pyx")
    if not source.is_file() or getattr(module, "made_of", None) == checksum(source):
        return True
    logger.warning(
        "%s was compiled from other sources than those beside it and is not used; "
        "install musengine again: python -m pip install -e .",
        module.__name__,
    )
    return False
