"""Notebooks, which installed plugins tell how to show and play scores and runs."""

from __future__ import annotations

import sys

from musengine.plugins.declarations import WriterDeclaration
from musengine.plugins.manager import load_registry

_prepared: list[object] = []
"""The shells that were told."""


def prepare() -> None:
    """Tell the notebook this runs in, if it is one, and if it was not told yet."""
    # Called only where IPython is imported already: the engine does not depend on it.
    shell = sys.modules["IPython"].get_ipython()
    if shell is None or shell in _prepared:
        return
    # Plugins import from the public API too: the shell is noted before they are loaded.
    _prepared.append(shell)
    for entry in load_registry().of_kind("writer"):
        declaration = entry.declared(WriterDeclaration)
        if declaration.notebook:
            entry.load_part(declaration.notebook)(shell)
