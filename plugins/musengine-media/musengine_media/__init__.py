"""Pictures and sound of pieces, and plots of what a model computes on its way to them."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """Let scores and runs play themselves in a notebook: `%load_ext musengine_media`."""
    from musengine_media.notebook import register

    register(shell)
