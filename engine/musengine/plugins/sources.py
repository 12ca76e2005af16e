"""Which code a component has, as far as caches of what it made must know."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path

from musengine.plugins.registry import RegistryEntry


def code_version(entry: RegistryEntry) -> str:
    """Return what changes whenever a component's code may have changed.

    That is its distribution with the version, and where that is installed as editable, so that its
    code changes while its version stays, a hash of the package's sources, too.
    """
    package = entry.declaration.target.partition(":")[0].partition(".")[0]
    # Hashing all sources costs time in every run; installed versions do not change without their
    # number.
    digest = _digest(package) if _is_editable(entry.origin.distribution) else ""
    return f"{entry.origin} {digest}".strip()


@functools.cache
def _is_editable(distribution: str) -> bool:
    try:
        said = importlib.metadata.distribution(distribution).read_text("direct_url.json")
        return bool(json.loads(said or "{}").get("dir_info", {}).get("editable"))
    except Exception:  # no such distribution, or metadata that is none
        return False


@functools.cache
def _digest(package: str) -> str:
    """Return a hash of all Python files of a package, or of a module that is alone."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    main = Path(spec.origin)
    files = sorted(main.parent.rglob("*.py")) if spec.submodule_search_locations else [main]
    digest = hashlib.sha256()
    for file in files:
        # Names too, and a byte that ends them: moving text from one file to another changes the
        # hash.
        digest.update(file.relative_to(main.parent).as_posix().encode() + b"\0")
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
