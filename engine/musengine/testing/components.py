"""Components by kind and name, built as a pipeline builds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from musengine.plugins import manager
from musengine.plugins.declarations import Declaration


def create(kind: str, name: str, *arguments: Any, **settings: Any) -> Any:
    """Return an installed component, built from settings as they would stand in a pipeline file.

    Args:
        kind: what it is, such as `"encoder"`, `"model"` or `"sampler"`.
        name: what its declaration calls it.
        arguments: what it is built with beside its settings: models, losses and samplers take the
            layout of the arrays.
        settings: TOML values by key, such as `length="2 bars"`; paths start from the working
            directory.

    Raises:
        UserError: no plugin that is installed has such a component.
        ConfigError: the settings are wrong; `problems` has each of them.
    """
    component = manager.load().registry.get(kind, name).configured(settings, where=kind)
    return component.create(*arguments)


def declarations(kind: str, distribution: str | None = None) -> dict[str, Declaration]:
    """Return what is installed of a kind: declarations by name, of one distribution if named."""
    return {
        entry.name: entry.declaration
        for entry in manager.load().registry.of_kind(kind)
        if distribution in (None, entry.origin.distribution)
    }


@contextmanager
def only_plugins(*names: str) -> Iterator[None]:
    """Load no plugins in this block but those whose entry points have these names."""
    manager.load.cache_clear()
    try:
        with mock.patch.dict(os.environ, MUSENGINE_PLUGINS=",".join(names)):
            yield
    finally:
        # Afterwards too, or later tests would have these plugins only.
        manager.load.cache_clear()
