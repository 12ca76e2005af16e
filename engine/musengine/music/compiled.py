"""What of this package is compiled, where it was built with a C compiler."""

from __future__ import annotations

from musengine.utils.built import current

__all__ = ["order"]

try:
    from musengine.music import _order as order
except ImportError:  # built without a C compiler
    order = None  # type: ignore[assignment]
if order is not None and not current(order):
    order = None  # type: ignore[assignment]
